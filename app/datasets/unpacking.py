"""The uploaded bytes: gzip taken off, and what cannot be text refused before it is read as text."""

import codecs
import gzip
import zlib
from pathlib import Path

from app.datasets.naming import ROWS
from app.errors import Fault, InvalidDataset, TooLarge

BLOCK = 1 << 20
FREE_BYTES = 16 << 20
"""An expansion up to here is never a bomb, whatever its ratio."""

OTHER_FORMATS = {
    b"PAR1": "Parquet",
    b"ARROW1": "Arrow",
    b"PK\x03\x04": "a ZIP archive",
    b"\x93NUMPY": "NumPy",
    b"%PDF": "PDF",
    b"\xd0\xcf\x11\xe0": "an Office document",
    b"\x1f\x8b": "gzip inside gzip",
}


def unpack(path: Path, directory: Path, max_bytes: int, max_ratio: int) -> Path:
    """The path of the plain content: `path` itself, or what its gzip expands to, in `directory`.

    Works in a stream: `TooLarge` as soon as the output passes `max_bytes`, or `max_ratio` times the input.
    """
    with path.open("rb") as packed:
        if packed.read(2) != b"\x1f\x8b":
            return path
        packed.seek(0)
        limit = min(max_bytes, max(FREE_BYTES, path.stat().st_size * max_ratio))
        written = 0
        expanded = directory / "expanded"
        try:
            with gzip.GzipFile(fileobj=packed) as plain, expanded.open("wb") as output:
                while block := plain.read(BLOCK):
                    written += len(block)
                    if written > limit:
                        raise TooLarge(
                            "The compressed file expands to more than this server takes.",
                            Fault(
                                "file",
                                "decompressed_too_large",
                                f"It expands to more than {limit} bytes.",
                                "Send fewer rows or columns.",
                            ),
                        )
                    output.write(block)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            message = "The gzip data is damaged or ends too early."
            raise InvalidDataset(
                None, Fault("file", "unreadable_file", message, "Compress it anew.")
            ) from error
    return expanded


def check_text(path: Path) -> None:
    """Refuses an empty file, formats that are not text, NUL bytes, and what is not UTF-8, by byte offset."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            if offset == 0:
                _check_magic(block)
            if (nul := block.find(b"\0")) >= 0:
                message = f"There is a NUL byte at byte {offset + nul}; text has none."
                raise InvalidDataset(
                    None, Fault("file", "nul_character", message, "Save it as CSV in UTF-8.")
                )
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                raise _not_utf8(offset - pending + error.start) from error
            offset += len(block)
        if decoder.getstate()[0]:
            raise _not_utf8(offset - len(decoder.getstate()[0]))
    if offset == 0:
        raise InvalidDataset(None, Fault("file", "empty_file", "The file is empty.", ROWS))


def _check_magic(block: bytes) -> None:
    if block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise _not_utf8(0, " It looks like UTF-16.")
    for magic, name in OTHER_FORMATS.items():
        if block.startswith(magic):
            message = f"The file is {name}; CSV and JSON, plain or gzip, are read."
            raise InvalidDataset(
                None, Fault("file", "unsupported_format", message, "Save it as CSV in UTF-8.")
            )


def _not_utf8(offset: int, guess: str = "") -> InvalidDataset:
    message = f"The text is not UTF-8: byte {offset} (counted from 0) does not fit.{guess}"
    return InvalidDataset(None, Fault("file", "not_utf8", message, "Save the file as 'CSV UTF-8'."))
