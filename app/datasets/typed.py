"""A column of a dataset that has just been read, with its values where they were written."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.datasets.corrections import Type
from app.datasets.inference import Decided
from app.datasets.table import Place


class TypedColumn:
    """A column of m rows. Its values are mapped from the table's file each time that they are asked for,
    since those of all columns at once may be more than there is memory; with ``hold`` they are kept.

    ``corrected``: the type was asked for. Text has no values; ``distinct`` is how many different ones the
    file has, None for more than a million, and ``all_different`` whether no value, of the first million, is
    there twice. ``date_format``: see `moments.FORMATS`.
    """

    def __init__(self, decided: Decided, row_count: int, place: Place | None, hold: bool) -> None:
        self.name = decided.name
        self.type: Type = decided.type
        self.categories = decided.categories
        self.corrected = decided.corrected
        self.missing = decided.missing
        self.distinct = decided.distinct
        self.all_different = decided.all_different
        self.date_format = decided.date_format
        self.row_count = row_count
        self._place = place
        self._held: NDArray[Any] | None = None
        if hold and place is not None:
            self._held = np.array(place.read())

    @property
    def values(self) -> NDArray[Any]:
        """As in `table.Column`."""
        if self._held is not None:
            return self._held
        assert self._place is not None
        return self._place.read()

    def present(self) -> NDArray[Any]:
        """The values that are not missing."""
        values = self.values
        missing = np.isnan(values) if self.categories is None else values < 0
        return values[~missing]
