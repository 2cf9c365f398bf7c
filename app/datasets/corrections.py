"""What a client says of columns, in place of what would be inferred."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

from app.datasets import moments
from app.errors import Fault, InvalidDataset

Type = Literal["number", "category", "boolean", "date", "text"]
TYPES: tuple[Type, ...] = ("number", "category", "boolean", "date", "text")
WORDS_LIMIT, WORD_LENGTH = 20, 255
FAULT_LIMIT = 20


@dataclass(frozen=True, slots=True)
class Correction:
    """``date_format`` is one of `moments.FORMATS`, or to be found. ``categories``: how a boolean was spelled,
    of a column that stays as it is. ``missing``: what stands for no value in this column, in lower case.
    """

    type: Type
    date_format: str | None = None
    categories: tuple[str, ...] | None = None
    missing: tuple[str, ...] = ()


def read(corrections: object, names: list[str]) -> dict[str, Correction]:
    """`{"zip": {"type": "category"}}`: each name, type, date format and missing word checked.

    Raises InvalidDataset, which lists what is wrong.
    """
    if not isinstance(corrections, Mapping):
        raise InvalidDataset(None, Fault("columns", "wrong_type", "Expected an object by column name."))
    faults = [fault for name, said in corrections.items() for fault in _faults(name, said, names)]
    if faults:
        raise InvalidDataset("The corrections of columns do not fit the file.", *faults[:FAULT_LIMIT])
    return {
        name: Correction(
            said["type"],
            said.get("format"),
            missing=tuple(str(word).strip().lower() for word in said.get("missing", ())),
        )
        for name, said in corrections.items()
    }


def _faults(name: object, said: Any, names: list[str]) -> list[Fault]:
    param = f"columns.{str(name)[:255]}"
    if name not in names:
        near = get_close_matches(str(name)[:255], names, n=1, cutoff=0.5)
        hint = f"Did you mean '{near[0]}'?" if near else None
        return [Fault(param, "unknown_column", "The file has no such column.", hint)]
    if not isinstance(said, Mapping) or not {"type"} <= said.keys() <= {"type", "format", "missing"}:
        message = 'Expected an object with "type", and perhaps "missing", or for a date "format".'
        return [Fault(param, "wrong_type", message)]
    if said["type"] not in TYPES:
        return [Fault(f"{param}.type", "not_allowed", f"Expected one of {', '.join(TYPES)}.")]
    if "format" in said and (said["type"] != "date" or said["format"] not in moments.FORMATS):
        message = f"Only a date has one: one of {', '.join(moments.FORMATS)}."
        return [Fault(f"{param}.format", "not_allowed", message)]
    if "missing" in said and not _are_words(said["missing"]):
        message = f"Expected a list of at most {WORDS_LIMIT} words or numbers, as the file spells them."
        return [Fault(f"{param}.missing", "wrong_type", message)]
    return []


def _are_words(said: object) -> bool:
    return (
        isinstance(said, list)
        and len(said) <= WORDS_LIMIT
        and all(type(word) in (str, int, float) and len(str(word)) <= WORD_LENGTH for word in said)
    )
