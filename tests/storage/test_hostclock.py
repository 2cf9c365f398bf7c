"""SQLite's clock: the same in every process of the host, wherever the wall clock has been set meanwhile."""

import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.storage import hostclock
from app.storage.columns import clock
from app.storage.database import Database
from tests.support.rows import another_process


def told(database: Database) -> float:
    with database.reading() as session:
        return float(session.scalar(sa.select(clock())) or 0.0)


@pytest.mark.parametrize("jump", [3600.0, -3600.0, -10 * 365 * 86400.0])
def test_a_jump_of_the_wall_clock_moves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    database = Database(f"sqlite:///{tmp_path / 'chainrule.sqlite'}")
    before = told(database)
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() + jump)
    assert 0.0 <= told(database) - before < 5.0
    with another_process(database) as other:
        assert 0.0 <= told(other) - before < 5.0
    database.close()


def test_a_restart_of_the_host_starts_it_anew(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    path.write_text("another-boot 12345.0")
    assert abs(hostclock.host_clock(path)() - time.time()) < 2.0
    kept = path.read_text()
    assert kept.startswith(hostclock.BOOT_ID.read_text().strip())
    hostclock.host_clock(path)
    assert path.read_text() == kept


@pytest.mark.parametrize("content", ["", "garbled", "{boot} not-a-number", "{boot}"])
def test_a_garbled_file_is_written_anew(tmp_path: Path, content: str) -> None:
    path = tmp_path / "clock"
    path.write_text(content.replace("{boot}", hostclock.BOOT_ID.read_text().strip()))
    first = hostclock.host_clock(path)
    assert abs(first() - time.time()) < 2.0
    assert abs(hostclock.host_clock(path)() - first()) < 0.5


def test_without_a_place_for_it_the_wall_clock_has_to_do(tmp_path: Path) -> None:
    assert abs(hostclock.host_clock(tmp_path / "nowhere" / "clock")() - time.time()) < 2.0
