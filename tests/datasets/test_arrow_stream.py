"""Arrow streams of many batches: read a few at a time, with the dictionaries that hold by then."""

from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.datasets import arrow_stream, columnar
from app.errors import InvalidDataset, TooLarge


def frame(number: int, rows: int = 100) -> pl.DataFrame:
    words = pl.Series([f"k{number}", f"l{number}"] * (rows // 2), dtype=pl.Categorical)
    return pl.DataFrame(
        {"x": [float(number)] * rows, "word": words, "text": [f"text {number}"] * rows, "ok": [True] * rows}
    )


def stream(*frames: pl.DataFrame, end: bytes = arrow_stream.END) -> bytes:
    """One stream with a batch of each, and a dictionary before each that takes the last one's place."""
    parts = []
    for number, each in enumerate(frames):
        file = BytesIO()
        each.write_ipc_stream(file)
        content = file.getvalue()
        for message in arrow_stream.messages(file):
            if number == 0 or message.kind != arrow_stream.SCHEMA:
                parts.append(content[message.start : message.start + message.size])
    return b"".join([*parts, end])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stream"


def cells(frames: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(each.with_columns(pl.col("word").cast(pl.String)) for each in frames)


@pytest.mark.parametrize("part_bytes", [1, 5000, 16 << 20])
@pytest.mark.parametrize("end", [arrow_stream.END, b""])
def test_batches_come_a_few_at_a_time(
    path: Path, monkeypatch: pytest.MonkeyPatch, part_bytes: int, end: bytes
) -> None:
    monkeypatch.setattr(arrow_stream, "PART_BYTES", part_bytes)
    sent = [frame(number) for number in range(6)]
    path.write_bytes(stream(*sent, end=end))
    assert arrow_stream.row_count(path) == 600
    source = columnar.open_arrow_stream(path, 10, 1 << 30, 200)
    for _ in range(2):  # from the first row on each time
        found = list(source.frames())
        assert cells(found).equals(cells(sent))
        if part_bytes == 1:
            assert max(each.height for each in found) == 100


def test_a_batch_has_an_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(stream(frame(0)))
    monkeypatch.setattr(arrow_stream, "MOST_BATCH_BYTES", 100)
    with pytest.raises(InvalidDataset) as caught:
        columnar.open_arrow_stream(path, 10, 1 << 30, 200)
    assert [(fault.param, fault.code) for fault in caught.value.faults] == [("file", "out_of_range")]
    assert "Parquet" in (caught.value.faults[0].hint or "")


def test_dictionaries_have_an_end_together(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(stream(*(frame(number) for number in range(6))))
    monkeypatch.setattr(arrow_stream, "MOST_DICTIONARY_BYTES", 1000)
    with pytest.raises(InvalidDataset) as caught:
        list(arrow_stream.frames(path))
    assert caught.value.faults[0].message.startswith("The dictionaries")


def test_a_bomb_is_told_before_it_is_read(path: Path) -> None:
    nothing = pl.DataFrame({"x": pl.Series([None], dtype=pl.Null).new_from_index(0, 100_000_000)})
    path.write_bytes(stream(nothing))
    with pytest.raises(TooLarge):
        columnar.open_arrow_stream(path, 10, 1 << 30, 200)


def test_columns_are_counted_and_named(path: Path) -> None:
    path.write_bytes(stream(frame(0)))
    with pytest.raises(InvalidDataset) as caught:
        columnar.open_arrow_stream(path, 3, 1 << 30, 200)
    assert caught.value.faults[0].code == "too_many_columns"


WHOLE = stream(frame(0, 4), frame(1, 4))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_what_is_damaged_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    content = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        source = columnar.open_arrow_stream(path, 10, 1 << 30, 200)
        for each in source.frames():
            assert each.height <= 8
    except (InvalidDataset, TooLarge):
        pass
