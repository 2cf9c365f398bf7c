"""NumPy's NPY and NPZ -> frames of typed columns. Headers are checked before anything is read by them."""

import math
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.lib import format as npy

from app.datasets.naming import check_count, check_names
from app.datasets.source import Source
from app.datasets.system import is_the_files_fault
from app.errors import Fault, InvalidDataset, TooLarge

BATCH_CELLS = 500_000
BLOCK = 1 << 20
FREE_BYTES = 16 << 20
MEMBERS_LIMIT = 5_000
KINDS = "fiubUS"
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
"""What `zipfile` raises of an archive that is damaged, or packed in a way that it does not know."""

WORKBOOK = "xl/workbook.xml"
TEXT_BYTES = 4_096
"""Of one cell: arrays of text take as much for each as for the longest."""


class Array(NamedTuple):
    """An array's values in a file, C order or Fortran's, ``offset`` bytes from its start."""

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool

    @property
    def width(self) -> int:
        return math.prod(self.shape[1:])

    def rows(self, first: int, count: int) -> "np.ndarray[Any, Any]":
        """(count, width) of them."""
        width = self.width
        if not self.fortran or len(self.shape) == 1:
            place = self.offset + first * width * self.dtype.itemsize
            return np.fromfile(self.path, self.dtype, count * width, offset=place).reshape(count, width)
        mapped = np.memmap(self.path, self.dtype, "r", self.offset, self.shape, "F")
        return np.array(mapped[first : first + count]).reshape(count, width)


def open_npy(path: Path, max_columns: int) -> Source:
    """A vector is the column x0, a matrix the columns x0, x1, …; of more axes the first is the rows."""
    array = _described(path, "file")
    check_count(array.width, max_columns)
    names = [f"x{i}" for i in range(array.width)]
    return _source([(names, array)], array.shape[0])


def open_npz(path: Path, directory: Path, max_columns: int, max_bytes: int, max_ratio: int) -> Source:
    """Each member is a column of its own name, or where it has k > 1 columns <name>0, <name>1, …; all of them
    have the same number of rows.
    """
    arrays = []
    with _opened(path) as archive:
        members = _members(archive, path, max_bytes, max_ratio)
        for i, member in enumerate(members):
            unpacked = directory / f"member-{i}.npy"
            _unpack(archive, member, unpacked)
            arrays.append((member.filename.removesuffix(".npy"), _described(unpacked, _place(member))))
    rows = {array.shape[0] for _, array in arrays}
    if len(rows) > 1:
        told = ", ".join(f"{name[:50]!r} {array.shape[0]}" for name, array in arrays[:10])
        message = f"The arrays have different numbers of rows: {told}."
        hint = "Send the arrays of one part, as of the training data, in a file of their own."
        raise InvalidDataset(None, Fault("file", "ragged_column", message, hint))
    check_count(sum(array.width for _, array in arrays), max_columns)
    named = [
        ([name] if array.width == 1 else [f"{name}{i}" for i in range(array.width)], array)
        for name, array in arrays
    ]
    return _source(named, rows.pop())


def _source(named: list[tuple[list[str], Array]], rows: int) -> Source:
    named = [([name.strip() for name in names], array) for names, array in named]
    check_names([name for names, _ in named for name in names])
    width = sum(len(names) for names, _ in named)
    if not width:
        raise _refused("file", "unsupported_format", "The arrays have no columns.")

    def frames() -> Iterator[pl.DataFrame]:
        size = max(1, BATCH_CELLS // width)
        for first in range(0, rows, size):
            count = min(size, rows - first)
            columns = []
            for names, array in named:
                values = array.rows(first, count)
                columns += [_series(name, values[:, i]) for i, name in enumerate(names)]
            yield pl.DataFrame(columns)

    return Source(frames, spelled=False)


def _series(name: str, values: "np.ndarray[Any, Any]") -> pl.Series:
    match values.dtype.kind:
        case "b":
            return pl.Series(name, np.ascontiguousarray(values))
        case "U" | "S":
            try:
                text = [each if isinstance(each, str) else each.decode() for each in values.tolist()]
                return pl.Series(name, text, dtype=pl.String)
            except (UnicodeError, ValueError) as error:
                message = (
                    f"Column '{name[:255]}' holds text that is not Unicode, or bytes that are not UTF-8."
                )
                raise _refused(f"columns.{name[:255]}", "unsupported_format", message) from error
    return pl.Series(name, values.astype(np.float64))


def _described(path: Path, param: str) -> Array:
    """The array's header, read with NumPy's own reader, and what it says compared with the file's size."""
    try:
        with path.open("rb") as file:
            version = npy.read_magic(file)
            shape, fortran, dtype = HEADERS[version](file)
            offset = file.tell()
    except Exception as error:  # it is evaluated: much may be raised, and all of it is the file's fault
        if isinstance(error, MemoryError):
            raise
        raise _refused(param, "unreadable_file", "The array's header cannot be read.") from error
    if not shape:
        raise _refused(param, "unsupported_format", "It is one number; a dataset has rows.")
    _check_kind(dtype, param)
    size = path.stat().st_size
    if math.prod(shape) * dtype.itemsize != size - offset:
        message = f"The header names {math.prod(shape)} values; the file has {size - offset} bytes of them."
        raise _refused(param, "unreadable_file", message)
    return Array(path, offset, tuple(shape), dtype, fortran)


def _read_header_3_0(file: Any) -> Any:
    return npy._read_array_header(file, (3, 0))  # type: ignore[attr-defined] # the public ones end at 2.0


HEADERS: dict[tuple[int, int], Callable[[Any], Any]] = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
    (3, 0): _read_header_3_0,
}


def _check_kind(dtype: np.dtype[Any], param: str) -> None:
    if dtype.names or dtype.subdtype or dtype.kind not in KINDS or dtype.itemsize == 0:
        message = "Arrays of numbers, booleans and text are read; this has another dtype."
        hint = "Give each column an array of its own; dates as text, as a.astype(str) has them."
        raise _refused(param, "unsupported_format", message, hint)
    if dtype.kind in "US" and dtype.itemsize > TEXT_BYTES:
        raise _refused(param, "out_of_range", f"A text in an array may have {TEXT_BYTES} bytes.")


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise _refused("file", "unreadable_file", "The ZIP archive is damaged.") from error


def _members(archive: zipfile.ZipFile, path: Path, max_bytes: int, max_ratio: int) -> list[zipfile.ZipInfo]:
    """Those of an NPZ, checked before any is expanded."""
    members = archive.infolist()
    if not members or not all(each.filename.endswith(".npy") for each in members):
        message = "The file is a ZIP archive, and no NPZ of NumPy: its members are no arrays."
        if any(each.filename == WORKBOOK for each in members):
            message = "The file is an Excel workbook."
        raise _refused("file", "unsupported_format", message, "Save it as CSV in UTF-8.")
    if len(members) > MEMBERS_LIMIT:
        raise _refused(
            "file", "too_many_columns", f"It has {len(members)} arrays; the limit is {MEMBERS_LIMIT}."
        )
    if len({each.filename for each in members}) < len(members):
        raise _refused("file", "duplicate_column", "It has two arrays of one name.")
    size = path.stat().st_size
    limit = min(2 * max_bytes, max(FREE_BYTES, size * max_ratio))
    if sum(each.file_size for each in members) > limit:
        message = f"It expands to more than {limit} bytes."
        fault = Fault("file", "decompressed_too_large", message, "Send fewer rows or columns.")
        raise TooLarge("The compressed file expands to more than this server takes.", fault)
    # One part of the file for several members: a small file could expand without end.
    if sum(each.compress_size for each in members) > size:
        raise _refused("file", "unreadable_file", "The members of the ZIP archive overlap.")
    for each in members:
        if each.flag_bits & 1:
            raise _refused(_place(each), "unreadable_file", "It is encrypted.")
    return members


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, place: Path) -> None:
    left = member.file_size
    try:
        with archive.open(member) as packed, place.open("wb") as file:
            while block := packed.read(min(BLOCK, left + 1)):
                left -= len(block)
                if left < 0:
                    raise zipfile.BadZipFile("longer than it says")
                file.write(block)
    except (*BROKEN, OSError) as error:
        if not is_the_files_fault(error):
            raise
        message = "The archive is damaged here, or compressed in a way that NumPy does not know."
        raise _refused(_place(member), "unreadable_file", message) from error


def _place(member: zipfile.ZipInfo) -> str:
    return f"columns.{member.filename.removesuffix('.npy')[:255]}"


def _refused(param: str, code: str, message: str, hint: str = "Save it anew, or as CSV.") -> InvalidDataset:
    return InvalidDataset(None, Fault(param, code, message, hint))
