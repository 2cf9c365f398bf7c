"""Named prediction rows of plain JSON values -> network inputs: the hot path of a prediction."""

import math
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

import numpy as np

from app.datasets.date_features import DateFeature
from app.datasets.features import BooleanFeature, CategoryFeature, Feature, Floats, NumberFeature
from app.datasets.moments import seconds_of
from app.datasets.spelling import TRUTH
from app.datasets.table import MISSING_WORDS
from app.errors import Fault, Invalid

FAULT_LIMIT = 20
_UNKNOWN = "No training row has this category: it was encoded as unknown."

TRUTH_OR_MISSING: dict[str, bool | None] = {**TRUTH, **dict.fromkeys(MISSING_WORDS)}

KINDS = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


class RowWarning(NamedTuple):
    """Something in row `row` (0-based) that was encoded, but perhaps not as meant."""

    row: int
    param: str
    code: str
    message: str


class _Refusal(NamedTuple):
    code: str
    message: str


Encode = Callable[[object, list[float]], str | _Refusal | None]
"""Writes the value's place into a row of inputs; answers a warning's message, or why the value cannot be."""


class RowEncoder:
    """Encodes rows for one model; everything that does not depend on a row is worked out beforehand."""

    def __init__(self, features: Sequence[Feature], other_columns: Sequence[str]) -> None:
        self._slots: list[tuple[str, Encode]] = []
        self._width = 0
        for feature in features:
            self._slots.append((feature.name, _slot(feature, self._width)))
            self._width += feature.width
        self._known = frozenset([f.name for f in features]) | frozenset(other_columns)

    def encode(self, rows: Sequence[Mapping[str, object]]) -> tuple[Floats, list[RowWarning]]:
        """k rows -> x (k, s_1). `Invalid` lists absent features, unknown names and values of a wrong kind."""
        faults: list[Fault] = []
        warnings: list[RowWarning] = []
        inputs = []
        for i, row in enumerate(rows):
            encoded = [0.0] * self._width
            for name, encode in self._slots:
                if name not in row:
                    faults.append(_missing(i, name))
                elif (said := encode(row[name], encoded)) is None:
                    continue
                elif isinstance(said, str):
                    warnings.append(RowWarning(i, f"rows[{i}].{name}", "unknown_category", said))
                else:
                    faults.append(Fault(f"rows[{i}].{name}", said.code, said.message))
            if not row.keys() <= self._known:
                faults += [_unknown(i, name, self._known) for name in row if name not in self._known]
            if len(faults) >= FAULT_LIMIT:
                break
            inputs.append(encoded)
        if faults:
            raise Invalid("The rows do not fit the model's columns.", *faults[:FAULT_LIMIT])
        return np.array(inputs, dtype=np.float64).reshape(len(inputs), self._width), warnings


def _missing(row: int, name: str) -> Fault:
    return Fault(
        f"rows[{row}].{name}", "missing_column", "This feature is absent.", "Send null for a missing value."
    )


def _unknown(row: int, name: str, known: frozenset[str]) -> Fault:
    near = get_close_matches(name[:255], sorted(known), n=1, cutoff=0.5)
    hint = f"Did you mean '{near[0]}'?" if near else None
    return Fault(f"rows[{row}].{name[:255]}", "unknown_column", "The model has no such column.", hint)


def _slot(feature: Feature, start: int) -> Encode:
    match feature:
        case NumberFeature():
            return _number(feature, start)
        case BooleanFeature():
            return _boolean(feature, start)
        case CategoryFeature():
            return _category(feature, start)
        case DateFeature():
            return _date(feature, start)


def _mark(feature: Feature, start: int) -> int | None:
    """The input that is 1 where the value is missing, if there is one."""
    return start + feature.width - 1 if feature.indicator == "active" else None


def _wrong_kind(wanted: str, value: object) -> _Refusal:
    return _Refusal(
        "wrong_type", f"Expected {wanted} or null, got {KINDS.get(type(value), 'something else')}."
    )


def _number(feature: NumberFeature, start: int) -> Encode:
    offset, scale = feature.offset, feature.scale
    imputed, mark = (feature.mean - offset) / scale, _mark(feature, start)

    def encode(value: object, inputs: list[float]) -> _Refusal | None:
        if value is None:
            inputs[start] = imputed
            if mark is not None:
                inputs[mark] = 1.0
            return None
        if type(value) is not float and type(value) is not int:
            return _wrong_kind("a number", value)
        try:
            inputs[start] = encoded = (value - offset) / scale
        except OverflowError:
            encoded = math.inf
        return None if math.isfinite(encoded) else _Refusal("infinite_number", "The number is too large.")

    return encode


def _boolean(feature: BooleanFeature, start: int) -> Encode:
    mark = _mark(feature, start)

    def encode(value: object, inputs: list[float]) -> _Refusal | None:
        if type(value) is str and (word := value.strip().lower()) in TRUTH_OR_MISSING:
            value = TRUTH_OR_MISSING[word]
        if value is not None and type(value) is not bool:
            return _wrong_kind("true, false", value)
        if value is None and mark is not None:
            inputs[mark] = 1.0
        inputs[start] = float(feature.most_frequent if value is None else value)
        return None

    return encode


def _date(feature: DateFeature, start: int) -> Encode:
    def encode(value: object, inputs: list[float]) -> _Refusal | None:
        if value is not None and type(value) is not str:
            return _wrong_kind("a date", value)
        seconds = None
        if value is not None and value.strip().lower() not in MISSING_WORDS:
            seconds = seconds_of(value, feature.date_format)
            if seconds is None:
                return _Refusal("not_a_date", "Expected a date, as 2024-01-31 or as the dataset writes them.")
        feature.encode_one(seconds, inputs, start)
        return None

    return encode


def _category(feature: CategoryFeature, start: int) -> Encode:
    slots = {category: start + place for category, place in feature.places.items()}
    missing, unknown = feature.place_of_missing, feature.place_of_unknown
    mark = _mark(feature, start)

    def encode(value: object, inputs: list[float]) -> str | _Refusal | None:
        slot = slots.get(value) if type(value) is str else None
        if slot is None:
            found = _look_up(value, slots)
            if isinstance(found, _Refusal):
                return found
            if isinstance(found, str):
                if unknown is not None:
                    inputs[start + unknown] = 1.0
                return found
            if found is None:
                if mark is not None:
                    inputs[mark] = 1.0
                if missing is not None:
                    inputs[start + missing] = 1.0
                return None
            slot = found
        inputs[slot] = 1.0
        return None

    return encode


def _look_up(value: object, slots: dict[str, int]) -> int | str | _Refusal | None:
    """The slot of a value that is not spelled exactly as a category is; None of a missing one."""
    if value is None:
        return None
    if type(value) not in (str, int, float, bool):
        return _wrong_kind("a string", value)
    for spelling in _spellings(value):
        if spelling in slots:
            return slots[spelling]
        if type(value) is str and spelling.lower() in MISSING_WORDS:
            return None
    if type(value) is bool:
        return _wrong_kind("a string", value)
    return _UNKNOWN


def _spellings(value: object) -> tuple[str, ...]:
    """How a dataset may have spelled the value: 1.0 also as 1, and strings without the space around them."""
    if isinstance(value, bool):
        return (str(value).lower(),)
    if isinstance(value, int):
        # Python refuses to spell very long integers, and no category is as long.
        return (str(value),) if value.bit_length() < 1024 else ()
    if isinstance(value, float):
        return (repr(value), str(int(value))) if value.is_integer() else (repr(value),)
    return (str(value).strip(),)
