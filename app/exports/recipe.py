"""What an encoding does with each raw column, in the few forms that every export knows how to write.

A feature has one converter, here. One that none of these forms can say is refused, not left out.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from app.datasets.encoding import Encoding
from app.datasets.features import Feature


class Unportable(Exception):
    """An export cannot say what this model does; the message is for whoever asked for it."""


Indicator = Literal["none", "silent", "active"]
"""A last column that is 1 where the value is missing; a silent one is always 0."""


@dataclass(frozen=True, slots=True)
class NumberInput:
    """One column, (value − offset) / scale; ``missing`` stands for a missing value."""

    name: str
    missing: float
    offset: float
    scale: float
    indicator: Indicator = "none"
    type: Literal["number"] = "number"

    own = 1


@dataclass(frozen=True, slots=True)
class BooleanInput:
    """One column, 0 or 1; ``missing`` stands for a missing value. ``words``: how the dataset spells them."""

    name: str
    missing: int
    words: tuple[str, ...] = ("false", "true")
    indicator: Indicator = "none"
    type: Literal["boolean"] = "boolean"

    own = 1


@dataclass(frozen=True, slots=True)
class CategoryInput:
    """``own`` columns: 1 in the slot of the value, else 0; None: nowhere. Values may share a slot."""

    name: str
    slots: dict[str, int]
    missing: int | None
    unknown: int | None
    own: int
    indicator: Indicator = "none"
    type: Literal["category"] = "category"


@dataclass(frozen=True, slots=True)
class DateInput:
    """(t − offset) / scale of t, seconds since 1970, then sine and cosine of 2π (t − shift) / length for each
    cycle; ``missing`` stands for a missing t, and the others are 0.
    """

    name: str
    missing: float
    offset: float
    scale: float
    cycles: tuple[tuple[float, float], ...]
    date_format: str
    own: int
    indicator: Indicator = "none"
    type: Literal["date"] = "date"


Input = NumberInput | BooleanInput | CategoryInput | DateInput


def inputs_of(encoding: Encoding) -> tuple[Input, ...]:
    """One for each feature, in order. Raises Unportable."""
    return tuple(_checked(feature) for feature in encoding.features)


def width_of(each: Input) -> int:
    """Its columns, the indicator among them."""
    return each.own + (each.indicator != "none")


def plain(inputs: tuple[Input, ...]) -> list[dict[str, Any]]:
    """The same as JSON values."""
    return [asdict(each) for each in inputs]


def _checked(feature: Feature) -> Input:
    made = _input(feature)
    if width_of(made) != feature.width:
        raise Unportable(f"No export knows yet how to encode '{feature.name}'.")
    return made


def _input(feature: Any) -> Input:
    """By its type; what features of older models do not have is as it was then."""
    name: str = feature.name
    indicator: Indicator = getattr(feature, "indicator", "none")
    match feature.type:
        case "number":
            return NumberInput(name, feature.mean, feature.offset, feature.scale, indicator)
        case "boolean":
            return BooleanInput(name, feature.most_frequent, tuple(feature.categories), indicator)
        case "category":
            return _category(feature, indicator)
        case "date":
            cycles = tuple(feature.cycles)
            scaling = (feature.mean, feature.offset, feature.scale)
            return DateInput(name, *scaling, cycles, feature.date_format, 1 + 2 * len(cycles), indicator)
    raise Unportable(f"No export knows yet the type of '{name}'.")


def _category(feature: Any, indicator: Indicator) -> CategoryInput:
    if hasattr(feature, "places"):
        own = feature.own + any(feature.rare)
        places = (feature.place_of_missing, feature.place_of_unknown)
        return CategoryInput(feature.name, dict(feature.places), *places, own, indicator)
    slots = {name: slot for slot, name in enumerate(feature.categories) if feature.known[slot]}
    missing = feature.most_frequent if slots else None
    return CategoryInput(feature.name, slots, missing, None, len(feature.categories))
