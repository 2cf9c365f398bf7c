"""Workers that beat, fall silent, die and come back, over clocks that jump: no job is lost, none is doubled.

``CHAINRULE_TEST_RUNS`` is the number of runs, ``CHAINRULE_TEST_SEED`` repeats them; both are printed.
"""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.errors import ChainruleError, LeaseLost
from app.jobs import actions, events, history, line, queue, service
from app.jobs.events import Entry
from app.jobs.history import Ending
from app.jobs.ledger import Place
from app.jobs.queue import Claim
from app.jobs.states import AT_REST, HELD, STOPPING, TERMINAL, State
from app.keys.service import Principal
from app.projects.quotas import Quotas
from app.storage import columns
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.declaring import core
from app.storage.tables import Blob, Dataset, Epoch, Event, Job, Project, Snapshot
from tests.support import oracle
from tests.support.oracle import LEASE, Oracle
from tests.support.rows import add_dataset, add_job, epoch, job_row, principal

RUNS = {"sqlite": 60, "postgres": 5}
STEPS = 20
SEED = int(os.environ.get("CHAINRULE_TEST_SEED") or secrets.randbits(32))

WORKERS = ["wrk_a", "wrk_b", "wrk_c"]
PROJECTS = ["one", "two"]
MOST_JOBS = 5
MAX_QUEUED = 3
BACK = 10_000.0
"""Further than any lease is long."""

SKEWS = [-86400.0, 0.0, 3600.0]

PAUSES = ["pause", "resume"]
DEEDS = ["epochs", "snapshot", "both"]
ERROR = {"code": "diverged", "message": "The cost is not finite."}
ENDS: dict[str, tuple[State | None, dict[str, str] | None]] = {
    "stop": (None, None),
    "succeed": (State.SUCCEEDED, None),
    "fail": (State.FAILED, ERROR),
}

INSERT = sa.insert(Job)
CLEAN = (
    *(sa.delete(table) for table in (Event, Epoch, Snapshot, Job)),
    sa.delete(Blob).where(Blob.sha256.not_in(sa.select(Dataset.content))),
    sa.update(Project).values(max_running=None, max_queued=None),
)
LOOK = sa.select(
    *(Job.id, Job.status, Job.want, Job.priority, Job.fence, Job.worker_id, Job.lease_until > 0),
    *(Job.crashes, Job.retries, Job.epochs_completed, Job.snapshot_count, Job.event_count),
)
_table = core(Job)
AGE = (
    sa.update(_table)
    .where(_table.c.lease_until > 0)
    .values(lease_until=_table.c.lease_until - sa.bindparam("seconds", type_=sa.Double()))
)
"""Instead of time that passes: the ends of all leases come nearer."""

workers = st.sampled_from(WORKERS)
picks = st.integers(0, 2**16)
limits = st.sampled_from([None, None, 0, 1, 2])


class Leases(RuleBasedStateMachine):
    """``handed``: every claim that was ever given, with its worker. Any of them may be used at any time."""

    database: Database
    blobs: Blobs
    principals: dict[str, Principal]
    template: dict[str, Any]

    def __init__(self) -> None:
        super().__init__()
        self.model = Oracle(PROJECTS, None, MAX_QUEUED)
        self.handed: list[tuple[str, Claim]] = []
        self.forgotten: set[Claim] = set()
        self.skew = dict.fromkeys(WORKERS, 0.0)
        self.written = 0
        with self.database.writing() as session:
            for statement in CLEAN:
                session.execute(statement)
        for project in (*PROJECTS, PROJECTS[0]):
            self._submit(project, 0)

    def _job(self, pick: int) -> oracle.Job:
        return list(self.model.jobs.values())[pick % len(self.model.jobs)]

    def _live(self, worker: str | None = None) -> list[Claim]:
        known = [claim for name, claim in self.handed if worker in (None, name)]
        return [claim for claim in known if self.model.is_live(claim) and claim not in self.forgotten]

    def _one(self, pick: int, worker: str, *, stale: bool) -> Claim | None:
        """A claim that counts, which this worker takes if there is none; or one that was ever given."""
        if not self._live():
            self._claim(worker, 3)
        found = [claim for _, claim in self.handed] if stale else self._live()
        return found[pick % len(found)] if found else None

    def _clocks_of(self, worker: str) -> None:
        """What this process calls now: no lease may go by it."""
        moment = columns.now() + timedelta(seconds=self.skew[worker])
        for module in (queue, history, events, actions):
            cast("Any", module).now = lambda: moment

    # What clients do.

    @precondition(lambda self: len(self.model.jobs) < MOST_JOBS)
    @rule(project=st.sampled_from(PROJECTS), priority=st.sampled_from([0, 1]))
    def submit(self, project: str, priority: int) -> None:
        self._submit(project, priority)

    def _submit(self, project: str, priority: int) -> None:
        job_id = f"job_{len(self.model.jobs)}"
        owner = self.principals[project].project_id
        row = {**self.template, "id": job_id, "project_id": owner, "priority": priority}

        def insert() -> None:
            with self.database.writing() as session:
                line.make_room(session, owner, Quotas(max_queued=MAX_QUEUED))
                session.execute(INSERT, row)
                events.append(session, job_id, [Entry("job.queued", "")])

        if self.model.has_room(project):
            self.model.jobs[job_id] = oracle.Job(job_id, project, priority)
            insert()
        else:
            assert _refusal(insert) == "TooManyJobs"

    @rule(
        pick=picks,
        wanted=st.lists(st.sampled_from(["cancel", "retry", *(3 * PAUSES)]), min_size=1, max_size=3),
    )
    def ask(self, pick: int, wanted: list[str]) -> None:
        """Usually of a job that has not ended."""
        open_ones = [job for job in self.model.jobs.values() if job.status not in TERMINAL]
        job = open_ones[pick % len(open_ones)] if open_ones and pick % 8 else self._job(pick)
        failed = [each for each in self.model.jobs.values() if each.status == "failed"]
        for action in wanted:
            self._ask(failed[pick % len(failed)] if action == "retry" and failed else job, action)

    def _ask(self, job: oracle.Job, action: Any) -> None:
        expected = self.model.ask(job, action)
        who = self.principals[job.project]

        def ask() -> bool:
            with self.database.writing() as session:
                return actions.ask(session, self.database, who, job.id, action, Quotas(max_queued=MAX_QUEUED))

        if isinstance(expected, str):
            assert _refusal(ask) == expected
        else:
            assert ask() is expected

    @rule(pick=picks, priority=st.integers(-1, 1), max_running=limits, max_queued=limits)
    def change(self, pick: int, priority: int, max_running: int | None, max_queued: int | None) -> None:
        """A job's priority, and the limits of its project."""
        job = self._job(pick)
        self._limit(job.project, max_running, max_queued)
        if job.status not in TERMINAL:
            job.priority = priority
            with self.database.writing() as session:
                service.prioritize(session.get_one(Job, job.id), priority)

    def _limit(self, name: str, max_running: int | None, max_queued: int | None) -> None:
        self.model.projects[name] = oracle.Project(max_running, max_queued)
        own = Project.id == self.principals[name].project_id
        values = {"max_running": max_running, "max_queued": max_queued}
        with self.database.writing() as session:
            session.execute(sa.update(Project).where(own).values(values))

    # What workers do, alive or not.

    @rule(worker=workers, slots=st.integers(1, 3), heard=st.sampled_from([True, True, False]))
    def claim(self, worker: str, slots: int, heard: bool) -> None:
        self._claim(worker, slots, heard=heard)

    def _claim(self, worker: str, slots: int, *, heard: bool = True) -> None:
        self._clocks_of(worker)
        expected = self.model.claim(worker, slots)
        claims = queue.claim(self.database, worker, slots, LEASE)
        assert claims == expected
        self._hand(worker, claims)
        if not heard:  # the answer to the COMMIT was lost: it is only the database that knows
            self.forgotten.update(claims)
        for project in {self.model.jobs[each.job_id].project for each in claims}:
            most = self.model.most(project)
            assert most is None or self._running(project) <= most

    def _running(self, project: str) -> int:
        mine = (Job.project_id == self.principals[project].project_id, Job.status == State.RUNNING)
        with self.database.reading() as session:
            return session.scalar(sa.select(sa.func.count()).where(*mine)) or 0

    def _hand(self, worker: str, claims: list[Claim]) -> None:
        known = [claim for _, claim in self.handed]
        assert not [each for each in claims if each in known], "a fence was given twice"
        self.handed += [(worker, each) for each in claims]

    @rule(worker=workers, zombie=st.booleans())
    def beat_and_look(self, worker: str, zombie: bool) -> None:
        """``zombie``: with everything that it ever held."""
        theirs = [claim for name, claim in self.handed if name == worker and claim not in self.forgotten]
        claims = theirs if zombie else self._live(worker)
        self._clocks_of(worker)
        wanted = self.model.beat(claims)
        assert queue.heartbeat(self.database, worker, claims, LEASE) == wanted
        if claims and not zombie:
            assert queue.wishes(self.database, claims) == wanted
        self._look_for_what_is_to_stop(worker)

    def _look_for_what_is_to_stop(self, worker: str) -> None:
        claims = queue.lapsed_stops(self.database, worker)
        assert set(claims) == self.model.lapsed_stops(worker)
        self._hand(worker, claims)

    @rule(
        worker=workers,
        pick=picks,
        deeds=st.lists(st.sampled_from([*DEEDS, "crash"]), min_size=1, max_size=3),
        then=st.sampled_from([None, None, "pause", "cancel"]),
    )
    def train(self, worker: str, pick: int, deeds: list[str], then: str | None) -> None:
        claim = self._one(pick, worker, stale=False)
        if claim is None:
            return
        for deed in deeds:
            if deed == "crash":
                self._release(claim, crashed=True)
            else:
                self._write(claim, deed)
        if then is not None:
            self._ask(self.model.jobs[claim.job_id], then)

    @precondition(lambda self: self.handed)
    @rule(pick=picks, deed=st.sampled_from([*DEEDS, "stop", "succeed", "fail"]))
    def write_late(self, pick: int, deed: str) -> None:
        """Of any claim that was ever given."""
        self._write(self._one(pick, "wrk_a", stale=True), deed)

    @rule(worker=workers, pick=picks, how=st.sampled_from(["stop", "stop", "succeed", "fail"]))
    def end(self, worker: str, pick: int, how: str) -> None:
        self._write(self._one(pick, worker, stale=False), how)

    def _write(self, claim: Claim | None, deed: str) -> None:
        if claim is None:
            return
        job = self.model.jobs[claim.job_id]
        if deed in ENDS:
            if deed == "stop" and job.status not in STOPPING:
                return
            state, error = ENDS[deed]
            ending = Ending(state, {"epochs": job.epochs}, error)
            self._record(claim, self.model.end(claim, state), end=ending)
            return
        begin = job.epoch or 0  # whoever goes on computes again what no snapshot has kept
        last = begin + (0 if deed == "snapshot" else 2)
        rows = [epoch(job.id, number) for number in range(begin + 1, last + 1)]
        self.written += 1
        keeps = deed != "epochs"
        place = Place(last, self.written, self.blobs.stage(b"%d" % self.written), "0" * 64)
        places = [place] if keeps else []
        self._record(claim, self.model.write(claim, last, snapshot=keeps), rows=rows, places=places)

    def _record(self, claim: Claim, counts: bool, **what: Any) -> None:
        def record() -> None:
            with self.database.writing() as session:
                history.record(session, self.blobs, claim, **what)

        if counts:
            record()
        else:
            with pytest.raises(LeaseLost):
                record()

    @rule(worker=workers, pick=picks, times=st.integers(1, 3), stale=st.booleans())
    def crash(self, worker: str, pick: int, times: int, stale: bool) -> None:
        """A job's trainer, again and again; or one that had lost the job long before."""
        claim = self._one(pick, worker, stale=stale)
        for _ in range(times if claim is not None else 0):
            for each in [claim] if stale else self._live():
                if each is not None and claim is not None and each.job_id == claim.job_id:
                    self._release(each, crashed=True)
            if times > 1:
                self._claim(worker, 3)

    def _release(self, claim: Claim, *, crashed: bool) -> None:
        self.model.release(claim, crashed=crashed)
        queue.release(self.database, claim, crashed=crashed)

    @rule(worker=workers, pick=picks, how=st.sampled_from(["drain", "die", "go", "strays"]))
    def lose(self, worker: str, pick: int, how: str) -> None:
        if how == "drain":
            claim = self._one(pick, worker, stale=False)
            if claim is not None:
                self._release(claim, crashed=False)
        elif how == "strays":
            self._give_back_strays(worker)
        else:
            crashed = how == "die"
            held = self.model.free(worker, crashed=crashed)
            assert queue.free(self.database, worker, crashed=crashed) == held

    def _give_back_strays(self, worker: str) -> None:
        known = self._live(worker)
        self.model.give_back_strays(worker, known)
        queue.give_back_strays(self.database, worker, known)

    # What clocks do.

    @rule(seconds=st.sampled_from([7.0, 31.0, 61.0, -BACK]), worker=workers, own=st.sampled_from(SKEWS))
    def pass_time(self, seconds: float, worker: str, own: float) -> None:
        """On the database's clock, which may be put back; a worker's own may leap: nothing comes of it."""
        self.skew[worker] = own
        self._pass_time(seconds)

    def _pass_time(self, seconds: float) -> None:
        self.model.pass_time(seconds)
        with self.database.writing() as session:
            session.execute(AGE, {"seconds": seconds})

    # What must be so after each step, and at the end.

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        with self.database.reading() as session:
            found = {row[0]: tuple(row[1:]) for row in session.execute(LOOK)}
        for job in self.model.jobs.values():
            leased = (job.status, job.want, job.priority, job.fence, job.worker, job.until is not None)
            counted = (job.crashes, job.retries, job.epochs, job.snapshots, len(job.log))
            assert found.pop(job.id) == leased + counted, job
            assert job.status in HELD or (job.worker, job.until) == (None, None)
        assert not found
        live = [claim.job_id for _, claim in self.handed if self.model.is_live(claim)]
        assert len(live) == len(set(live)), "two may write for one job"

    def teardown(self) -> None:
        """Time passes, and one healthy worker brings every job to its end."""
        for name in PROJECTS:
            self._limit(name, None, None)
        self._run_to_rest()
        for job in self.model.jobs.values():
            if job.status == "paused":
                self._ask(job, "cancel")
        self._run_to_rest()
        assert all(job.status in TERMINAL for job in self.model.jobs.values())
        self.all_is_as_the_model_says()
        self._histories_are_whole()

    def _run_to_rest(self) -> None:
        for _ in range(3 * MOST_JOBS):
            if all(job.status in AT_REST for job in self.model.jobs.values()):
                return
            self._pass_time(2 * BACK)  # whatever the clock has done to leases
            self._give_back_strays("wrk_a")
            self._look_for_what_is_to_stop("wrk_a")
            self._claim("wrk_a", MOST_JOBS)
            for claim in self._live("wrk_a"):
                self._write(claim, "stop" if self.model.jobs[claim.job_id].status in STOPPING else "succeed")
        raise AssertionError(f"stuck: {self.model.jobs}")

    def _histories_are_whole(self) -> None:
        logs: dict[str, list[str]] = {job_id: [] for job_id in self.model.jobs}
        rows: dict[str, list[int]] = {job_id: [] for job_id in self.model.jobs}
        with self.database.reading() as session:
            told = sa.select(Event.job_id, Event.seq, Event.type).order_by(Event.job_id, Event.seq)
            for job_id, seq, kind in session.execute(told):
                assert seq == len(logs[job_id]) + 1
                logs[job_id].append(kind)
            trained = sa.select(Epoch.job_id, Epoch.epoch).order_by(Epoch.job_id, Epoch.epoch)
            for job_id, number in session.execute(trained):
                rows[job_id].append(number)
        for job in self.model.jobs.values():
            assert logs[job.id] == job.log
            assert rows[job.id] == list(range(1, job.epochs + 1))
            ends = [each for each in job.log if each in {f"job.{state}" for state in TERMINAL}]
            assert ends == ["job.failed"] * job.retries + [f"job.{job.status}"]


def _refusal(act: Callable[[], object]) -> str:
    with pytest.raises(ChainruleError) as refused:
        act()
    return type(refused.value).__name__


@pytest.fixture
def quick(backend: str, database: Database, migrated_sqlite: Path, tmp_path: Path) -> Iterator[Database]:
    """The database, in memory if it is SQLite's: no machine loses its power in this test."""
    if backend == "postgres":
        yield database
        return
    memory = Path("/dev/shm")
    directory = memory / f"chainrule-{secrets.token_hex(8)}" if memory.is_dir() else tmp_path / "quick"
    directory.mkdir()
    made = Database(f"sqlite:///{shutil.copy(migrated_sqlite, directory / 'x.sqlite')}", pool_size=2)
    sa.event.listen(made.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous=OFF"))
    yield made
    made.close()
    shutil.rmtree(directory)


def test_no_lease_is_held_twice_and_no_job_is_lost(
    backend: str, quick: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (queue, history, events, actions):
        monkeypatch.setattr(module, "now", columns.now)  # put back at the end
    blobs = Blobs(quick, tmp_path / "blobs")
    add_dataset(quick, blobs, shared=True)  # with every project, whose jobs may so be tried again
    job = job_row(quick, add_job(quick, PROJECTS[0]))
    row = {each.key: getattr(job, each.key) for each in sa.inspect(Job).column_attrs} | {"event_count": 0}
    runs = int(os.environ.get("CHAINRULE_TEST_RUNS") or RUNS[backend])
    parts = {
        "database": quick,
        "blobs": blobs,
        "principals": {name: principal(quick, name) for name in PROJECTS},
        "template": row,
    }
    machine = type("LeasesHere", (Leases,), parts)
    chosen = settings(
        max_examples=runs,
        stateful_step_count=STEPS,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        derandomize=False,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    print(f"CHAINRULE_TEST_SEED={SEED} CHAINRULE_TEST_RUNS={runs}")
    seed(SEED)(machine)
    run_state_machine_as_test(machine, settings=chosen)
