"""SIGSTOP a worker past its lease, let another take its job, SIGCONT: nothing that it then writes counts.

CHAINRULE_TEST_ZOMBIES=50 CHAINRULE_TEST_SEED=1 python -m pytest tests/faults/test_zombies.py -m slow -s
"""

import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator

import psutil
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from app.storage.database import Database
from app.storage.tables import Job, Worker
from tests.support.checker import settle, violations
from tests.support.kinds import Kinds
from tests.support.marks import Marks
from tests.support.recorder import Recorder
from tests.support.server import Server, alive, trainers_of, until
from tests.support.training import submit

pytestmark = pytest.mark.heavy

ZOMBIES = int(os.environ.get("CHAINRULE_TEST_ZOMBIES", "5"))
SEED = int(os.environ.get("CHAINRULE_TEST_SEED", str(random.SystemRandom().randrange(10**6))))
MANNERS = ("trainer first", "supervisor first", "supervisor alone")
"""Who wakes first; a supervisor that sleeps alone leaves its trainer at work without a lease."""


class Graveyard:
    """Two workers on one job: whoever has it falls asleep, and the other takes it."""

    def __init__(self, server: Server, database: Database, seed: int) -> None:
        self.server, self.database, self.draw = server, database, random.Random(seed)
        self.marks, self.recorder = Marks(database), Recorder()
        self.client = recorder_client = self.recorder.client(server)
        body = Kinds(recorder_client).body("minibatch")
        training = {
            **body["training"],
            "epochs": 10**6,
            "optimizer": {"name": "adam", "learning_rate": 0.001},
        }
        self.job_id = submit(self.client, **{**body, "training": training})["id"]
        self.manners: Counter[str] = Counter()
        until(lambda: self.fence() == 1, 10)
        server.another_worker()

    def job(self) -> Job:
        with self.database.reading() as session:
            return session.get_one(Job, self.job_id)

    def fence(self) -> int:
        return self.job().fence

    def make_a_zombie(self) -> None:
        """One that loses its lease in its sleep, at a random instant, and wakes once another has the job."""
        fence = self.fence()
        done = self.job().epochs_completed
        until(lambda: self.job().epochs_completed > done, 20)
        time.sleep(self.draw.uniform(0, 0.5))
        manner = self.draw.choice(MANNERS)
        with self._asleep(manner) as sleepers:
            until(lambda: self.fence() > fence, 30)
            heir = self.job()
            until(lambda: self.job().epochs_completed > heir.epochs_completed, 30)
            time.sleep(self.draw.uniform(0, 0.5))
        self.manners[manner] += 1
        zombie = next((each for each in sleepers if alive(each)), None)
        if zombie is not None:  # it notices what has happened, and is at rest
            until(lambda: self._is_idle(sleepers[-1].pid) or self.marks.stale(), 20)
            stale = self.marks.stale()
            assert not stale, "\n".join(stale)
        now = self.job()
        # An heir that is slow may lose its lease in turn: then there is a new claim, with a fence of its own.
        assert now.worker_id == heir.worker_id or now.fence > heir.fence

    @contextlib.contextmanager
    def _asleep(self, manner: str) -> Iterator[list[psutil.Process]]:
        """The trainer and the supervisor that hold the job; neither has a lock that others wait for."""
        while True:
            holder = until(lambda: self.job().worker_id, 30)  # nobody has it for as long as it changes hands
            with self.database.reading() as session:
                worker = session.get_one(Worker, holder)
            supervisor = psutil.Process(worker.pid)
            both = [*trainers_of(supervisor), supervisor]
            asleep = both[-1:] if manner == "supervisor alone" else both
            for each in asleep:
                each.suspend()
            try:
                if self._is_free():
                    yield both
                    return
            finally:
                for each in asleep if manner == "trainer first" else asleep[::-1]:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        each.resume()
                    time.sleep(self.draw.choice((0, 0.1)))

    def _is_free(self) -> bool:
        """False where a sleeper has kept a lock: nobody can take the job from it."""
        try:
            with self.database.writing() as session:
                wait = (
                    "PRAGMA busy_timeout = 500" if self.database.is_sqlite else "SET LOCAL lock_timeout = 500"
                )
                session.execute(sa.text(wait))
                session.execute(sa.update(Job).where(Job.id == self.job_id).values(name="haunted"))
        except OperationalError:
            return False
        return True

    def _is_idle(self, pid: int) -> bool:
        with self.database.reading() as session:
            return session.scalar(sa.select(Worker.busy).where(Worker.pid == pid)) in (0, None)

    def end(self) -> None:
        self.client.post(f"/v1/jobs/{self.job_id}/cancel")
        settle(self.server, 30)
        stale, writes = self.marks.stale(), dict(self.marks.seen())
        print(f"\nzombies: {dict(self.manners)}; writes: {writes}, of which stale: {len(stale)}")
        assert not stale, "\n".join(stale)
        found = violations(self.server, self.recorder)
        # Each claim has a learning rate of its own, so what an heir computes again differs, and is told.
        found = [each for each in found if "came out differently when it was computed again" not in each]
        assert not found, "\n".join(found)


def haunt(new_server: Callable[..., Server], zombies: int) -> None:
    print(f"seed {SEED}")
    server = new_server(workers=1, lease_seconds=2, snapshot_seconds=0.2)
    with server.database() as database:
        yard = Graveyard(server, database, SEED)
        with contextlib.closing(yard.client):
            for _ in range(zombies):
                yard.make_a_zombie()
            yard.end()


def test_a_zombie_changes_nothing(new_server: Callable[..., Server]) -> None:
    haunt(new_server, 1)


@pytest.mark.slow
def test_many_zombies_change_nothing(new_server: Callable[..., Server]) -> None:
    haunt(new_server, ZOMBIES)
