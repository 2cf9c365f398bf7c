"""How often a trainer writes snapshots, on a virtual clock: from inside an epoch of an hour, too."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from app.engine import Progress
from app.jobs import history, queue
from app.jobs.ledger import Place
from app.storage.blobs import Blobs, Staged
from app.storage.database import Database
from app.storage.tables import Snapshot
from app.worker import trainer
from app.worker.material import Materials
from app.worker.surroundings import Surroundings
from app.worker.trainer import Trainer, Wish
from tests.support.rows import TRAINING, add_job

REPORT_SECONDS = 0.1


class Hour:
    """An epoch that takes an hour, and is broken off behind ``seconds`` of it; it reports as an engine does.

    Staging and the transaction of a snapshot take the given times; the trainer's own time is not counted.
    """

    def __init__(self, seconds: float, staging: float, transaction: float) -> None:
        self.now, self.seconds = 0.0, seconds
        self.staging, self.transaction = staging, transaction
        self.written: list[float] = []

    def train(self, snapshot: Any, *_: Any) -> Iterator[Progress]:
        step = 0
        while self.now < self.seconds:
            step += 1
            self.now += REPORT_SECONDS
            state = replace(snapshot, step=step)
            yield Progress(1, step, 36_000, 0.5, 0.5, self.now, partial(replace, state))
        raise KeyboardInterrupt  # as the end of the process would

    def stage(self, real: Any, content: bytes) -> Staged:
        self.now += self.staging
        staged: Staged = real(content)
        return staged

    def record(self, real: Any, *arguments: Any, **more: Any) -> Any:
        places: list[Place] = arguments[4]
        self.now += self.transaction if places else 0.0
        self.written += [self.now] * bool(places)
        return real(*arguments, **more)


@pytest.mark.parametrize(
    ("staging", "transaction", "pause"),
    [(0.0, 0.0, 2.0), (0.03, 0.005, 2.0), (0.3, 0.0, 15.0), (0.0, 0.3, 15.0), (0.2, 0.1, 15.0)],
)
def test_an_epoch_of_an_hour_loses_seconds(
    database: Database,
    blobs: Blobs,
    materials: Materials,
    surroundings: Surroundings,
    monkeypatch: pytest.MonkeyPatch,
    staging: float,
    transaction: float,
    pause: float,
) -> None:
    hour = Hour(200.0, staging, transaction)
    stage, record = blobs.stage, history.record
    monkeypatch.setattr(trainer, "time", SimpleNamespace(monotonic=lambda: hour.now))
    monkeypatch.setattr(trainer, "train", hour.train)
    monkeypatch.setattr(blobs, "stage", lambda content: hour.stage(stage, content))
    monkeypatch.setattr(history, "record", lambda *parts, **more: hour.record(record, *parts, **more))
    add_job(database, training=TRAINING)
    (claim,) = queue.claim(database, "wrk_a", 1, 30.0)
    around = replace(surroundings, snapshot_seconds=2.0)
    with pytest.raises(KeyboardInterrupt):
        Trainer(database, blobs, claim, around, lambda: Wish.GO_ON).run(materials)
    cost = staging + transaction
    gaps = [later - sooner for sooner, later in zip([0.0, *hour.written], hour.written, strict=False)]
    assert gaps[0] <= 2.0 + REPORT_SECONDS + cost + 1e-6  # nothing is known of what it costs
    for gap in gaps[1:]:
        assert pause + cost - 1e-6 <= gap <= pause + cost + REPORT_SECONDS + 1e-6
    assert len(gaps) >= 200.0 / (pause + 1.0) - 1
    assert cost <= 0.02 * (pause + 1e-6) or pause == 2.0  # at most a fiftieth of the time
    with database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Snapshot)) == len(gaps)
