"""The type of each column, from all of its rows; or as a correction says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from app.datasets import amounts, dates, guesses
from app.datasets.corrections import Correction, Type
from app.datasets.naming import EMPTY
from app.datasets.source import Parts
from app.datasets.spelling import DIGIT_TRUTH, FAMILIES_OF_TRUTH, TRUTH
from app.datasets.survey import VALUES_LIMIT, Facts, Survey, look_at_strings
from app.datasets.table import BOOLEAN_CATEGORIES
from app.errors import Fault, InvalidDataset

SPELLINGS_OF_TRUTH = 2**4 + 2**5
TRUTHS = "Spell them true and false, yes and no, or 1 and 0; or let the column be a category."
TEXT_LENGTH = 255
"""A column with a longer value than this is text."""

NATURAL: dict[type[pl.DataType], Type] = {pl.Float64: "number", pl.Boolean: "boolean", pl.Datetime: "date"}


@dataclass(frozen=True, slots=True)
class Decided:
    """What a column is, and how its cells are read. ``categories`` of a boolean are its two spellings; text
    has none. ``spelling`` is of numbers that are no plain ones: see `amounts`. ``distinct`` and
    ``all_different`` are of text: see `survey.Strings`."""

    name: str
    type: Type
    missing: int
    corrected: bool
    categories: tuple[str, ...] | None = None
    date_format: str | None = None
    spelling: str | None = None
    distinct: int | None = None
    all_different: bool = False


def infer(
    parts: Parts,
    found: Survey,
    corrections: Mapping[str, Correction],
    *,
    spelled: bool,
    decimal_comma: bool = False,
    kept: Mapping[str, Correction] | None = None,
) -> tuple[list[Decided], list[Fault]]:
    """Types the columns of a survey, and warns of what is no matter of course. Cells are stripped, and the
    `MISSING_WORDS` are null.

    Number: all values are decimal or scientific, or all are `amounts` of one quantity; with ``decimal_comma``
    1,234 is less than 2.
    Boolean: one of the `FAMILIES_OF_TRUTH`, in any case. Date: see `dates`. Else strings: few distinct ones
    (≤ 50, or ≤ a tenth of the rows and ≤ 1,000) are a category; more, or one of more than 255 characters,
    are text.
    Unless they are ``spelled``, columns have types of their own, and strings are only told apart as the
    last two. ``kept``: types that stay, without being corrections.

    `InvalidDataset` names, by row, the first infinite number or value that a correction cannot hold.
    """
    wanted = {**(kept or {}), **corrections}
    looked_at = [
        facts.name
        for facts in found.columns.values()
        if facts.dtype == pl.String
        and (
            not facts.is_number
            or (not spelled and facts.name not in wanted)
            or (facts.name in wanted and wanted[facts.name].type != "number")
        )
    ]
    dated = [name for name, each in wanted.items() if each.type == "date"]
    look_at_strings(parts, found, looked_at, decimal_comma, dated)
    decided: list[Decided] = []
    warnings: list[Fault] = []
    faults: list[Fault] = []
    for facts in found.columns.values():
        try:
            column = _decide(facts, found.row_count, parts, wanted.get(facts.name), spelled)
        except InvalidDataset as error:
            faults += error.faults
            continue
        if facts.name in (kept or {}) and facts.name not in corrections:
            column = replace(column, corrected=False)
        decided.append(column)
        warnings += _warnings(column, facts, found.row_count, spelled)
    if faults:
        raise InvalidDataset("Some values cannot be read.", *faults[:20])
    for name in _with_thousands(decided, found, parts) if decimal_comma else ():
        place = next(i for i, each in enumerate(decided) if each.name == name)
        decided[place] = replace(decided[place], spelling=amounts.COMMA)
        if not decided[place].corrected:
            warnings += guesses.of_number(found.columns[name], amounts.COMMA, beside=True)
    return decided, warnings


def _with_thousands(decided: list[Decided], found: Survey, parts: Parts) -> set[str]:
    """Numbers with points, in a file of decimal commas: each point of theirs parts thousands."""
    all_strings = [facts.strings for facts in found.columns.values()]
    if not any(each and each.present and each.amounts == [amounts.COMMA] for each in all_strings):
        return set()
    plain = [each.name for each in decided if each.type == "number" and each.spelling is None]
    names = {name for name in plain if found.columns[name].dtype == pl.String}
    pointed: set[str] = set()
    for frame, _ in parts:
        for name in sorted(names.intersection(frame.columns)):
            points = frame[name].drop_nulls()
            points = points.filter(points.str.contains(".", literal=True))
            if not points.str.contains(amounts.THOUSANDS).all():
                names.remove(name)
            elif len(points):
                pointed.add(name)
    return names & pointed


def _decide(facts: Facts, row_count: int, parts: Parts, wanted: Correction | None, spelled: bool) -> Decided:
    kind = wanted.type if wanted else None
    if (natural := NATURAL.get(type(facts.dtype))) is not None:
        if natural == "number":
            _check_finite(facts)
        said = wanted or Correction(natural)
        if natural == "boolean":
            return _column(facts, natural, wanted, categories=said.categories or BOOLEAN_CATEGORIES)
        form = (said.date_format or dates.ISO) if natural == "date" else None
        return _column(facts, natural, wanted, date_format=form)
    strings = facts.strings
    may_be_number = kind == "number" or (kind is None and spelled)
    if may_be_number and facts.is_number:
        _check_finite(facts)
        return _column(facts, "number", wanted)
    if strings is None:  # asked to be a number, and is none
        raise _no_number(facts, parts)
    if may_be_number and strings.amounts and strings.present:
        return _column(facts, "number", wanted, spelling=strings.amounts[0])
    if kind == "number":
        raise _no_number(facts, parts)
    if kind == "boolean" or (kind is None and spelled):
        truth = _truth(strings.values, asked=kind == "boolean")
        if truth is not None:
            return _column(facts, "boolean", wanted, categories=truth)
        if kind == "boolean":
            what = "is not true or false"
            raise _refusal(facts, parts, "not_a_boolean", what, _is_no_truth, hint=TRUTHS)
    if kind == "date" or (kind is None and spelled):
        form = _date_format(facts, parts, wanted)
        if form is not None:
            return _column(facts, "date", wanted, date_format=form)
    if kind == "category" and strings.values is None:
        count = f"{strings.distinct}" if strings.distinct else "too many"
        message = f"It has {count} distinct values; a category may have {VALUES_LIMIT}."
        fault = Fault(f"columns.{facts.name}", "too_many_categories", message, "Let it be text.")
        raise InvalidDataset(None, fault)
    few = strings.values is not None and len(strings.values) <= max(50, min(1_000, row_count // 10))
    chosen = kind or ("category" if few and strings.longest <= TEXT_LENGTH else "text")
    if chosen == "category":
        assert strings.values is not None
        return _column(facts, chosen, wanted, categories=tuple(strings.values.to_list()))
    return _column(
        facts,
        "text",
        wanted,
        distinct=strings.distinct,
        all_different=strings.all_different and strings.present > 0,
    )


def _column(facts: Facts, kind: Type, wanted: Correction | None, **more: Any) -> Decided:
    return Decided(facts.name, kind, facts.missing, wanted is not None, **more)


def _check_finite(facts: Facts) -> None:
    if facts.infinite_row is not None:
        message = f"Row {facts.infinite_row + 1} of column '{facts.name}' holds an infinite number."
        raise InvalidDataset(None, Fault(f"columns.{facts.name}", "infinite_number", message, EMPTY))


def _truth(values: pl.Series | None, *, asked: bool) -> tuple[str, str] | None:
    """How false and true are spelled: as the file has them where it has one of each; None of other words."""
    if values is None or len(values) > SPELLINGS_OF_TRUTH:
        return None
    spelled = values.to_list()
    words = {word.lower() for word in spelled}
    if words <= set(BOOLEAN_CATEGORIES):
        return BOOLEAN_CATEGORIES
    for family in FAMILIES_OF_TRUTH:
        if words == set(family) or (asked and words <= set(family)):
            if len(spelled) > len(words):
                return family
            found = {word.lower(): word for word in spelled}
            return found.get(family[0], family[0]), found.get(family[1], family[1])
    return BOOLEAN_CATEGORIES if asked and words <= (TRUTH | DIGIT_TRUTH).keys() else None


def _date_format(facts: Facts, parts: Parts, wanted: Correction | None) -> str | None:
    strings = facts.strings
    assert strings is not None
    formats = strings.formats or []
    if wanted is None:
        return formats[0] if formats and not dates.are_unsure(formats) else None
    named = wanted.date_format
    if named is not None:
        if named in formats or not strings.present:
            return named
        what = "is not a date" if named == dates.ISO else f"is not a date as {named}"
        raise _refusal(facts, parts, "not_a_date", what, lambda cells: dates.read(cells, named).is_null())
    if not strings.present:
        return dates.ISO
    if dates.are_unsure(formats):
        message = "Its values are dates whose days and months may be taken for each other."
        hint = 'Name the "format": "%d/%m/%Y" has the day first, "%m/%d/%Y" the month.'
        raise InvalidDataset(None, Fault(f"columns.{facts.name}", "ambiguous_date", message, hint))
    if formats:
        return formats[0]
    raise _refusal(facts, parts, "not_a_date", "is not a date", _is_no_date(facts, parts))


def _warnings(column: Decided, facts: Facts, row_count: int, spelled: bool) -> list[Fault]:
    """Of what was guessed, and so not where it was said."""
    strings = facts.strings
    if column.corrected:
        return []
    if column.type in ("category", "text") and strings is not None:
        unsure = guesses.of_unsure_dates(column.name, strings)
        return unsure or (guesses.of_text(facts, strings, row_count) if spelled else [])
    if not spelled:
        return []
    if column.type == "number":
        beside = strings is not None and bool(strings.beside - {""})
        return guesses.of_number(facts, column.spelling, beside)
    if column.type == "date":
        return guesses.of_date(column.name, column.date_format or dates.ISO)
    return []


def _no_number(facts: Facts, parts: Parts) -> InvalidDataset:
    """Names what is no number in any spelling; of numbers that do not go together, the first odd one."""
    is_bad = _is_no_number if _first_row(facts, parts, _is_no_amount) is None else _is_no_amount
    return _refusal(facts, parts, "not_a_number", "is not a number", is_bad)


def _is_no_number(cells: pl.Series) -> pl.Series:
    return cells.cast(pl.Float64, strict=False).fill_nan(None).is_null()


def _is_no_amount(cells: pl.Series) -> pl.Series:
    return _is_no_number(cells) & ~cells.str.contains("|".join(amounts.WHOLE.values()))


def _is_no_truth(cells: pl.Series) -> pl.Series:
    return ~cells.str.to_lowercase().is_in(list(TRUTH | DIGIT_TRUTH))


def _is_no_date(facts: Facts, parts: Parts) -> Callable[[pl.Series], pl.Series]:
    """In the format of the first value that has one at all; of none, every value is wrong."""
    forms: list[str] = []
    for frame, _ in parts:
        if facts.name in frame.columns and len(cells := frame[facts.name].drop_nulls()):
            forms = dates.candidates(cells[0], on_request=True)
            break
    if not forms:
        return lambda cells: cells.is_not_null()
    return lambda cells: dates.read(cells, forms[0]).is_null()


def _first_row(facts: Facts, parts: Parts, is_bad: Callable[[pl.Series], pl.Series]) -> int | None:
    row = 0
    for frame, _ in parts:
        if facts.name in frame.columns:
            cells = frame[facts.name]
            bad = is_bad(cells) & cells.is_not_null()
            if bad.any():
                return row + int(bad.arg_max() or 0)
        row += frame.height
    return None


def _refusal(
    facts: Facts,
    parts: Parts,
    code: str,
    what: str,
    is_bad: Callable[[pl.Series], pl.Series],
    hint: str = EMPTY,
) -> InvalidDataset:
    """Names the first row whose value is bad."""
    row = _first_row(facts, parts, is_bad) or 0
    message = f"Row {row + 1} of column '{facts.name}' {what}."
    return InvalidDataset(None, Fault(f"columns.{facts.name}", code, message, hint))
