"""JSON as RFC 8259 has it: what Python's own reader lets through, and others cannot read, is refused."""

import json
import math
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple, NoReturn

from app.errors import ChainruleError, Fault, Invalid, MalformedRequest

NAME_LIMIT = 255
"""Characters of a client's own words that are told."""

PLACED_CHARACTERS = 1 << 20
"""A longer body is not read twice to tell where it is wrong."""

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_LONE = re.compile("[\ud800-\udfff]")


MALFORMED = "malformed_json"


class _Wrong(NamedTuple):
    """What a value is not, and a way out. ``code``: `MALFORMED`, or what is wrong with the one value."""

    message: str
    hint: str
    code: str = MALFORMED


_TWICE = _Wrong("An object has the same name twice.", "Readers differ in which one they take: send one.")
_HALF = _Wrong(
    "A string holds half of a surrogate pair.", "Write characters as they are, in UTF-8.", "lone_surrogate"
)
_LARGE = _Wrong("A number is beyond the range of a 64-bit float.", "The largest is 1.79e308.", "not_finite")
_LONG = _Wrong("An integer has more than 300 digits.", "The largest number is 1.79e308.", "out_of_range")


def loads(body: bytes) -> Any:
    """Read one JSON document.

    Raises MalformedRequest for anything but strict UTF-8 JSON, such as a name twice in one object or a byte
    order mark. Raises Invalid for one value that cannot be: NaN and Infinity, numbers beyond float64,
    integers of over 300 digits, half of a surrogate pair. Either tells the place where there is one.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed(f"The body is not UTF-8 (byte {error.start}).", hint="Send UTF-8.") from None
    if text.startswith("\ufeff"):
        raise _malformed("The body begins with a byte order mark.", hint="Leave it out: JSON has none.")
    try:
        document = _reader().decode(text)
    except json.JSONDecodeError as error:
        raise _no_json(error) from None
    except RecursionError:
        raise _malformed(
            "The body is nested too deeply.", hint="The bodies of this API have few levels."
        ) from None
    except _Refused as refused:
        raise _placed(text, refused.wrong) from None
    if _SURROGATE.search(body) and (found := next(_wrongs(document), None)):
        raise _problem(*found)
    return document


class _Refused(Exception):
    def __init__(self, wrong: _Wrong) -> None:
        self.wrong = wrong


def _refuse(wrong: _Wrong) -> NoReturn:
    raise _Refused(wrong)


@cache
def _reader(wrong: Callable[[_Wrong], Any] = _refuse) -> json.JSONDecoder:
    """A reader that has ``wrong`` in place of each value that is none."""

    def constant(name: str) -> Any:
        message = f"{name.lstrip('-')} is not a number in JSON."
        return wrong(_Wrong(message, "Use null for a missing number.", "not_finite"))

    def finite(digits: str) -> Any:
        number = float(digits)
        if math.isfinite(number):
            return number
        return wrong(_LARGE)

    def integer(digits: str) -> Any:
        return int(digits) if len(digits) <= 300 else wrong(_LONG)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            seen: set[str] = set()
            for name, _ in pairs:
                if name in seen:
                    members[name] = wrong(_TWICE)
                seen.add(name)
        return members

    return json.JSONDecoder(
        parse_constant=constant, parse_float=finite, parse_int=integer, object_pairs_hook=unique
    )


def _malformed(message: str, hint: str | None = None) -> MalformedRequest:
    return MalformedRequest(message, Fault("", MALFORMED, message, hint))


def _no_json(error: json.JSONDecodeError) -> MalformedRequest:
    place = f"line {error.lineno}, column {error.colno}"
    return _malformed(f"The body is not JSON: {error.msg} at {place}.")


def _problem(wrong: _Wrong, param: str = "") -> ChainruleError:
    where = f"{param}: " if param else ""
    family = MalformedRequest if wrong.code == MALFORMED else Invalid
    return family(f"{where}{wrong.message}", Fault(param, wrong.code, wrong.message, wrong.hint))


def _placed(text: str, wrong: _Wrong) -> ChainruleError:
    """Read it once more, to tell the place, and whether it is JSON at all; what is long has to do without."""
    if len(text) > PLACED_CHARACTERS:
        return _problem(wrong)
    try:
        marked = _reader(_kept).decode(text)
    except json.JSONDecodeError as error:
        return _no_json(error)
    except RecursionError:
        return _problem(wrong)
    return _problem(*next(_wrongs(marked), (wrong, "")))


def _kept(wrong: _Wrong) -> _Wrong:
    return wrong


def _wrongs(document: Any) -> Iterator[tuple[_Wrong, str]]:
    """What is wrong, and its path, in the document's order. Not recursive: it may be deep."""
    pending: list[Iterator[tuple[int | str, Any]]] = [iter([("", document)])]
    steps: list[int | str] = [""]
    while pending:
        steps[-1], value = next(pending[-1], ("", pending))
        if value is pending:
            pending.pop()
            steps.pop()
        elif isinstance(value, _Wrong):
            yield value, _path(steps)
        elif isinstance(value, str):
            if _LONE.search(value):
                yield _HALF, _path(steps)
        elif isinstance(value, list):
            pending.append(enumerate(value))
            steps.append(0)
        elif isinstance(value, dict):
            if any(map(_LONE.search, value)):
                yield _HALF, _path(steps)
            pending.append(iter(value.items()))
            steps.append("")


def _path(steps: list[int | str]) -> str:
    path = ""
    for step in steps[1:]:
        path += f"[{step}]" if isinstance(step, int) else f".{step[:NAME_LIMIT]}"
    return path.removeprefix(".")
