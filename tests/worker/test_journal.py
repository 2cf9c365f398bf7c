"""What a job's snapshots leave behind when newer ones take their place."""

from dataclasses import replace

from app.backups.flow import pour
from app.backups.seen import Seen
from app.jobs import queue
from app.jobs.queue import Claim
from app.storage.blobs import IN_ROW, Blobs
from app.storage.database import Database
from app.storage.sweep import Sweep
from app.storage.view import view
from app.worker.journal import Journal
from app.worker.material import Materials
from app.worker.tally import Tally
from tests.support.rows import ARCHITECTURE, add_job

LARGE = ARCHITECTURE | {"layers": [{"units": 20_000, "activation": "tanh", "initialization": "auto"}]}


def files(blobs: Blobs) -> int:
    return len([*blobs.directory.glob("*/*")])


def write(journal: Journal, materials: Materials, claim: Claim, epoch: int) -> None:
    start = materials.load(claim).snapshot
    journal.take(replace(start, epoch=epoch))
    journal.write()


def test_what_somebody_reads_stays_though_a_newer_one_is_written(
    database: Database, blobs: Blobs, materials: Materials
) -> None:
    add_job(database, architecture=LARGE)
    (claim,) = queue.claim(database, "wrk_a", 1, 30.0)
    journal = Journal(database, blobs, claim, 1.0, Tally())
    write(journal, materials, claim, 1)
    with view(database, blobs.directory) as connection:
        write(journal, materials, claim, 2)
        passed = pour(Seen(connection, blobs.directory), None, lambda *_: None)
    assert len(passed.blobs) == 1
    assert passed.size > IN_ROW
    if database.is_sqlite:
        assert files(blobs) == 2
    write(journal, materials, claim, 3)
    if database.is_sqlite:
        assert files(blobs) == 2  # that of the second went at once
        assert Sweep(blobs).run(grace_seconds=-1.0) == 1
        assert files(blobs) == 1
