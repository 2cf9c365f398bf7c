"""Files that are small and say that they are large, or are no files of their kind at all.

They are made, not stored. Every one of them must be refused quickly and in little memory.
"""

import gzip
import io
import json
import struct
import zipfile
from collections.abc import Callable, Iterator

import numpy as np
import polars as pl

MB = 1 << 20


def _header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text.encode("latin-1") + b"\n"


def _npy(shape: str, descr: str = "'<f8'", order: str = "False") -> bytes:
    return _header(f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}") + bytes(64)


def _saved(array: object, *, pickle: bool = False) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(array), allow_pickle=pickle)
    return file.getvalue()


def _zip(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        for name, content in members:
            made.writestr(name, content)
    return file.getvalue()


def _overlapping(count: int) -> bytes:
    plain = _zip(("aaaa.npy", _saved(np.zeros(2_000))))
    at, end = plain.rindex(b"PK\x01\x02"), plain.rindex(b"PK\x05\x06")
    entries = b"".join(plain[at:end].replace(b"aaaa", b"%04d" % i) for i in range(count))
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(entries), at, 0)
    return plain[:at] + entries + tail


def _lying_zip() -> bytes:
    """The directory says that the member is small; it expands to 200 MB."""
    made = bytearray(_zip(("x.npy", bytes(200 * MB))))
    at = made.rindex(b"PK\x01\x02")
    made[at + 24 : at + 28] = struct.pack("<L", 200)
    return bytes(made)


def _parquet(frame: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.write_parquet(file, compression="zstd")
    return file.getvalue()


def _parquet_with(old: bytes, new: bytes) -> bytes:
    made = _parquet(pl.DataFrame({"x": np.arange(5_000) % 7, "y": ["a", "b"] * 2_500}))
    return made.replace(old, new)


def _forged_pages() -> bytes:
    """Page headers that name many values, and sizes, that there are not."""
    made = bytearray(_parquet(pl.DataFrame({"x": np.arange(70_000)})))
    made[4:24] = b"\x15\x00\x15\xfe\xff\xff\xff\x0f\x15\xfe\xff\xff\xff\x0f\x2c\x15\xfe\xff\xff\xff"
    return bytes(made)


def _arrow(frame: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.write_ipc(file, compression="zstd")
    return file.getvalue()


def _arrow_with_footer(size: int) -> bytes:
    made = _arrow(pl.DataFrame({"x": [1, 2, 3]}))
    return made[:-10] + struct.pack("<i", size) + b"ARROW1"


def _stream(frame: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.write_ipc_stream(file)
    return file.getvalue()


def _nested(depth: int) -> pl.DataFrame:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return pl.DataFrame({"deep": [value, value]})


def _gz_twice() -> bytes:
    return gzip.compress(gzip.compress(bytes(50 * MB), 9), 9)


WIDE = ",".join(f"c{i}" for i in range(5_001))

BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip of zeros": lambda: gzip.compress(bytes(200 * MB), 9),
    "gzip of one long line": lambda: gzip.compress(b"x" * (100 * MB), 9),
    "gzip of rows without end": lambda: gzip.compress(b"a,b\n" + b"1,2\n" * (20 * MB), 9),
    "gzip in gzip": _gz_twice,
    "gzip of many members": lambda: gzip.compress(bytes(4 * MB), 9) * 100,
    "gzip cut off": lambda: gzip.compress(b"a,b\n" + b"1,2\n" * 100_000)[:-9],
    "gzip with a false sum": lambda: gzip.compress(b"a,b\n1,2\n3,4\n")[:-8] + bytes(8),
    "npy of 8 TiB": lambda: _npy("(1099511627776,)"),
    "npy of 2^80 values": lambda: _npy("(1099511627776, 1099511627776)"),
    "npy of no bytes each": lambda: _npy("(1000000000000,)", "'|S0'"),
    "npy of no rows": lambda: _npy("(0, 1000000000000000)"),
    "npy of less than no rows": lambda: _npy("(-8,)"),
    "npy of objects": lambda: _npy("(8,)", "'|O'"),
    "npy with a pickle": lambda: _saved(np.array([{}, None], dtype=object), pickle=True),
    "npy with code": lambda: _npy("(8,)", "__import__('os')"),
    "npy of parentheses": lambda: _header("(" * 9_000),
    "npy with a long header": lambda: _header(" " * 60_000),
    "npy of records": lambda: _npy("(8,)", "[('a', '<f8'), ('b', 'O')]"),
    "npy of long text": lambda: _npy("(1,)", "'<U1000000'"),
    "npz of zeros": lambda: _zip(("x.npy", _saved(np.zeros(25 * MB)))),
    "npz that overlaps": lambda: _overlapping(2_000),
    "npz that lies": _lying_zip,
    "npz of empty members": lambda: _zip(*((f"{i}.npy", b"") for i in range(20_000))),
    "npz with a zip": lambda: _zip(("x.npy", _zip(("y.npy", bytes(MB))))),
    "zip of a spreadsheet": lambda: _zip(("xl/workbook.xml", b"<x/>" * 1_000)),
    "zip without an end": lambda: _zip(("x.npy", _saved(np.zeros(9))))[:-30],
    "parquet of constants": lambda: _parquet(pl.DataFrame({"x": pl.zeros(36_000_000, eager=True)})),
    "parquet with false pages": _forged_pages,
    "parquet without a footer": lambda: _parquet(pl.DataFrame({"x": [1, 2]}))[:-60] + b"PAR1",
    "parquet with a long footer": lambda: b"PAR1" + bytes(100) + struct.pack("<i", 2**31 - 1) + b"PAR1",
    "parquet of 5,001 columns": lambda: _parquet(pl.DataFrame({f"c{i}": [1, 2] for i in range(5_001)})),
    "parquet of lists": lambda: _parquet(_nested(20)),
    "parquet of one long text": lambda: _parquet(pl.DataFrame({"t": ["x" * MB] * 50})),
    "arrow without an end": lambda: _arrow(pl.DataFrame({"x": np.zeros(MB)}))[:-20],
    "arrow with a long footer": lambda: _arrow_with_footer(2**31 - 1),
    "arrow with a footer of less than nothing": lambda: _arrow_with_footer(-5),
    "arrow of zeros": lambda: _arrow(pl.DataFrame({"x": pl.zeros(36_000_000, eager=True)})),
    "arrow stream with a long schema": lambda: b"\xff\xff\xff\xff\xff\xff\xff\x7f" + bytes(100),
    "arrow stream cut off": lambda: _stream(pl.DataFrame({"x": np.arange(9_999)}))[:-5_000],
    "csv of 10 million commas": lambda: b"," * 10_000_000,
    "csv of 5,001 columns": lambda: f"{WIDE}\n{WIDE}\n".encode(),
    "csv with a quote that stays open": lambda: b'a,b\n1,"' + b"x,\n" * (6 * MB),
    "csv with a long field": lambda: b'a,b\n1,"' + b"x" * 200_000 + b'"\n1,2\n',
    "csv with a NUL": lambda: b"a,b\n1,\0\n1,2\n",
    "csv with 1e999": lambda: b"a,b\n1,1e999\n1,2\n",
    "csv of names that are the same": lambda: (
        b",".join([b"a"] * 4_000) + b"\n" + b",".join([b"1"] * 4_000) + b"\n"
    ),
    "utf-16 with half a pair": lambda: b"\xff\xfea\x00\x00\xd8b\x00\n\x00",
    "utf-32 beyond Unicode": lambda: b"\xff\xfe\x00\x00" + b"\xff\xff\xff\x7f" * 100,
    "json of brackets": lambda: b"[" * 1_000_000,
    "json of objects": lambda: b'{"a":' * 1_000_000,
    "json of a deep row": lambda: b"[" + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"]",
    "json with a long number": lambda: b'[{"a": ' + b"9" * 5_000_000 + b"}]",
    "json with 1e999": lambda: b'[{"a": 1e999}, {"a": 1}]',
    "json with NaN": lambda: b'[{"a": NaN}, {"a": 1}]',
    "json with a member twice": lambda: b'[{"a": 1, "a": 2}, {"a": 1}]',
    "json of 100,000 columns": lambda: json.dumps([{f"c{i}": 1 for i in range(100_000)}]).encode(),
    "json with a long text": lambda: b'[{"a": "' + b"x" * (20 * MB),
    "json lines with a long line": lambda: b'{"a": 1}\n{"a": "' + b"x" * (20 * MB),
    "an executable": lambda: b"\x7fELF" + bytes(range(256)) * 100,
    "a PDF": lambda: b"%PDF-1.7\n" + bytes(1_000),
    "bzip2": lambda: b"BZh91AY&SY" + bytes(1_000),
    "nothing": lambda: b"",
}


def bombs() -> Iterator[tuple[str, bytes]]:
    for name, make in BOMBS.items():
        yield name, make()
