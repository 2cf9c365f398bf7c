"""The training loop as a generator: the caller keeps, streams and stops."""

import math
from collections.abc import Callable, Generator, Iterator
from contextvars import copy_context
from functools import partial
from time import perf_counter

import numpy as np

from app.engine.bursts import Bursts
from app.engine.descent import Descent
from app.engine.iterations import Iterations
from app.engine.lbfgs import LBFGS
from app.engine.plan import Data, Plan
from app.engine.reports import Diverged, Epoch, Finished, Progress, StopReason
from app.engine.schedules import Plateau, observe, rate
from app.engine.snapshot import Point, Snapshot
from app.engine.steps import Steps


def train(
    snapshot: Snapshot, data: Data, plan: Plan, threads: int = 1
) -> Generator[Progress | Epoch | Finished, None, None]:
    """Go on from ``snapshot`` to the end of ``plan``, the plan that the snapshot was taken under.

    Yields an Epoch after each epoch, a Progress about every ``plan.progress_seconds`` inside one, and last a
    Finished. Whoever stops at any of them and goes on from its ``snapshot()`` gets every later number to the
    same bits (same data, kind of processor and NumPy). Raises Diverged when a number is no longer finite.

    ``threads`` processor cores compute each step, at most one for each of ``plan.leaves``; they change no
    bit. More than one are processes, which live until the generator is closed; LaneLost is raised should one
    die.
    """
    # Overflow is reported as Diverged, never as a warning. np.errstate around a yield would change the
    # caller's own state; a context of the run's own does not, and is entered in a twentieth of the time.
    quiet = copy_context()
    quiet.run(np.seterr, all="ignore")
    run = quiet.run(_Run, snapshot, data, plan, threads)
    reports = run.reports()
    try:
        while (report := quiet.run(next, reports, None)) is not None:
            yield report
    finally:
        run.descent.close()


class _Run:
    """One run, from its snapshot on."""

    def __init__(self, snapshot: Snapshot, data: Data, plan: Plan, threads: int) -> None:
        self.plan, self.seed = plan, snapshot.seed
        self.descent = Descent(snapshot, data, plan, threads)
        self.epoch, self.sums, self.best = snapshot.epoch, snapshot.sums.copy(), snapshot.best.copy()
        self.plateau, self.elapsed = snapshot.plateau, snapshot.elapsed
        way = Iterations if isinstance(plan.optimizer, LBFGS) else Steps
        self.way: Steps | Iterations = way(self.descent, self.sums, snapshot.step)
        self.way.converged = snapshot.converged
        self.bursts = Bursts(self.descent) if self.descent.epochs_at_once > 1 else None
        self.moves = 0
        self.end: Finished | None = None
        stops = plan.early_stopping is not None and self.best.stops(plan.early_stopping)
        done = stops or snapshot.converged or self.epoch >= plan.epochs
        self.over = (self.way.step == 0 and done) or self.is_out_of_time(0.0)

    def reports(self) -> Iterator[Progress | Epoch | Finished]:
        self.descent.lanes.fork()
        while not self.over:
            self.moves += 1
            self.way.begin(self.epoch + 1, self.learning_rate())
            yield from self.one_epoch() if self.bursts is None else self.burst(self.bursts)
        yield self.end or self.finish()

    def learning_rate(self) -> float:
        """α of the running epoch; L-BFGS finds its own."""
        plan = self.plan
        if isinstance(plan.optimizer, LBFGS):
            return 0.0
        base = plan.optimizer.learning_rate
        return rate(plan.schedule, base, self.epoch + 1, plan.epochs, self.plateau.reductions)

    def is_out_of_time(self, seconds: float) -> bool:
        """Whether the time budget is used up, with so many seconds more than have been counted."""
        budget = self.plan.time_budget
        return budget is not None and self.elapsed + self.sums.seconds + seconds >= budget

    def one_epoch(self) -> Iterator[Progress | Epoch]:
        """To the end of the running epoch, unless the time runs out inside of it."""
        started = perf_counter()
        while not self.way.go_on():
            if not math.isfinite(self.sums.data_cost + self.sums.decay):
                raise self.diverged(started)
            elapsed = perf_counter() - started
            if self.is_out_of_time(elapsed):
                self.sums.seconds += elapsed
                self.end_with(perf_counter())
                return
            if elapsed >= self.plan.progress_seconds:
                self.sums.seconds += elapsed
                yield self.progress()
                self.moves += 1
                started = perf_counter()
        yield self.close_epoch(started)

    def burst(self, bursts: Bursts) -> Iterator[Epoch]:
        """Several epochs, trained in one go; each counts as having taken as long as the others."""
        started, moves, measure = perf_counter(), self.moves, self.descent.terrain.measure
        count = min(bursts.to_next_end(), self.plan.epochs - self.epoch)
        rows = bursts.run(count)
        seconds = (perf_counter() - started) / count
        sound = self.descent.parameters.is_finite()  # once they are not, they stay so
        for number, (cost, data_cost, norm) in enumerate(zip(*rows[:3], strict=True)):
            if not (math.isfinite(cost + norm) and (sound or bursts.is_finite_after(number))):
                raise self.diverged(started)
            metrics = {} if measure is None else {measure.name: measure.value(rows.metric[number])}
            epoch = self.epoch + 1
            snapshot = partial(self.snapshot, moves, epoch, partial(bursts.after, number))
            row = Epoch(
                epoch, cost, data_cost, None, metrics, self.way.learning_rate, norm, seconds, False, snapshot
            )
            self.epoch = epoch
            self.elapsed += seconds
            if number + 1 == count and (epoch >= self.plan.epochs or self.is_out_of_time(0.0)):
                self.end_with(started, closed=True)
            yield row

    def progress(self) -> Progress:
        cost, data_cost = self.way.costs()
        return Progress(
            epoch=self.epoch + 1,
            step=self.way.step,
            steps=self.descent.pieces[-1].after,
            cost=cost,
            data_cost=data_cost,
            seconds=self.sums.seconds,
            snapshot=partial(self.snapshot, self.moves, self.epoch, self.point),
        )

    def close_epoch(self, started: float) -> Epoch:
        """The epoch's row, once its steps are done."""
        plan, descent = self.plan, self.descent
        (cost, data_cost), norm = self.way.costs(), self.way.gradient_norm()
        metrics: dict[str, float] = {}
        if descent.terrain.measure is not None:
            metrics[descent.terrain.measure.name] = descent.terrain.measure.value(self.sums.metric)
        validation_cost = None
        if descent.validation is not None:
            validation_cost, value = descent.evaluate(descent.validation)
            if value is not None:
                metrics[f"validation_{plan.metric}"] = value
        if not (self.way.is_finite() and math.isfinite(cost + norm + (validation_cost or 0.0))):
            raise self.diverged(started)
        epoch = self.epoch + 1
        row = Epoch(
            epoch=epoch,
            cost=cost,
            data_cost=data_cost,
            validation_cost=validation_cost,
            metrics=metrics,
            learning_rate=self.way.learning_rate,
            gradient_norm=norm,
            seconds=self.sums.seconds + perf_counter() - started,
            diverged=False,
            snapshot=partial(self.snapshot, self.moves, epoch, self.point),
        )
        self.judge(row)
        self.epoch = epoch
        self.elapsed += row.seconds
        self.sums.clear()
        self.way.end_epoch()
        if self.over or epoch >= plan.epochs or self.way.converged or self.is_out_of_time(0.0):
            self.end_with(started, closed=True)
        return row

    def end_with(self, started: float, *, closed: bool = False) -> None:
        """Finish before the last row is given away: its update can be the one that diverges, and the row says
        so. ``closed``: the epoch is counted already.
        """
        self.over = True
        end = self.end = self.finish()
        finite = math.isfinite(end.cost + (end.validation_cost or 0.0)) and end.parameters.is_finite()
        if not finite:
            self.epoch -= closed
            raise self.diverged(started)

    def judge(self, row: Epoch) -> None:
        """Is it the best epoch so far, is it time to stop, is the rate to be lowered?"""
        plan = self.plan
        if isinstance(plan.schedule, Plateau):
            watched = row.cost if row.validation_cost is None else row.validation_cost
            assert watched is not None
            self.plateau = observe(plan.schedule, self.plateau, row.epoch, watched)
        if plan.early_stopping is not None:
            watched = row.cost if plan.early_stopping.monitor == "cost" else row.validation_cost
            if watched is None:
                raise ValueError("early stopping on validation_cost needs validation examples")
            self.best.judge(plan.early_stopping, row.epoch, watched, self.descent.parameters)
            self.over = self.best.stops(plan.early_stopping)

    def finish(self) -> Finished:
        """The result, once no epoch is to follow."""
        plan, best, descent = self.plan, self.best, self.descent
        last = descent.parameters.copy()
        chosen = self.way.origin() if best.parameters is None else best.parameters
        np.copyto(descent.parameters.flat, chosen.flat)
        parameters = descent.parameters.copy()
        data_cost, _ = descent.evaluate(descent.training)
        validation_cost = None if descent.validation is None else descent.evaluate(descent.validation)[0]
        np.copyto(descent.parameters.flat, last.flat)
        return Finished(
            stop_reason=self.stop_reason(),
            best_epoch=best.epoch,
            parameters=parameters,
            cost=data_cost + 0.5 * plan.lambda_ * parameters.squared_weights(),
            data_cost=data_cost,
            validation_cost=validation_cost,
            snapshot=partial(self.snapshot, self.moves, self.epoch, self.point),
        )

    def stop_reason(self) -> StopReason:
        plan = self.plan
        if self.way.converged:
            return "converged"
        if self.epoch >= plan.epochs:
            return "epochs_completed"
        if plan.early_stopping is not None and self.best.stops(plan.early_stopping):
            return "early_stopping"
        return "time_budget"

    def diverged(self, started: float) -> Diverged:
        """In the running epoch. Its row has no snapshot to give: that would not be finite."""
        return Diverged(
            Epoch(
                epoch=self.epoch + 1,
                cost=None,
                data_cost=None,
                validation_cost=None,
                metrics={},
                learning_rate=self.way.learning_rate,
                gradient_norm=None,
                seconds=self.sums.seconds + perf_counter() - started,
                diverged=True,
                snapshot=partial(self.snapshot, -1, self.epoch, self.point),
            )
        )

    def point(self) -> Point:
        return self.way.origin(), self.descent.state.copy()

    def snapshot(self, moves: int, epoch: int, point: Callable[[], Point]) -> Snapshot:
        if (moves, epoch) != (self.moves, self.epoch):
            raise RuntimeError("a snapshot must be taken before the run goes on")
        parameters, state = point()
        return Snapshot(
            seed=self.seed,
            epoch=epoch,
            step=self.way.step,
            sums=self.sums.copy(),
            parameters=parameters,
            optimizer_state=state,
            best=self.best.copy(),
            plateau=self.plateau,
            elapsed=self.elapsed,
            converged=self.way.converged,
        )
