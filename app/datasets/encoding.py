"""Table -> x, y, and outputs -> answers. Fitted on the training rows and kept with the model."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.datasets.features import Feature, Floats, feature_from_json, fit_feature, moments
from app.datasets.layout import Layout
from app.datasets.rows import RowEncoder, RowWarning
from app.datasets.table import Column, Table
from app.errors import Fault, Invalid

Task = Literal["classification", "regression"]

VERSION = 2
"""Of `Encoding.to_json`: 1 knew neither indicators nor rare categories, and is read as one without them."""


@dataclass(frozen=True)
class Target:
    """One target column. For regression the network learns (value - offset) / scale."""

    name: str
    offset: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True)
class Encoding:
    """How a model's table becomes numbers and its outputs become answers. s_1 inputs, s_n outputs.

    ``classes`` are all of the dataset's, in code-point order, one output each; None for regression.
    ``other_columns`` are the training dataset's remaining columns, which prediction rows may carry along.
    """

    task: Task
    features: tuple[Feature, ...]
    targets: tuple[Target, ...]
    classes: tuple[str, ...] | None
    other_columns: tuple[str, ...]

    @cached_property
    def input_width(self) -> int:
        """s_1."""
        return sum(feature.width for feature in self.features)

    @property
    def output_width(self) -> int:
        """s_n."""
        return len(self.targets) if self.classes is None else len(self.classes)

    def encode_inputs(self, table: Table, rows: NDArray[np.integer]) -> Floats:
        """x (k, s_1) of the k `rows`. `Invalid` where the table lacks a feature or has it in another type."""
        inputs = np.empty((len(rows), self.input_width))
        start = 0
        for feature in self.features:
            column = _column(table, feature.name, feature.type)
            feature.encode(column, rows, inputs[:, start : start + feature.width])
            start += feature.width
        return inputs

    def encode_targets(self, table: Table, rows: NDArray[np.integer]) -> Floats:
        """y (k, s_n) of the k `rows`: one-hot over `classes`, or scaled targets.

        A missing target, or a class that the training dataset does not have, is a row of NaN.
        """
        if self.classes is None:
            columns = [_column(table, target.name, "number").values[rows] for target in self.targets]
            offsets, scales = self._scaling
            scaled: Floats = (np.stack(columns, axis=1) - offsets) / scales
            return scaled
        codes, classes = class_codes(_column(table, self.targets[0].name))
        place = {label: i for i, label in enumerate(self.classes)}
        places = np.array([*(place.get(label, -1) for label in classes), -1])[codes[rows]]
        targets = np.zeros((len(rows), len(self.classes)))
        targets[np.arange(len(rows)), places] = 1.0
        targets[places < 0] = np.nan
        return targets

    def encode_rows(self, rows: Sequence[Mapping[str, object]]) -> tuple[Floats, list[RowWarning]]:
        """x (k, s_1) of k named rows of plain JSON values, and what was odd about them; see `RowEncoder`."""
        return self._row_encoder.encode(rows)

    def unscale(self, outputs: NDArray[np.floating]) -> Floats:
        """Regression outputs or targets (k, s_n), from the network's units to the targets' own, float64."""
        offsets, scales = self._scaling
        return outputs.astype(np.float64) * scales + offsets

    def decode_outputs(self, outputs: NDArray[np.floating]) -> list[Any]:
        """k answers from outputs (k, s_n): class names, numbers, or, of several targets, {name: number}."""
        if self.classes is not None:
            return [self.classes[i] for i in outputs.argmax(axis=1).tolist()]
        values = self.unscale(outputs)
        if len(self.targets) == 1:
            answers: list[Any] = values[:, 0].tolist()
            return answers
        names = [target.name for target in self.targets]
        return [dict(zip(names, row, strict=True)) for row in values.tolist()]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; floats come back to the same bits."""
        return {"version": VERSION, **asdict(self)}

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> "Encoding":
        """Raises ValueError for a version that is newer than this server."""
        if document.get("version", 1) > VERSION:
            raise ValueError(f"the encoding has version {document['version']}, later than {VERSION}")
        classes = document["classes"]
        return Encoding(
            task=document["task"],
            features=tuple(feature_from_json(feature) for feature in document["features"]),
            targets=tuple(Target(**target) for target in document["targets"]),
            classes=None if classes is None else tuple(classes),
            other_columns=tuple(document["other_columns"]),
        )

    @cached_property
    def _row_encoder(self) -> RowEncoder:
        return RowEncoder(self.features, self.other_columns)

    @cached_property
    def _scaling(self) -> tuple[Floats, Floats]:
        return np.array([t.offset for t in self.targets]), np.array([t.scale for t in self.targets])


def fit(
    table: Table,
    features: Sequence[str],
    target: str | Sequence[str],
    task: Task,
    rows: NDArray[np.integer],
    standardize: bool,
    other_columns: Sequence[str] = (),
    layouts: Sequence[Layout] = (),
) -> Encoding:
    """An encoding from the training rows; of other rows only the names of categories and classes are used.

    ``layouts``: one for each feature (see `layout`); none of them stands for inputs without extras.
    Names in `features` and `target` must be columns of the table (`roles` checks what a client asked for).
    `other_columns` are names that prediction rows may carry beside the features: text columns, for instance.
    """
    targets = [target] if isinstance(target, str) else list(target)
    others = dict.fromkeys([*table.columns, *other_columns, *targets])
    return Encoding(
        task=task,
        features=tuple(
            fit_feature(table.columns[name], rows, standardize, layout)
            for name, layout in zip(features, layouts or [Layout(1)] * len(features), strict=True)
        ),
        targets=tuple(
            Target(name, *moments(table.columns[name].values[rows]))
            if task == "regression" and standardize
            else Target(name)
            for name in targets
        ),
        classes=class_codes(table.columns[targets[0]])[1] if task == "classification" else None,
        other_columns=tuple(name for name in others if name not in set(features)),
    )


def class_codes(column: Column) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """(m,) codes into the classes, -1 where missing, and the classes in code-point order.

    An integer's class is its shortest decimal spelling, so "10" comes before "2".
    """
    if column.categories is not None:
        return column.values.astype(np.int64), column.categories
    present = ~column.is_missing()
    numbers, inverse = np.unique(column.values[present], return_inverse=True)
    spelled = [str(int(number)) if number.is_integer() else repr(number) for number in numbers.tolist()]
    order = np.array(sorted(range(len(spelled)), key=spelled.__getitem__), dtype=np.int64)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    codes = np.full(len(column.values), -1, dtype=np.int64)
    codes[present] = rank[inverse]
    return codes, tuple(spelled[i] for i in order)


def _column(table: Table, name: str, type_: str | None = None) -> Column:
    column = table.columns.get(name)
    if column is None:
        raise Invalid(
            None, Fault(f"columns.{name}", "missing_column", "The dataset has no such column to use.")
        )
    if type_ is not None and column.type != type_:
        message = f"The model was trained on a {type_} column; here it is a {column.type}."
        hint = f'Correct it at upload with columns {{"{name}": {{"type": "{type_}"}}}}.'
        raise Invalid(None, Fault(f"columns.{name}", "wrong_type", message, hint))
    return column
