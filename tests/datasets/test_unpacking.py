import gzip
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.datasets import charsets, unpacking
from app.errors import InvalidDataset, TooLarge

Refused = Callable[..., tuple[str, str, str]]


def test_gzip_is_known_by_content(tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    plain = unpacking.unpack(tmp_path / "upload", tmp_path, 1_000, 200)
    assert plain.read_bytes() == b"a,b\n1,2\n"


def test_plain_content_is_left_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(b"a,b\n")
    assert unpacking.unpack(tmp_path / "upload", tmp_path, 1_000, 200) == tmp_path / "upload"


@pytest.mark.parametrize(("max_bytes", "max_ratio"), [(1_000_000, 2_000), (1 << 40, 100)])
def test_a_bomb_is_stopped_early_and_in_little_memory(tmp_path: Path, max_bytes: int, max_ratio: int) -> None:
    (tmp_path / "upload").write_bytes(gzip.compress(bytes(100_000_000), 9))
    tracemalloc.start()
    start = time.monotonic()
    with pytest.raises(TooLarge) as caught:
        unpacking.unpack(tmp_path / "upload", tmp_path, max_bytes, max_ratio)
    assert time.monotonic() - start < 1.0
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
    assert caught.value.faults[0].code == "decompressed_too_large"
    assert (tmp_path / "expanded").stat().st_size <= 17 << 20


@pytest.mark.parametrize("damage", [slice(0, -9), slice(0, 30)])
def test_damaged_gzip_is_refused(tmp_path: Path, damage: slice) -> None:
    (tmp_path / "upload").write_bytes(gzip.compress(b"a,b\n1,2\n" * 99)[damage])
    with pytest.raises(InvalidDataset) as caught:
        unpacking.unpack(tmp_path / "upload", tmp_path, 1_000, 200)
    assert caught.value.faults[0].code == "unreadable_file"


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"", "empty_file", "empty"),
        (b"a,b\n1,\0\n", "nul_character", "byte 6"),
        ("a,b\n1,été\n".encode() + b"\xe9t\xe9,2\n", "not_utf8", "byte 12 "),
        (b"a,b\n1,\xe9t\xe9\x07\n", "not_utf8", "byte 6 "),
        (b'[{"a": "\xe9"}]', "not_utf8", "byte 8 "),
        (b"a,b\n1,\x81\n", "wrong_charset", "byte 6 "),
        ("a,b\n1,2\n".encode("utf-16")[:-1], "wrong_charset", "utf-16"),
        (b"PAR1....", "unreadable_file", "damaged"),
        (b"BZh91AY&SY", "unsupported_format", "bzip2"),
        (gzip.compress(gzip.compress(b"a,b\n", mtime=0), mtime=0), "unsupported_format", "gzip inside gzip"),
    ],
)
def test_what_is_not_text_is_refused(refused: Refused, content: bytes, code: str, said: str) -> None:
    found, param, message = refused(content)
    assert (found, param) == (code, "file")
    assert said in message


def test_a_character_may_lie_across_blocks(tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(b"x" * (charsets.BLOCK - 1) + "é".encode())
    assert charsets.as_utf8(tmp_path / "upload", tmp_path, None) == (tmp_path / "upload", [])
    (tmp_path / "upload").write_bytes("é".encode() + b"x" * (charsets.BLOCK - 3) + b"\xc3x")
    with pytest.raises(InvalidDataset) as caught:
        charsets.as_utf8(tmp_path / "upload", tmp_path, None)
    assert f"byte {charsets.BLOCK - 1} " in caught.value.faults[0].message


TEXT = "naïve,größe\n1,„ä“\n2,€\n3,„ä“\n"


@pytest.mark.parametrize(
    "charset", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "windows-1252"]
)
@pytest.mark.parametrize("packed", [False, True])
def test_text_of_spreadsheets_is_read(read: Callable[..., Any], charset: str, packed: bool) -> None:
    mark = "\ufeff" if charset in ("utf-16-le", "utf-16-be") else ""
    content = (mark + TEXT).encode(charset)
    upload = read(gzip.compress(content) if packed else content)
    assert list(upload.columns) == ["naïve", "größe"]
    assert upload.columns["größe"]["categories"] == ["„ä“", "€"]
    guessed = [("guessed_charset", "file")] if charset == "windows-1252" else []
    assert [each for each in upload.warnings if each[0] == "guessed_charset"] == guessed


def test_a_charset_that_is_said_is_no_guess(read: Callable[..., Any], refused: Refused) -> None:
    upload = read("a,b\n1,é\n2,ü\n3,é\n".encode("latin-1"), charset="ISO-8859-1")
    assert upload.columns["b"]["categories"] == ["é", "ü"]
    assert upload.warnings == []
    assert read("a,b\n1,é\n2,ü\n".encode("utf-16-le"), charset="utf-16le").columns["b"]["distinct"] == 2
    assert refused("a,b\n1,é\n".encode("latin-1"), charset="utf-8")[0] == "not_utf8"
    assert refused("a,b\n1,2\n", charset="ebcdic")[:2] == ("not_allowed", "charset")
