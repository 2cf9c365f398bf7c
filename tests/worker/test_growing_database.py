"""A database that may not grow beyond some page: each page more, until a whole job passes."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from app.jobs import holds, queue
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.tables import Job, Model
from app.worker import trainer
from app.worker.material import Materials
from app.worker.surroundings import Surroundings
from app.worker.trainer import Trainer, Wish
from tests.support.promises import Control, in_database, outcome
from tests.support.rows import TRAINING, add_job

MOST_PAGES = 200


def opened(path: Path, pages: int | None = None) -> Database:
    database = Database(f"sqlite:///{path}", 2)
    if pages is not None:

        def limit(connection: Any, _: object) -> None:
            connection.execute(f"PRAGMA max_page_count = {pages}")

        event.listen(database.engine, "connect", limit)
    return database


def train(database: Database, directory: Path, surroundings: Surroundings) -> str:
    """What a worker does until it has nothing more to do, or can do nothing more."""
    blobs = Blobs(database, directory / "blobs")
    materials = Materials(database, blobs, surroundings.cache)
    try:
        holds.resume(database)
        (taken,) = queue.claim(database, "wrk_a", 1, 30.0)
    except OperationalError:
        return "nothing"
    return Trainer(database, blobs, taken, surroundings, lambda: Wish.GO_ON).run(materials)


def mended(path: Path, directory: Path, surroundings: Surroundings) -> Control:
    """The job's outcome once there is room; every promise is checked before and after."""
    database = opened(path)
    blobs = Blobs(database, directory / "blobs")
    assert [
        each for each in in_database(database, blobs) if "stuck" not in each and "leased" not in each
    ] == []
    with database.writing() as session:
        waiting = Job.status.in_(("running", "paused"))
        session.execute(sa.update(Job).where(waiting).values(lease_until=1.0))
        done = session.scalar(sa.select(Model.id)) is not None
    if not done:
        assert train(database, directory, surroundings) == "finished"
    assert [*in_database(database, blobs)] == []
    with database.reading() as session:
        found = outcome(session, session.scalars(sa.select(Job)).one())
    database.close()
    return found


@pytest.fixture
def sweep(
    backend: str,
    database: Database,
    materials: Materials,
    surroundings: Surroundings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[range], None]:
    if backend == "postgres":
        pytest.skip("SQLite counts pages")
    del materials  # its dataset is in the database
    monkeypatch.setattr(trainer, "AWAY_SECONDS", 0.0)
    add_job(database, training={**TRAINING, "epochs": 150, "batch_size": 2})
    with database.reading() as session:
        start = session.scalar(sa.text("PRAGMA page_count")) or 0
    database.close()

    def over(more: range) -> None:
        control: Control | None = None
        words = set()
        for pages in (MOST_PAGES, *more):
            path = Path(shutil.copy(tmp_path / "chainrule.sqlite", tmp_path / f"{pages}.sqlite"))
            directory = tmp_path / str(pages)
            limited = opened(path, start + pages)
            word = train(limited, directory, surroundings)
            with limited.reading() as session:
                status = session.scalars(sa.select(Job.status)).one()
            limited.close()
            words.add((word, status))
            found = mended(path, directory, surroundings)
            assert found.status == "succeeded"
            control = control or found
            assert (found.sha256, found.rows) == (control.sha256, control.rows)
            if pages != MOST_PAGES and (word, status) == ("finished", "succeeded"):
                break
        print(sorted(words))
        assert ("finished", "succeeded") in words
        assert len(words) > 1

    return over


def test_a_few_pages_too_few_cost_nothing(sweep: Callable[[range], None]) -> None:
    sweep(range(0, 12, 4))


@pytest.mark.slow
def test_no_page_is_one_too_few(sweep: Callable[[range], None]) -> None:
    sweep(range(MOST_PAGES))
