"""Text in the charsets that spreadsheets write -> UTF-8."""

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

from app.errors import Fault, InvalidDataset

BLOCK = 1 << 20

KNOWN = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "utf-8",
    "ascii": "utf-8",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "iso-8859-1": "windows-1252",
    "latin-1": "windows-1252",
    "latin1": "windows-1252",
    "iso-8859-15": "iso-8859-15",
    "windows-1252": "windows-1252",
    "cp1252": "windows-1252",
}
"""By the name that a client gives it. What says ISO 8859-1 is Windows-1252 as often as not, as on the web."""

MARKS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
GUESS = "windows-1252"
UNPRINTABLE = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")
UTF_8 = "Save the file as 'CSV UTF-8'."


def as_utf8(path: Path, directory: Path, charset: str | None) -> tuple[Path, list[Fault]]:
    """The file, or a copy in UTF-8, in ``directory``; and a warning where its charset was guessed.

    A byte order mark says what it is, else ``charset`` does, else it is UTF-8; what is no UTF-8 at its first
    byte beyond ASCII is taken for Windows-1252. Raises InvalidDataset, which names the byte.
    """
    with path.open("rb") as file:
        start = file.read(4)
    marked = next((name for mark, name in MARKS.items() if start.startswith(mark)), None)
    said = marked or (None if charset is None else KNOWN.get(charset.lower()))
    if charset is not None and said is None:
        message = f"Expected one of {', '.join(KNOWN)}."
        raise InvalidDataset(None, Fault("charset", "not_allowed", message, UTF_8))
    if said not in (None, "utf-8"):
        return _recoded(path, directory, str(said)), []
    place = _first_fault(path)
    if place is None:
        return path, []
    if said == "utf-8" or not _may_be_guessed(path, place):
        raise _wrong(place, "UTF-8")
    message = f"The text is not UTF-8: it was read as {GUESS}, as spreadsheets write it."
    warning = Fault("file", "guessed_charset", message, "Save it as 'CSV UTF-8', or name its charset.")
    return _recoded(path, directory, GUESS), [warning]


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block


def _first_fault(path: Path) -> int | None:
    """The offset of the first byte that is not UTF-8. Raises InvalidDataset for a NUL."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = 0
    for block in _blocks(path):
        if (nul := block.find(b"\0")) >= 0:
            raise _nul(f"There is a NUL byte at byte {offset + nul}; text has none.")
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(block)
        except UnicodeDecodeError as error:
            return offset - pending + error.start
        offset += len(block)
    pending = len(decoder.getstate()[0])
    return offset - pending if pending else None


def _may_be_guessed(path: Path, first_fault: int) -> bool:
    """Whether it is text in a charset of one byte, and not UTF-8 that is damaged, or no text at all."""
    offset = 0
    for block in _blocks(path):
        if not block[: max(0, first_fault - offset)].isascii() or UNPRINTABLE.search(block):
            return False
        if offset == 0 and block.lstrip()[:1] in (b"{", b"["):
            return False  # JSON is UTF-8
        offset += len(block)
    return True


def _recoded(path: Path, directory: Path, charset: str) -> Path:
    decoder = codecs.getincrementaldecoder(charset)()
    recoded = directory / "recoded"
    offset = 0
    with recoded.open("wb") as output:
        for block in (*_blocks(path), b""):
            try:
                text = decoder.decode(block, final=not block)
                output.write(text.encode())
            except UnicodeError as error:
                start = error.start if isinstance(error, UnicodeDecodeError) else 0
                raise _wrong(offset + start, charset) from error
            if "\0" in text:
                raise _nul("The text holds a NUL character.")
            offset += len(block)
    return recoded


def _wrong(offset: int, charset: str) -> InvalidDataset:
    message = f"The text is not {charset}: byte {offset} (counted from 0) does not fit."
    code = "not_utf8" if charset == "UTF-8" else "wrong_charset"
    return InvalidDataset(None, Fault("file", code, message, UTF_8))


def _nul(message: str) -> InvalidDataset:
    return InvalidDataset(None, Fault("file", "nul_character", message, "Save it as CSV in UTF-8."))
