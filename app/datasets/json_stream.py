"""JSON in parts: the elements of an array, or the lines of JSON Lines, without all of the text in memory."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.datasets.naming import EMPTY, ROWS
from app.errors import Fault, InvalidDataset

BLOCK = 1 << 20
ELEMENT_CHARACTERS = 16 << 20
AGAIN = "Write it with a program that knows JSON."
WHITESPACE = " \t\r\n"


def loads(text: str) -> Any:
    """One document. Raises InvalidDataset, which names the line."""
    if not text.strip():
        raise _invalid("file", "empty_file", "The file holds nothing but blank lines.", ROWS)
    try:
        content = _strict(text)
    except json.JSONDecodeError as error:
        raise _invalid("file", "invalid_json", f"{error.msg} at line {error.lineno}.", AGAIN) from error
    if "\\" in text:
        _check_strings(content)
    return content


def lines(path: Path) -> Iterator[Any]:
    """The documents of JSON Lines; blank lines are none."""
    with path.open(encoding="utf-8-sig", newline="\n") as text:
        for number, line in enumerate(iter(lambda: text.readline(ELEMENT_CHARACTERS), ""), 1):
            if not line.strip(WHITESPACE):
                continue
            if len(line) == ELEMENT_CHARACTERS:
                raise _too_long(f"Line {number}")
            try:
                content = _strict(line)
            except json.JSONDecodeError as error:
                raise _invalid("file", "invalid_json", f"{error.msg} at line {number}.", AGAIN) from error
            if "\\" in line:
                _check_strings(content)
            yield content


def elements(path: Path) -> Iterator[Any]:
    """The elements of the array that is the file's one document."""
    with path.open(encoding="utf-8-sig") as text:
        window = _Window(text)
        window.take("[")
        if window.peek() == "]":
            window.take("]")
        else:
            while True:
                yield window.element()
                if window.peek() != ",":
                    break
                window.take(",")
            window.take("]")
        if window.peek():
            raise window.refusal("Extra data")


class _Window:
    """A part of the text, from which elements are taken; it grows where one does not fit."""

    def __init__(self, text: Any) -> None:
        self._text = text
        self._part = ""
        self._place = 0
        self._lines = 1

    def peek(self) -> str:
        """The next character that is no white space; "" at the end."""
        while True:
            while self._place < len(self._part) and self._part[self._place] in WHITESPACE:
                self._place += 1
            if self._place < len(self._part):
                return self._part[self._place]
            if not self._grow(BLOCK):
                return ""

    def take(self, character: str) -> None:
        if self.peek() != character:
            raise self.refusal(f"Expecting '{character}'")
        self._place += 1

    def element(self) -> Any:
        if not self.peek():
            raise self.refusal("Expecting value")
        size = BLOCK
        while True:
            try:
                content, end = DECODER.raw_decode(self._part, self._place)
            except json.JSONDecodeError as error:
                if len(self._part) - self._place > ELEMENT_CHARACTERS:
                    raise _too_long("An element of the array") from error
                if not self._grow(size):
                    raise self.refusal(error.msg, error.pos) from error
                size *= 2  # or an element of many blocks would be read anew for each of them
                continue
            except RecursionError as error:
                raise too_deep() from error
            except ValueError as error:
                raise _too_many_digits() from error
            if end == len(self._part) and self._grow(size):
                continue  # a number may go on
            if self._part.find("\\", self._place, end) >= 0:
                _check_strings(content)
            self._place = end
            return content

    def refusal(self, message: str, place: int | None = None) -> InvalidDataset:
        line = self._lines + self._part.count("\n", 0, self._place if place is None else place)
        return _invalid("file", "invalid_json", f"{message} at line {line}.", AGAIN)

    def _grow(self, size: int) -> bool:
        more = self._text.read(size)
        if more:
            self._lines += self._part.count("\n", 0, self._place)
            self._part = self._part[self._place :] + more
            self._place = 0
        return bool(more)


def _strict(text: str) -> Any:
    try:
        return DECODER.decode(text)
    except json.JSONDecodeError:
        raise
    except RecursionError as error:
        raise too_deep() from error
    except ValueError as error:
        raise _too_many_digits() from error


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _invalid("file", "duplicate_key", "An object has the same member twice.", "Send one of them.")
    return members


DECODER = json.JSONDecoder(object_pairs_hook=_members)


def _check_strings(content: Any) -> None:
    for string in _strings(content):
        if "\0" in string:
            raise _invalid("file", "nul_character", "A string holds a NUL character.", "Leave it out.")
        if not string.isascii() and any("\ud800" <= c <= "\udfff" for c in string):
            message = "A string holds half of a surrogate pair."
            raise _invalid("file", "lone_surrogate", message, "Write characters as they are, in UTF-8.")


def _strings(content: Any) -> Iterator[str]:
    pending = [content]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            pending.extend(value)
        elif isinstance(value, dict):
            pending.extend(value)
            pending.extend(value.values())


def too_deep(param: str = "file") -> InvalidDataset:
    return _invalid(param, "invalid_json", "It is nested too deeply.", "A cell is a number or text.")


def _too_many_digits() -> InvalidDataset:
    return _invalid("file", "infinite_number", "A number has too many digits.", EMPTY)


def _too_long(what: str) -> InvalidDataset:
    message = f"{what} is longer than {ELEMENT_CHARACTERS} characters."
    return _invalid("file", "invalid_json", message, "A row holds numbers and text.")


def _invalid(param: str, code: str, message: str, hint: str | None = None) -> InvalidDataset:
    return InvalidDataset(None, Fault(param, code, message, hint))
