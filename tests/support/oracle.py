"""The lease protocol in plain Python: what must come of every step, on a clock that only a test moves."""

from dataclasses import dataclass, field

from app.jobs.queue import LONGEST_LEASE, POISON, STOP_SECONDS, Claim
from app.jobs.states import HELD, STOPPING, TERMINAL

LEASE = 30.0


@dataclass
class Job:
    """``until``: None where nobody has a lease. ``epoch`` is that of the snapshot to go on from."""

    id: str
    project: str
    priority: int
    status: str = "queued"
    want: str = "run"
    fence: int = 0
    worker: str | None = None
    until: float | None = None
    crashes: int = 0
    retries: int = 0
    epochs: int = 0
    snapshots: int = 0
    epoch: int | None = None
    log: list[str] = field(default_factory=lambda: ["job.queued"])

    def say(self, *events: str) -> None:
        self.log += [f"job.{each}" for each in events]


@dataclass
class Project:
    max_running: int | None = None
    max_queued: int | None = None


class Oracle:
    """``max_queued`` and ``max_running`` are the settings."""

    def __init__(self, projects: list[str], max_running: int | None, max_queued: int | None) -> None:
        self.now = 0.0
        self.jobs: dict[str, Job] = {}
        self.projects = {name: Project() for name in projects}
        self.max_running, self.max_queued = max_running, max_queued

    def is_live(self, claim: Claim) -> bool:
        """Whether what is written under this claim counts."""
        job = self.jobs[claim.job_id]
        return job.fence == claim.fence and job.status in HELD

    def _is_over(self, job: Job) -> bool:
        return job.until is None or job.until <= self.now or job.until > self.now + LONGEST_LEASE + 1

    def running(self, project: str) -> int:
        """Jobs that take one of the project's places."""
        mine = [job for job in self.jobs.values() if job.project == project]
        held = [
            job for job in mine if job.status in STOPPING and job.until is not None and job.until > self.now
        ]
        return len(held) + sum(job.status == "running" for job in mine)

    def most(self, project: str) -> int | None:
        own = self.projects[project].max_running
        return self.max_running if own is None else own

    def has_room(self, project: str) -> bool:
        """Whether one more of its jobs may wait."""
        own = self.projects[project].max_queued
        most = self.max_queued if own is None else own
        waiting = sum(job.project == project and job.status == "queued" for job in self.jobs.values())
        return most is None or waiting < most

    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    def _queue(self, job: Job, *, lost: bool, crashed: bool) -> None:
        job.worker, job.until = None, None
        job.crashes += crashed
        job.status = "failed" if job.crashes >= POISON else "queued"
        if lost:
            job.say("failed" if job.status == "failed" else "warning")

    def _next(self) -> Job | None:
        def may_start(job: Job) -> bool:
            most = self.most(job.project)
            return job.status == "queued" and (most is None or self.running(job.project) < most)

        waiting = [job for job in self.jobs.values() if may_start(job)]
        return min(waiting, key=lambda job: (-job.priority, self.running(job.project), job.id), default=None)

    def claim(self, worker: str, slots: int) -> list[Claim]:
        if self._next() is None and not any(self._is_over(job) for job in self._held("running")):
            return []
        for job in self._held("running"):
            if self._is_over(job) and job.worker != worker:
                self._queue(job, lost=True, crashed=False)
        claims: list[Claim] = []
        while len(claims) < slots and (first := self._next()) is not None:
            again = first.fence > 0 and first.log[-1] not in ("job.queued", "job.resumed")
            first.say("recovered" if again else "started")
            first.status, first.worker, first.fence = "running", worker, first.fence + 1
            first.until = self.now + LEASE
            claims.append(Claim(first.id, first.fence))
        return claims

    def _held(self, *states: str) -> list[Job]:
        return [job for job in self.jobs.values() if job.status in states]

    def beat(self, claims: list[Claim]) -> dict[str, str]:
        wanted = {}
        for claim in claims:
            if self.is_live(claim):
                job = self.jobs[claim.job_id]
                job.until = self.now + LEASE
                wanted[job.id] = "pause" if job.status == "pausing" else job.want
        return wanted

    def write(self, claim: Claim, last: int, *, snapshot: bool) -> bool:
        """Epochs up to ``last``; False when the claim is stale and nothing must change."""
        if not self.is_live(claim):
            return False
        job = self.jobs[claim.job_id]
        if last > job.epochs:
            job.epochs = last
            job.say("epoch")
        if snapshot:
            job.snapshots, job.epoch, job.crashes = job.snapshots + 1, last, 0
            job.say("checkpoint")
        return True

    def end(self, claim: Claim, state: str | None) -> bool:
        if not self.is_live(claim):
            return False
        job = self.jobs[claim.job_id]
        if state is None:
            asked = "paused" if job.want == "pause" else "queued"
            state = "cancelled" if job.status == "cancelling" else asked
        job.status, job.worker, job.until = state, None, None
        job.say("resumed" if state == "queued" else state)
        return True

    def _give_up(self, job: Job, *, lost: bool, crashed: bool) -> None:
        if job.status == "running":
            self._queue(job, lost=lost, crashed=crashed)
        else:
            job.until = None

    def release(self, claim: Claim, *, crashed: bool) -> None:
        if self.is_live(claim):
            self._give_up(self.jobs[claim.job_id], lost=crashed, crashed=crashed)

    def free(self, worker: str, *, crashed: bool) -> int:
        theirs = [job for job in self._held(*HELD) if job.worker == worker]
        for job in theirs:
            self._give_up(job, lost=crashed, crashed=crashed)
        return len(theirs)

    def give_back_strays(self, worker: str, known: list[Claim]) -> None:
        for job in self._held(*HELD):
            if job.worker == worker and Claim(job.id, job.fence) not in known:
                self._give_up(job, lost=False, crashed=False)

    def lapsed_stops(self, worker: str) -> set[Claim]:
        claims = set()
        for job in self._held(*STOPPING):
            if self._is_over(job):
                job.worker, job.fence, job.until = worker, job.fence + 1, self.now + STOP_SECONDS
                claims.add(Claim(job.id, job.fence))
        return claims

    def ask(self, job: Job, action: str) -> bool | str:
        """Whether anything changes, or the name of the refusal."""
        if action == "retry":
            return self._retry(job)
        if action == "resume":
            return self._resume(job)
        return self._cancel(job) if action == "cancel" else self._pause(job)

    def _cancel(self, job: Job) -> bool | str:
        if job.status in ("cancelling", "cancelled"):
            return False
        if job.status in TERMINAL:
            return "Conflict"
        self._stop(job, "cancel", "cancelling", "cancelled")
        return True

    def _pause(self, job: Job) -> bool | str:
        if job.status == "paused" or (job.status == "pausing" and job.want == "pause"):
            return False
        if job.status in TERMINAL or job.status == "cancelling":
            return "Conflict"
        if job.status == "pausing":
            job.want = "pause"
        else:
            self._stop(job, "pause", "pausing", "paused")
        return True

    def _stop(self, job: Job, want: str, stopping: str, stopped: str) -> None:
        job.want = want
        # What has trained is stopped by a worker, since it has to leave a model.
        alone = job.status == "paused" or (job.status == "queued" and job.epoch is None)
        if job.status == "queued" and not alone:
            job.fence += 1
        job.status = stopped if alone else stopping
        job.say(job.status)

    def _resume(self, job: Job) -> bool | str:
        if job.status in ("queued", "running"):
            return False
        if job.status == "pausing":
            changes, job.want = job.want != "run", "run"
            return changes
        if job.status != "paused":
            return "Conflict"
        if not self.has_room(job.project):
            return "TooManyJobs"
        job.status, job.want = "queued", "run"
        job.say("resumed")
        return True

    def _retry(self, job: Job) -> bool | str:
        if job.status in ("queued", "running") and job.retries > 0:
            return False
        if job.status != "failed":
            return "Conflict"
        if not self.has_room(job.project):
            return "TooManyJobs"
        job.status, job.want, job.crashes, job.retries = "queued", "run", 0, job.retries + 1
        job.say("queued")
        return True
