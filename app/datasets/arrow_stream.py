"""Arrow's streaming format in parts: a schema, dictionaries, and record batches, one behind the other.

Polars reads a stream as a whole; here it is given a few batches at a time, each time as a stream by itself.
The framing is that of https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format, with a
FlatBuffer (Message.fbs) of which three numbers are read.
"""

import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

import polars as pl

from app.errors import Fault, InvalidDataset

CONTINUES = b"\xff\xff\xff\xff"
END = CONTINUES + bytes(4)
SCHEMA, DICTIONARY, BATCH = 1, 2, 3
PART_BYTES = 16 << 20
"""So many are read at once, or one batch if it is larger."""

MOST_METADATA_BYTES = 16 << 20
MOST_BATCH_BYTES = 256 << 20
MOST_DICTIONARY_BYTES = 256 << 20
HEADER, ROWS, BODY = (1, 2), 0, 3
"""Places in tables of Message.fbs: the header's kind and itself; the rows of a RecordBatch; bodyLength."""


class Message(NamedTuple):
    """Its ``size`` bytes begin at ``start``; ``rows`` are those of a record batch, else 0."""

    kind: int
    start: int
    size: int
    rows: int


def schema(path: Path) -> pl.Schema:
    """Raises InvalidDataset, or what Polars raises."""
    with path.open("rb") as file:
        return _read(_schema(file, messages(file))).schema


def row_count(path: Path) -> int:
    """What its batches say, without their bodies. Raises InvalidDataset."""
    with path.open("rb") as file:
        return sum(each.rows for each in messages(file))


def frames(path: Path) -> Iterator[pl.DataFrame]:
    """A few batches at a time. Raises InvalidDataset, or what Polars raises."""
    with path.open("rb") as file:
        found = messages(file)
        before, part, size = [_schema(file, found)], list[bytes](), 0
        dictionaries = list[bytes]()
        for each in found:
            content = _content(file, each)
            part.append(content)
            size += each.size
            if each.kind == DICTIONARY:
                dictionaries.append(content)
                if sum(map(len, dictionaries)) > MOST_DICTIONARY_BYTES:
                    raise _too_large("The dictionaries", MOST_DICTIONARY_BYTES)
            elif size >= PART_BYTES:
                yield _read(*before, *part)
                before, part, size = [before[0], *dictionaries], [], 0
        yield _read(*before, *part)


def messages(file: BinaryIO) -> Iterator[Message]:
    """Where they lie. Raises InvalidDataset for what is no stream, or has a batch that is too large."""
    length = file.seek(0, 2)
    start = 0
    while start < length:
        file.seek(start)
        framed = file.read(8)
        if framed == END:
            return
        size = int.from_bytes(framed[4:], "little")
        if len(framed) < 8 or framed[:4] != CONTINUES or not 0 < size <= MOST_METADATA_BYTES:
            raise unreadable()
        kind, rows, body = _described(file.read(size))
        whole = 8 + size + body
        if body < 0 or rows < 0 or start + whole > length:
            raise unreadable()
        if body > MOST_BATCH_BYTES:
            raise _too_large("A batch of rows", MOST_BATCH_BYTES)
        yield Message(kind, start, whole, rows)
        start += whole


def unreadable() -> InvalidDataset:
    message = "The file is damaged, or is of a kind that is not read here."
    return InvalidDataset(None, Fault("file", "unreadable_file", message, "Write it anew."))


def _schema(file: BinaryIO, found: Iterator[Message]) -> bytes:
    first = next(found, None)
    if first is None or first.kind != SCHEMA:
        raise unreadable()
    return _content(file, first)


def _content(file: BinaryIO, message: Message) -> bytes:
    file.seek(message.start)
    return file.read(message.size)


def _read(*parts: bytes) -> pl.DataFrame:
    return pl.read_ipc_stream(BytesIO(b"".join((*parts, END))))


def _described(metadata: bytes) -> tuple[int, int, int]:
    """(kind, rows, bytes of the body); Polars checks all else of it."""
    try:
        table = _u32(metadata, 0)
        kind, header, body = (_field(metadata, table, each) for each in (*HEADER, BODY))
        rows = 0
        if metadata[kind] == BATCH:
            batch = header + _u32(metadata, header)
            place = _field(metadata, batch, ROWS)
            rows = _i64(metadata, place) if place > batch else 0
        return metadata[kind], rows, _i64(metadata, body) if body > table else 0
    except (struct.error, IndexError):
        raise unreadable() from None


def _field(metadata: bytes, table: int, number: int) -> int:
    """Where it lies; the table itself where it is left out, as zeros are."""
    places = table - int(struct.unpack_from("<i", metadata, table)[0])
    size: int = struct.unpack_from("<H", metadata, places)[0]
    entry = 4 + 2 * number
    return table + int(struct.unpack_from("<H", metadata, places + entry)[0] if entry < size else 0)


def _u32(metadata: bytes, place: int) -> int:
    return int(struct.unpack_from("<I", metadata, place)[0])


def _i64(metadata: bytes, place: int) -> int:
    return int(struct.unpack_from("<q", metadata, place)[0])


def _too_large(what: str, most: int) -> InvalidDataset:
    message = f"{what} of an Arrow stream may have {most} bytes."
    hint = "Write batches of fewer rows, the Arrow file format, or Parquet."
    return InvalidDataset(None, Fault("file", "out_of_range", message, hint))
