"""Numbers as people write them: with separators of thousands, a decimal comma, a currency or a unit."""

from collections.abc import Iterable

import polars as pl

POINT, COMMA = "point", "comma"
"""Which sign parts the decimals: 1,234.5 or 1.234,5."""

CODES = "EUR|USD|GBP|CHF|JPY|CNY|INR|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|BRL|MXN|ZAR|KRW|TRY"
SPACE = r"[ \u{a0}\u{202f}]"
GAP = r"[ \u{a0}\u{202f}'\u{2019}]"
SIGN = r"[+\-\u{2212}]?"
BEFORE = rf"(?:(?:[A-Z]{{0,3}}\p{{Sc}}|{CODES}){SPACE}?)?"
UNIT = rf"{SPACE}[A-Za-z\u{{b5}}/\u{{b2}}\u{{b3}}]{{1,12}}"
BEHIND = rf"(?:{SPACE}?(?:[%\u{{2030}}]|\u{{b0}}[CF]?|\p{{Sc}}|{CODES})|{UNIT})?"
EXPONENT = r"(?:[eE][+-]?[0-9]+)?"


def _digits(thousands: str, decimal: str) -> str:
    whole = rf"(?:[0-9]{{1,3}}(?:{thousands}[0-9]{{3}})+|[0-9]{{1,3}}(?:{GAP}[0-9]{{3}})+|[0-9]+)"
    return rf"(?:{whole}(?:{decimal}[0-9]*)?|{decimal}[0-9]+)"


DIGITS = {POINT: _digits(",", r"\."), COMMA: _digits(r"\.", ",")}
PART = {each: digits + EXPONENT for each, digits in DIGITS.items()}
WHOLE = {each: rf"^(?:{SIGN}{SPACE}?{BEFORE}|{BEFORE}{SIGN}){part}{BEHIND}$" for each, part in PART.items()}
THOUSANDS = r"^[+-]?[1-9][0-9]{0,2}(\.[0-9]{3})+$"
"""1.234, where it is one of many and other columns have decimal commas."""

MINUS = r"^[^0-9]*[-\u{2212}]"


def fitting(different: pl.Series, spellings: Iterable[str]) -> list[str]:
    """Those of the spellings in which all of these values are finite numbers."""
    return [
        each
        for each in spellings
        if different.str.contains(WHOLE[each]).all() and read(different, each).is_finite().all()
    ]


def beside(different: pl.Series, spelling: str) -> set[str]:
    """What stands beside the digits: the numbers are of one quantity where it is the same everywhere."""
    rest = different.str.replace(PART[spelling], "", n=1).str.replace_all(rf"[+\-\u{{2212}}]|{SPACE}", "")
    return set(rest.unique().to_list())


def read(cells: pl.Series, spelling: str) -> pl.Series:
    """Float64 of values that fit; minus zero is zero."""
    digits = cells.str.extract(f"({PART[spelling]})", 1)
    plain = digits.str.replace_all(rf"{GAP}|{'[.]' if spelling == COMMA else ','}", "")
    numbers = plain.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    is_less = cells.str.contains(MINUS) & (numbers != 0)
    return pl.select(pl.when(is_less).then(-numbers).otherwise(numbers)).to_series().alias(cells.name)
