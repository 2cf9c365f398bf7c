"""NPY and NPZ: checked before they are believed (reliability: a header may name 8 TiB in 128 bytes)."""

import io
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from app.datasets import arrays, source

Read = Callable[..., Any]
Refused = Callable[..., tuple[str, str, str]]

X = np.arange(12, dtype=np.float32).reshape(4, 3) / 7


def npy(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npz(**members: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **members)
    return file.getvalue()


def header(text: str, version: tuple[int, int] = (1, 0)) -> bytes:
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text) + 1)
    return b"\x93NUMPY" + bytes(version) + size + text.encode("latin-1") + b"\n"


def claiming(shape: str, descr: str = "'<f8'") -> bytes:
    return header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}") + bytes(64)


@pytest.mark.parametrize(
    "array",
    [
        X,
        X.astype(">f8"),
        np.asfortranarray(X),
        X.astype(np.float16),
        (X * 7).astype(np.uint8),
        X[:, :1] > 0.3,
    ],
)
def test_a_matrix_is_columns(read: Read, array: Any) -> None:
    upload = read(npy(array))
    assert list(upload.columns) == [f"x{i}" for i in range(array.shape[1])]
    for i in range(array.shape[1]):
        np.testing.assert_array_equal(upload.table.columns[f"x{i}"].values, array[:, i].astype(np.float64))


def test_a_vector_is_one_column_and_further_axes_are_laid_out(read: Read) -> None:
    assert list(read(npy(X[:, 0])).columns) == ["x0"]
    cube = np.arange(24, dtype=np.int64).reshape(2, 3, 4)
    for made in (cube, np.asfortranarray(cube)):
        upload = read(npy(made))
        assert list(upload.columns) == [f"x{i}" for i in range(12)]
        assert [upload.table.columns[f"x{i}"].values[1] for i in range(12)] == list(range(12, 24))


def test_the_members_of_an_archive_are_columns_of_their_names(read: Read) -> None:
    upload = read(npz(X=X, y=np.array(["a", "b", "a", "é"]), ok=np.array([True, False, True, True])))
    assert {name: column["type"] for name, column in upload.columns.items()} == {
        "X0": "number",
        "X1": "number",
        "X2": "number",
        "y": "category",
        "ok": "boolean",
    }
    assert upload.columns["y"]["categories"] == ["a", "b", "é"]


def test_large_arrays_are_read_in_parts(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    table = np.random.default_rng(0).normal(size=(500, 4))
    whole = read(npy(table)).found
    monkeypatch.setattr(source, "KEPT_BYTES", 0)
    monkeypatch.setattr(arrays, "BATCH_CELLS", 30)
    for made in (table, np.asfortranarray(table)):
        assert read(npy(made)).found == whole


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (claiming("(1099511627776,)"), "unreadable_file"),
        (claiming("(1000000000000,)", "'|S0'"), "unsupported_format"),
        (claiming("(0, 1000000000000000)"), "unreadable_file"),
        (claiming("()"), "unsupported_format"),
        (claiming("(-8,)"), "unreadable_file"),
        (claiming("(2, 4)", "'|O'"), "unsupported_format"),
        (claiming("(8,)", "'<c8'"), "unsupported_format"),
        (claiming("(8,)", "'<M8[s]'"), "unsupported_format"),
        (claiming("(8,)", "[('a', '<f8')]"), "unsupported_format"),
        (claiming("(8,)", "'<U2000'"), "out_of_range"),
        (claiming("(8,)", "__import__('os').system('true')"), "unreadable_file"),
        (header("(" * 9_000), "unreadable_file"),
        (header("{}"), "unreadable_file"),
        (b"\x93NUMPY\x09\x00" + bytes(100), "unreadable_file"),
        (b"\x93NUMPY", "unreadable_file"),
        (npy(X)[:-4], "unreadable_file"),
        (npy(X) + b"more", "unreadable_file"),
        (npy(np.array([{}, None], dtype=object), allow_pickle=True), "unsupported_format"),
        (npy(np.array([1.0, np.inf])), "infinite_number"),
        (npy(np.zeros((2, 5_001))), "too_many_columns"),
        (npy(np.array(["\ud800", "a"])), "unsupported_format"),
        (npy(np.zeros((3, 0))), "unsupported_format"),
        (npz(x=np.zeros(3), y=np.zeros(4)), "ragged_column"),
        (npz(x=np.zeros((2, 2)), x0=np.zeros(2)), "duplicate_column"),
        (npz(), "unsupported_format"),
        (npz(x=np.zeros(20_000_000)), "decompressed_too_large"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(refused: Refused, content: bytes, code: str) -> None:
    assert refused(content)[0] == code


def archive(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        for name, content in members:
            made.writestr(name, content)
    return file.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives_that_are_no_npz_are_refused(refused: Refused) -> None:
    assert refused(archive(("xl/workbook.xml", b"<x/>")))[0] == "unsupported_format"
    assert refused(archive(("x.npy", b"no array")))[:2] == ("unreadable_file", "columns.x")
    assert refused(archive(("x.npy", npy(X)), ("x.npy", npy(X))))[0] == "duplicate_column"
    assert refused(archive(*((f"{i}.npy", b"") for i in range(5_001))))[0] == "too_many_columns"
    encrypted = bytearray(archive(("x.npy", npy(X))))
    at = encrypted.rindex(b"PK\x01\x02")
    encrypted[6] |= 1
    encrypted[at + 8] |= 1
    assert refused(bytes(encrypted))[0] == "unreadable_file"
    method = bytearray(archive(("x.npy", npy(X))))
    method[8] = 97
    method[method.rindex(b"PK\x01\x02") + 10] = 97
    assert refused(bytes(method))[0] == "unreadable_file"


def test_members_that_share_their_bytes_are_refused(refused: Refused) -> None:
    """The overlapping ZIP bomb: each entry of the directory names the same compressed bytes."""
    plain = archive(("a.npy", npy(np.zeros(2_000))))
    at = plain.rindex(b"PK\x01\x02")
    end = plain.rindex(b"PK\x05\x06")
    entry = plain[at:end]
    entries = b"".join(entry.replace(b"a.npy", b"%c.npy" % (97 + i)) for i in range(20))
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 20, 20, len(entries), at, 0)
    assert refused(plain[:at] + entries + tail)[0] == "unreadable_file"


def test_a_workbook_is_told_apart_from_other_archives(refused: Callable[..., tuple[str, str, str]]) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    assert refused(content.getvalue()) == ("unsupported_format", "file", "The file is an Excel workbook.")


def test_members_before_the_beginning_are_refused(refused: Refused) -> None:
    """`zipfile` asks the system for a place below 0."""
    content = bytearray(npz(x=X))
    place = int.from_bytes(content[-6:-2], "little")
    content[-6:-2] = (place + 2**20).to_bytes(
        4, "little"
    )  # of the list of members, in the file's last record
    assert refused(bytes(content))[0] == "unreadable_file"
