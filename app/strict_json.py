"""JSON as RFC 8259 has it: what Python's own reader lets through, and others cannot read, is refused."""

import json
import math
import re
from functools import cache
from typing import Any, NoReturn

from app.errors import Fault, MalformedRequest

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_LONE = re.compile("[\ud800-\udfff]")


def loads(body: bytes) -> Any:
    """Read one JSON document.

    Raises MalformedRequest for anything but strict UTF-8 JSON: NaN and Infinity, numbers beyond
    float64, integers of over 300 digits, a name twice in one object, half of a surrogate pair.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed(f"The body is not UTF-8 (byte {error.start}).") from None
    try:
        document = _reader().decode(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise _malformed(f"The body is not JSON: {error.msg} at {place}.") from None
    except RecursionError:
        raise _malformed("The body is nested too deeply.") from None
    if _SURROGATE.search(body):
        _refuse_lone_surrogates(document)
    return document


@cache
def _reader() -> json.JSONDecoder:
    return json.JSONDecoder(
        parse_constant=_constant, parse_float=_finite, parse_int=_integer, object_pairs_hook=_unique
    )


def _malformed(message: str) -> MalformedRequest:
    return MalformedRequest(message, Fault("", "malformed_json", message))


def _constant(name: str) -> NoReturn:
    raise _malformed(f"{name.lstrip('-')} is not JSON. Use null for a missing number.")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _malformed("A number is beyond the range of a 64-bit float.")
    return number


def _integer(digits: str) -> int:
    if len(digits) > 300:
        raise _malformed("An integer has more than 300 digits.")
    return int(digits)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _malformed("An object has the same name twice.")
    return members


def _refuse_lone_surrogates(document: Any) -> None:
    pending = [document]
    while pending:
        value = pending.pop()
        if isinstance(value, str) and _LONE.search(value):
            raise _malformed("A string holds half of a surrogate pair.")
        if isinstance(value, list):
            pending.extend(value)
        elif isinstance(value, dict):
            pending.extend(value)
            pending.extend(value.values())
