"""What an encoding does with each raw column, in the few forms that every export knows how to write.

A feature has one converter, here. One that none of these forms can say is refused, not left out.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal, assert_never

from app.datasets.encoding import Encoding
from app.datasets.features import BooleanFeature, CategoryFeature, Feature, NumberFeature


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
    """One column, 0 or 1; ``missing`` stands for a missing value."""

    name: str
    missing: int
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


Input = NumberInput | BooleanInput | CategoryInput


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


def _input(feature: Feature) -> Input:
    match feature:
        case NumberFeature():
            return NumberInput(feature.name, feature.mean, feature.offset, feature.scale)
        case BooleanFeature():
            return BooleanInput(feature.name, feature.most_frequent)
        case CategoryFeature():
            slots = {name: slot for slot, name in enumerate(feature.categories) if feature.known[slot]}
            missing = feature.most_frequent if any(feature.known) else None
            return CategoryInput(feature.name, slots, missing, None, len(feature.categories))
    assert_never(feature)
