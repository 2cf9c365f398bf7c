"""What becomes of a batch whose work has ended otherwise than well."""

import errno
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from app.batches import charges, line
from app.batches.runner import Parts, Runner, _types
from app.datasets.jail import Jail, Killed
from app.datasets.storing import Uploads
from app.errors import DiskFull, InvalidDataset, LeaseLost, NotFound, Unavailable
from app.models.warm import WarmModels
from app.projects import quotas
from app.projects.quotas import Quotas
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.disk import Disk
from app.storage.tables import Batch, Model
from tests.batches.test_line import add, claimed, row_of
from tests.support.portable import CLASSES, NUMBERS, loaded, network_of
from tests.support.rows import add_model, principal


@pytest.fixture
def runner(database: Database, tmp_path: Path) -> Iterator[Runner]:
    blobs = Blobs(database, tmp_path / "blobs")
    jail = Jail(tmp_path, keep_spare=False)
    uploads = Uploads(blobs, jail, Disk(tmp_path, 0), tmp_path, Quotas())
    runner = Runner(Parts(database, blobs, uploads, WarmModels(database, blobs), jail, tmp_path))
    yield runner
    runner.close()


def ended(runner: Runner, database: Database, error: Exception) -> Batch:
    """The row of a batch whose work raised that."""
    batch_id = add(database)
    working: Future[None] = Future()
    working.set_exception(error)
    runner._conclude(claimed(database), working)
    return row_of(database, batch_id)


def test_one_that_was_killed_begins_again_but_not_for_ever(runner: Runner, database: Database) -> None:
    batch = ended(runner, database, Killed())
    assert (batch.status, batch.attempts, batch.error) == ("queued", 1, None)
    working: Future[None] = Future()
    working.set_exception(Killed())
    for _ in range(line.MOST_ATTEMPTS - 1):
        runner._conclude(claimed(database), working)
    assert line.claim(database) is None
    batch = row_of(database, batch.id)
    assert (batch.status, batch.error) == ("failed", line.NEVER_ENDED)


def test_what_is_not_its_fault_does_not_count(runner: Runner, database: Database) -> None:
    batch = ended(runner, database, Unavailable("The server is shutting down."))
    assert (batch.status, batch.attempts) == ("queued", 0)


def test_whoever_has_lost_it_says_nothing(runner: Runner, database: Database) -> None:
    assert ended(runner, database, LeaseLost()).status == "running"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidDataset("The file's columns do not fit the model's."), "invalid_dataset"),
        (NotFound("There is no such model."), "not_found"),
        (OSError(errno.ENOSPC, "no space left to write what was parsed"), DiskFull.code),
        (DiskFull(free_bytes=1, needed_bytes=2), DiskFull.code),
        (ZeroDivisionError(), "internal_error"),
    ],
)
def test_a_failure_says_why(runner: Runner, database: Database, error: Exception, code: str) -> None:
    batch = ended(runner, database, error)
    assert batch.status == "failed"
    assert batch.error is not None
    assert batch.error["code"] == code
    assert batch.finished_at is not None


def test_a_class_that_is_spelled_like_a_number_is_one_still() -> None:
    types = {"x": "number"}
    classes, numbers = (loaded(network_of(each)) for each in (CLASSES, NUMBERS))
    assert _types(types, classes) == {"x": "number", "prediction": "category"}
    assert _types(types, numbers) == types


def test_rows_that_a_failure_left_count_no_more(runner: Runner, database: Database, tmp_path: Path) -> None:
    owner = principal(database)
    model_id = add_model(database, Blobs(database, tmp_path / "blobs"), b"parameters")
    batch_id = add(database, model_id=model_id, completed=4)

    def today() -> int:
        with database.reading() as session:
            return quotas.used(session, owner.project_id)["multiply_adds_today"]

    with database.writing() as session:
        count = session.get_one(Model, model_id).parameter_count
        charges.take(session, session.get_one(Batch, batch_id), count, Quotas())
    assert today() == 10 * count > 0
    held = claimed(database)
    assert line.renew(database, held, 4)
    working: Future[None] = Future()
    working.set_exception(InvalidDataset("The file's columns do not fit the model's."))
    runner._conclude(held, working)
    assert today() == 4 * count
