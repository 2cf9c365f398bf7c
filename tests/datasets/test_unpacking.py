import gzip
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from app.datasets import unpacking
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
        (b"a,b\n1,\xe9t\xe9\n", "not_utf8", "byte 6 "),
        (b"a,b\n" + b"1,2\n" * 300_000 + "é".encode()[:1], "not_utf8", "byte 1200004 "),
        ("a,b\n1,2\n".encode("utf-16"), "not_utf8", "UTF-16"),
        (b"PAR1....", "unsupported_format", "Parquet"),
        (gzip.compress(gzip.compress(b"a,b\n", mtime=0), mtime=0), "unsupported_format", "gzip inside gzip"),
    ],
)
def test_what_is_not_text_is_refused(refused: Refused, content: bytes, code: str, said: str) -> None:
    found, param, message = refused(content)
    assert (found, param) == (code, "file")
    assert said in message


def test_a_character_may_lie_across_blocks(tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(b"x" * (unpacking.BLOCK - 1) + "é".encode())
    unpacking.check_text(tmp_path / "upload")
    (tmp_path / "upload").write_bytes(b"x" * (unpacking.BLOCK - 1) + b"\xc3x")
    with pytest.raises(InvalidDataset) as caught:
        unpacking.check_text(tmp_path / "upload")
    assert f"byte {unpacking.BLOCK - 1} " in caught.value.faults[0].message
