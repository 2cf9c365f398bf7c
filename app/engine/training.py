"""The training loop as a generator: the caller keeps, streams and stops."""

import math
from collections.abc import Iterator
from contextvars import copy_context
from functools import partial
from time import perf_counter

import numpy as np

from app.engine.descent import Descent
from app.engine.evaluation import Evaluation
from app.engine.minibatches import Order
from app.engine.plan import Data, Plan
from app.engine.reports import Diverged, Epoch, Finished, Progress
from app.engine.snapshot import Snapshot
from app.engine.streams import permutation


def train(snapshot: Snapshot, data: Data, plan: Plan) -> Iterator[Progress | Epoch | Finished]:
    """Go on from ``snapshot`` to the end of ``plan``, the plan that the snapshot was taken under.

    Yields an Epoch after each epoch, a Progress about every ``plan.progress_seconds`` inside one, and last a
    Finished. Whoever stops at any of them and goes on from its ``snapshot()`` gets every later number to the
    same bits (same data, kind of processor and NumPy). Raises Diverged when a number is no longer finite.
    """
    # Overflow is reported as Diverged, never as a warning. np.errstate around a yield would change the
    # caller's own state; a context of the run's own does not, and is entered in a twentieth of the time.
    quiet = copy_context()
    quiet.run(np.seterr, all="ignore")
    run = _Run(snapshot, data, plan)
    while not run.over:
        yield quiet.run(run.advance)
    yield run.end or quiet.run(run.finish)


class _Run:
    """One run, from its snapshot on."""

    def __init__(self, snapshot: Snapshot, data: Data, plan: Plan) -> None:
        self.plan, self.seed = plan, snapshot.seed
        x, y = np.ascontiguousarray(data.x, plan.dtype), np.ascontiguousarray(data.y, plan.dtype)
        self.x, self.y = x, y
        self.validation: Evaluation | None = None
        if data.validation_x is not None and data.validation_y is not None:
            validation_x = np.ascontiguousarray(data.validation_x, plan.dtype)
            validation_y = np.ascontiguousarray(data.validation_y, plan.dtype)
            self.validation = Evaluation(plan, validation_x, validation_y)
        self.descent = Descent(snapshot, x, y, plan)
        self.shuffled = plan.shuffle and plan.batch_size < len(x)
        self.order: tuple[int, Order] | None = None  # with the epoch that it is for
        self.epoch, self.sums, self.best = snapshot.epoch, snapshot.sums.copy(), snapshot.best.copy()
        steps_done = [0] + [piece.step for piece in self.descent.pieces]
        self.position = steps_done.index(snapshot.step)  # pieces of the running epoch that are done
        self.moves = 0
        self.end: Finished | None = None
        stops = plan.early_stopping is not None and self.best.stops(plan.early_stopping)
        self.over = self.position == 0 and (stops or self.epoch >= plan.epochs)

    def advance(self) -> Progress | Epoch:
        """To the end of the epoch, or as far as is worth a report."""
        self.moves += 1
        started = perf_counter()
        descent, sums, cut = self.descent, self.sums, self.descent.pieces
        order = self.shuffle() if self.shuffled else None
        while self.position < len(cut):
            piece = cut[self.position]
            descent.run(piece, order, self.plan.optimizer.learning_rate, sums)
            self.position += 1
            if not math.isfinite(sums.data_cost + sums.decay):
                raise self.diverged(started)
            if self.position < len(cut) and piece.ends:
                elapsed = perf_counter() - started
                if elapsed >= self.plan.progress_seconds:
                    sums.seconds += elapsed
                    return self.progress()
        return self.close_epoch(started)

    def shuffle(self) -> Order:
        epoch = self.epoch + 1
        if self.order is None or self.order[0] != epoch:
            self.order = epoch, permutation(self.seed, epoch, len(self.x))
        return self.order[1]

    def progress(self) -> Progress:
        piece, sums = self.descent.pieces[self.position - 1], self.sums
        seen = piece.first + piece.rows * piece.blocks
        return Progress(
            epoch=self.epoch + 1,
            step=piece.step,
            steps=self.descent.pieces[-1].step,
            cost=(sums.data_cost + sums.decay) / seen,
            data_cost=sums.data_cost / seen,
            seconds=sums.seconds,
            snapshot=partial(self.snapshot, self.moves),
        )

    def close_epoch(self, started: float) -> Epoch:
        plan, sums, descent, m = self.plan, self.sums, self.descent, len(self.x)
        metrics: dict[str, float] = {}
        if descent.measure is not None:
            metrics[descent.measure.name] = descent.measure.value(sums.metric)
        validation_cost = None
        if self.validation is not None:
            validation_cost, value = self.validation(descent.parameters)
            if value is not None:
                metrics[f"validation_{plan.metric}"] = value
        norm = descent.gradient.norm()
        if not math.isfinite(norm + descent.parameters.norm() + (validation_cost or 0.0)):
            raise self.diverged(started)
        row = Epoch(
            epoch=self.epoch + 1,
            cost=(sums.data_cost + sums.decay) / m,
            data_cost=sums.data_cost / m,
            validation_cost=validation_cost,
            metrics=metrics,
            learning_rate=plan.optimizer.learning_rate,
            gradient_norm=norm,
            seconds=sums.seconds + perf_counter() - started,
            diverged=False,
            snapshot=partial(self.snapshot, self.moves),
        )
        if plan.early_stopping is not None:
            watched = row.cost if plan.early_stopping.monitor == "cost" else validation_cost
            if watched is None:
                raise ValueError("early stopping on validation_cost needs validation examples")
            self.best.judge(plan.early_stopping, row.epoch, watched, descent.parameters)
            self.over = self.best.stops(plan.early_stopping)
        self.epoch, self.position = row.epoch, 0
        sums.clear()
        if self.over or self.epoch >= plan.epochs:
            self.over = True
            # Before the row is given away: the last update can be the one that diverges, and the row says so.
            self.end = self.finish()
            if not math.isfinite(self.end.cost):
                self.epoch -= 1
                raise self.diverged(started)
        return row

    def finish(self) -> Finished:
        """The result, once no epoch is to follow."""
        plan, best = self.plan, self.best
        parameters = self.descent.parameters if best.parameters is None else best.parameters
        data_cost, _ = Evaluation(plan, self.x, self.y)(parameters)
        validation_cost = None if self.validation is None else self.validation(parameters)[0]
        return Finished(
            stop_reason="epochs_completed" if self.epoch >= plan.epochs else "early_stopping",
            best_epoch=best.epoch,
            parameters=parameters.copy(),
            cost=data_cost + 0.5 * plan.lambda_ * parameters.squared_weights(),
            data_cost=data_cost,
            validation_cost=validation_cost,
        )

    def diverged(self, started: float) -> Diverged:
        """In the running epoch. Its row has no snapshot to give: that would not be finite."""
        return Diverged(
            Epoch(
                epoch=self.epoch + 1,
                cost=None,
                data_cost=None,
                validation_cost=None,
                metrics={},
                learning_rate=self.plan.optimizer.learning_rate,
                gradient_norm=None,
                seconds=self.sums.seconds + perf_counter() - started,
                diverged=True,
                snapshot=partial(self.snapshot, -1),
            )
        )

    def snapshot(self, moves: int) -> Snapshot:
        if moves != self.moves:
            raise RuntimeError("a snapshot must be taken before the run goes on")
        piece = self.descent.pieces[self.position - 1]
        return Snapshot(
            seed=self.seed,
            epoch=self.epoch,
            step=piece.step if self.position else 0,
            sums=self.sums.copy(),
            parameters=self.descent.parameters.copy(),
            optimizer_state=self.descent.optimizer_state.copy(),
            best=self.best.copy(),
        )
