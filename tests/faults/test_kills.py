"""SIGKILL to parts of a server at random, while it trains: no epoch is lost or doubled, no bit differs.

CHAINRULE_TEST_KILLS=300 CHAINRULE_TEST_SEED=1 python -m pytest tests/faults/test_kills.py -m slow -s
"""

import contextlib
import itertools
import os
import random
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import NamedTuple

import psutil
import pytest
import sqlalchemy as sa

from app.jobs.queue import POISON
from app.storage.tables import Job, Worker
from tests.support.checker import check, control_of, settle
from tests.support.kinds import KINDS, Kinds
from tests.support.promises import AT_REST, Control
from tests.support.recorder import Recorder
from tests.support.server import Server, kill, trainers_of, until
from tests.support.training import submit, train

pytestmark = pytest.mark.heavy

KILLS = int(os.environ.get("CHAINRULE_TEST_KILLS", "10"))
SEED = int(os.environ.get("CHAINRULE_TEST_SEED", str(random.SystemRandom().randrange(10**6))))
SLOTS = 2
VICTIMS = {"trainer": 8, "lane": 2, "supervisor": 4, "worker": 4, "everything": 2}
"""What is killed, and how often; ``worker`` is one that was started by itself."""


class Place(NamedTuple):
    """Where a job stands."""

    status: str
    fence: int
    worker: str | None
    crashes: int
    done: tuple[int, int]


class Ward:
    """A server and a worker beside it, at work on jobs of several kinds, and what was done to them."""

    def __init__(self, server: Server, kinds: Sequence[str], share: float, seed: int) -> None:
        self.server, self.kinds, self.draw = server, kinds, random.Random(seed)
        self.recorder = Recorder()
        self._stack = ExitStack()
        self.client = self._stack.enter_context(self.recorder.client(server))
        self._database = self._stack.enter_context(server.database())
        self._requests = Kinds(self.client, share)
        self.jobs: dict[str, str] = {}  # id -> kind
        self.claimed: list[float] = []
        self.computing: list[float] = []
        self.killed: Counter[str] = Counter()
        self.controls = {kind: self._control(kind) for kind in kinds}
        self._next = itertools.cycle(self.draw.sample([*kinds], len(kinds)))
        self.worker = server.another_worker()

    def _control(self, kind: str) -> Control:
        return control_of(self.server, train(self.client, **self._requests.body(kind))["id"])

    def close(self) -> None:
        self._stack.close()

    def places(self) -> dict[str, Place]:
        columns = (Job.id, Job.status, Job.fence, Job.worker_id, Job.crashes, Job.epochs_completed)
        with self._database.reading() as session:
            rows = session.execute(sa.select(*columns, Job.snapshot_count))
            return {row[0]: Place(*row[1:5], (row[5], row[6])) for row in rows if row[0] in self.jobs}

    def all_at_work(self) -> bool:
        """Whether every slot trains; submits jobs, a kind after the other, so that one always waits."""
        moving = [each.status for each in self.places().values() if each.status not in AT_REST]
        for _ in range(SLOTS + 2 - len(moving)):
            kind = next(self._next)
            body = self._requests.body(kind)
            self.jobs[submit(self.client, **body, name=f"{kind} {len(self.jobs)}")["id"]] = kind
        return moving.count("running") > SLOTS

    def strike(self) -> None:
        """Kill one part at a random instant, and wait until what it was doing goes on elsewhere."""
        until(self.all_at_work, 60)
        time.sleep(self.draw.uniform(0, 1.0))
        # The third crash without a snapshot fails a job, as it should: such a job is left in peace till then.
        until(lambda: all(each.crashes < POISON - 1 for each in self.places().values()), 60)
        victim = self.draw.choices([*VICTIMS], [*VICTIMS.values()])[0]
        processes = until(lambda: self._processes(victim), 10)
        hit = self._hit_by(victim, processes[0])
        start = time.monotonic()
        kill(*processes)
        self.killed[victim] += 1
        if victim == "everything":
            self.server.kill_everything()
            self.server.restart()
        if victim in ("everything", "worker"):
            self.worker.wait()
            self.worker = self.server.another_worker()
        self._time(hit, start)
        self._look()

    def _processes(self, victim: str) -> list[psutil.Process]:
        """Those to kill; a trainer where there is no lane."""
        beside = psutil.Process(self.worker.pid)
        ours = self.server.processes()
        if victim == "supervisor":
            return ours.supervisors
        if victim == "worker":
            return [beside]
        if victim == "everything":
            return [*_tree(ours.api), *_tree(beside)]
        trainers = trainers_of(*ours.supervisors, beside)
        lanes = [each for trainer in trainers for each in _tree(trainer)[1:]]
        among = (victim == "lane" and lanes) or trainers
        return [self.draw.choice(among)] if among else []

    def _hit_by(self, victim: str, process: psutil.Process) -> "Hit":
        running = {job: each for job, each in self.places().items() if each.status == "running"}
        if victim == "everything":
            return Hit(running, len(running))
        if victim == "lane":
            process = process.parent()
        pid = process.pid if victim in ("supervisor", "worker") else process.ppid()
        with self._database.reading() as session:
            worker = session.scalar(sa.select(Worker.id).where(Worker.pid == pid))
        held = {job: each for job, each in running.items() if each.worker == worker}
        if victim in ("supervisor", "worker"):
            return Hit(held, len(held))
        slots = 1 if pid == self.worker.pid else SLOTS
        return Hit(held, min(1, len(held)), is_sure=len(held) == slots)

    def _time(self, hit: "Hit", start: float) -> None:
        """Wait until as many of the jobs as were hit are claimed again, and then until they have written."""
        claimed: dict[str, tuple[int, int]] = {}
        computing: set[str] = set()
        patience = 30.0 if hit.is_sure else 2.5
        while len(computing) < hit.lost:
            took = time.monotonic() - start
            for job, now in self.places().items():
                before = hit.held.get(job)
                if before is None or (now.fence == before.fence and now.status not in AT_REST):
                    continue
                if job not in claimed and now.status == "running":
                    self.claimed.append(took)
                    claimed[job] = now.done
                if (job not in computing and now.status in AT_REST) or now.done != claimed.get(job, now.done):
                    self.computing.append(took)
                    computing.add(job)
            if took > patience:
                assert not hit.is_sure, f"{hit} does not go on after {took:.1f} s: {self.places()}"
                return
            time.sleep(0.01)

    def _look(self) -> None:
        """As a client: what it is told now must be true for ever."""
        job = self.draw.choice([*self.jobs])
        self.client.get(f"/v1/jobs/{job}")
        epoch = self.draw.randrange(self.places()[job].done[0] + 1)
        self.client.get(f"/v1/jobs/{job}/epochs", params={"after_epoch": epoch, "limit": 200})
        self.client.get(f"/v1/jobs/{job}/events", params={"after": self.draw.randrange(20), "limit": 20})

    def end(self) -> None:
        """Let everything come to its end, check it, and print what was seen."""
        settle(self.server, 180)
        print(f"\n{self._report()}")
        controls = {job: self.controls[kind] for job, kind in self.jobs.items()}
        check(self.server, self.recorder, controls)

    def _report(self) -> str:
        hashes: dict[str, set[str | None]] = defaultdict(set)
        for job, kind in self.jobs.items():
            hashes[kind] |= {control_of(self.server, job).sha256, self.controls[kind].sha256}
        kinds = Counter(self.jobs.values())
        lines = [f"killed: {dict(self.killed)}; jobs: {dict(kinds)}"]
        lines += [f"weight hashes: { {kind: len(each) for kind, each in hashes.items()} }"]
        for words, times in (("claimed", self.claimed), ("computing", self.computing)):
            lines += [f"seconds until {words} again: {_spread(times)}"]
        return "\n".join(lines)


class Hit(NamedTuple):
    """Jobs of whom ``lost`` have lost their trainer; not sure where that trainer may have been at rest."""

    held: dict[str, Place]
    lost: int
    is_sure: bool = True


def _spread(times: list[float]) -> str:
    if len(times) < 2:
        return str(times)
    cuts = statistics.quantiles(times, n=100)
    return f"p50 {cuts[49]:.2f}, p99 {cuts[98]:.2f}, most {max(times):.2f} ({len(times)})"


def _tree(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


@pytest.fixture(scope="module")
def server(new_server: Callable[..., Server]) -> Server:
    return new_server(workers=SLOTS, snapshot_seconds=0.1, lease_seconds=5, max_threads=2)


@contextlib.contextmanager
def ward_of(server: Server, kinds: Sequence[str], share: float) -> Iterator[Ward]:
    print(f"seed {SEED}")
    ward = Ward(server, kinds, share, SEED)
    try:
        yield ward
    finally:
        ward.close()


def test_random_kills_cost_nothing(server: Server) -> None:
    with ward_of(server, ["minibatch", "dropout"], 0.4) as ward:
        for _ in range(2):
            ward.strike()
        ward.end()


@pytest.mark.slow
def test_many_random_kills_cost_nothing(server: Server) -> None:
    with ward_of(server, [*KINDS], 1.0) as ward:
        for _ in range(KILLS):
            ward.strike()
        ward.end()
        assert statistics.median(ward.claimed) <= 2.0
