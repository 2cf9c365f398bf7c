"""Warnings of what was guessed of a column's type, each with a way to say otherwise."""

from app.datasets import amounts, dates
from app.datasets.survey import NEARLY, Facts, Strings
from app.errors import Fault

CODES = {
    "ambiguous_date",
    "decimal_comma",
    "formatted_numbers",
    "leading_zeros",
    "mostly_dates",
    "mostly_numbers",
    "two_digit_years",
}

FEW_NUMBERS = 10
"""A category of no more different numbers than this, and a word or two, is one."""


def of_number(facts: Facts, spelling: str | None, beside: bool) -> list[Fault]:
    """``spelling``: of `amounts`, None where they are plain; ``beside``: whether anything stands there."""
    name = facts.name
    if spelling == amounts.COMMA and not beside:
        message = f"The values of '{name}' were read as numbers with a decimal comma."
        return [_warning(name, "decimal_comma", message, _as(name, "text", "they are none"))]
    if spelling is not None:
        sign = "commas" if spelling == amounts.COMMA else "points"
        message = (
            f"The values of '{name}' were read as numbers with {sign} before the decimals, without what "
            "parts thousands or stands beside them: 12 % is 12."
        )
        return [_warning(name, "formatted_numbers", message, _as(name, "category", "they are none"))]
    if facts.leading_zeros:
        message = f"Values of '{name}' begin with zeros, as codes do; they were read as numbers."
        return [_warning(name, "leading_zeros", message, _as(name, "category", "they are codes"))]
    return []


def of_date(name: str, form: str) -> list[Fault]:
    if "%y" not in form:
        return []
    message = f"The years of '{name}' have two digits: they were taken for 1969 to 2068."
    return [_warning(name, "two_digit_years", message, "Write years with four digits where that is wrong.")]


def of_unsure_dates(name: str, strings: Strings) -> list[Fault]:
    """Of a column that became a category or text."""
    if not dates.are_unsure(strings.formats):
        return []
    message = f"The values of '{name}' look like dates, but days and months may be confused."
    day_first = next(each for each in strings.formats if each.startswith("%d"))
    hint = f'Say which: columns {{"{name}": {{"type": "date", "format": "{day_first}"}}}}.'
    return [_warning(name, "ambiguous_date", message, hint)]


def of_text(facts: Facts, strings: Strings, row_count: int) -> list[Fault]:
    """Of a column that became a category or text, though it is nearly something else."""
    name, present = facts.name, row_count - facts.missing
    if facts.others <= NEARLY * present and _has_many_numbers(strings):
        row = f"; that of row {facts.first_other + 1} is none" if facts.first_other is not None else ""
        message = f"{present - facts.others} of {present} values of '{name}' are numbers{row}."
        return [_warning(name, "mostly_numbers", message, _nothing(name, "number"))]
    if strings.misses and not strings.formats and strings.looked_at > FEW_NUMBERS:
        message = f"Most values of '{name}' are dates, but not all of them in the same format."
        return [_warning(name, "mostly_dates", message, _nothing(name, "date"))]
    return []


def _has_many_numbers(strings: Strings) -> bool:
    if strings.values is None:
        return True
    numbers = strings.values.str.contains(r"^[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?$").sum()
    return int(numbers) > FEW_NUMBERS


def _warning(name: str, code: str, message: str, hint: str) -> Fault:
    return Fault(f"columns.{name}", code, message, hint)


def _as(name: str, kind: str, otherwise: str) -> str:
    return f'Upload with columns {{"{name}": {{"type": "{kind}"}}}} if {otherwise}.'


def _nothing(name: str, kind: str) -> str:
    return (
        "Leave the other cells empty, or name what in them stands for a missing value: columns "
        f'{{"{name}": {{"type": "{kind}", "missing": ["-"]}}}}.'
    )
