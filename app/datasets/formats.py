"""What an upload is, by its content, and the reader for it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from app.datasets import arrays, columnar, delimited, documents, unpacking
from app.datasets.charsets import as_utf8
from app.datasets.naming import ROWS
from app.datasets.source import Source
from app.errors import Fault, InvalidDataset

READ = "CSV, TSV, JSON, JSON Lines, Parquet, Arrow, NPY and NPZ, plain or gzip, are read"


class Limits(NamedTuple):
    max_columns: int
    max_expanded_bytes: int
    max_ratio: int


Open = Callable[[Path, Path, Limits], Source]

BINARY: dict[bytes, Open] = {
    b"PAR1": lambda path, _, limits: columnar.open_parquet(path, *limits),
    b"ARROW1": lambda path, _, limits: columnar.open_arrow(path, *limits),
    b"\xff\xff\xff\xff": lambda path, _, limits: columnar.open_arrow_stream(path, *limits),
    b"\x93NUMPY": lambda path, _, limits: arrays.open_npy(path, limits.max_columns),
    b"PK\x03\x04": lambda path, directory, limits: arrays.open_npz(path, directory, *limits),
    b"PK\x05\x06": lambda path, directory, limits: arrays.open_npz(path, directory, *limits),
}

NAME_IN_BRACKETS = re.compile(r"""[\[{](?!(?:null|true|false)\b)(?:[^\W\d]|[°%])[^"':,;{}\[\]\s]*[\]}]""")
"""A table that begins with the name of a column, as [Na+], is no JSON."""

OTHERS = {
    b"%PDF": "PDF",
    b"\xd0\xcf\x11\xe0": "an Office document",
    b"\x1f\x8b": "gzip inside gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"\x89HDF": "HDF5",
    b"SQLite format 3": "a SQLite database",
    b"<!DOCTYPE": "HTML",
    b"<!doctype": "HTML",
    b"<html": "HTML",
    b"<?xml": "XML",
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"@relation": "ARFF",
    b"@RELATION": "ARFF",
}


def open_source(path: Path, directory: Path, limits: Limits, charset: str | None = None) -> Source:
    """Opens a file that was uploaded; what it expands to goes into ``directory``.

    ``charset``: what the client says of text; None: found out. Raises InvalidDataset and TooLarge.
    """
    plain = unpacking.unpack(path, directory, limits.max_expanded_bytes, limits.max_ratio)
    with plain.open("rb") as file:
        start = file.read(16)
    if not start:
        raise InvalidDataset(None, Fault("file", "empty_file", "The file is empty.", ROWS))
    for magic, open_ in BINARY.items():
        if start.startswith(magic):
            return open_(plain, directory, limits)
    for magic, name in OTHERS.items():
        if start.startswith(magic):
            fault = Fault("file", "unsupported_format", f"The file is {name}; {READ}.", "Save it as CSV.")
            raise InvalidDataset(None, fault)
    text, warnings = as_utf8(plain, directory, charset)
    with text.open(encoding="utf-8-sig") as file_of_text:
        first = file_of_text.read(4096).lstrip()
    read = (
        documents.open_source
        if first.startswith(("{", "[")) and not NAME_IN_BRACKETS.match(first)
        else delimited.open_source
    )
    source = read(text, limits.max_columns)
    source.warnings[:0] = warnings
    return source
