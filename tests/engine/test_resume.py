"""A run that was stopped anywhere and went on from its snapshot ends with the bits of one that was not."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import engine
from app.engine import leaves
from tests.support.reports import facts, stored

plans = st.builds(
    engine.Plan,
    architecture=st.sampled_from(
        [
            engine.Architecture(3, (engine.Layer(4, "tanh"), engine.Layer(2, "softmax"))),
            engine.Architecture(3, (engine.Layer(5, "relu"), engine.Layer(2, "sigmoid"))),
        ]
    ),
    cost=st.just("cross_entropy"),
    optimizer=st.sampled_from([engine.GradientDescent(0.5), engine.Momentum(0.1), engine.Adam(0.05)]),
    batch_size=st.sampled_from([1, 4, 7, 13, 29, 60, 100]),
    epochs=st.integers(1, 4),
    lambda_=st.sampled_from([0.0, 0.01]),
    seed=st.integers(0, 2**63 - 1),
    shuffle=st.booleans(),
    dtype=st.sampled_from(["float32", "float64"]),
    early_stopping=st.sampled_from(
        [
            None,
            engine.EarlyStopping(patience=1),
            engine.EarlyStopping(patience=0, min_delta=0.5, monitor="cost"),
            engine.EarlyStopping(patience=1, restore_best_weights=False, min_delta=1.0),
        ]
    ),
    metric=st.sampled_from([None, "accuracy", "r2"]),
    progress_seconds=st.just(0.0),
)


def data() -> engine.Data:
    draw = np.random.default_rng(0)
    y = np.eye(2)[draw.integers(0, 2, 80)]
    x = draw.standard_normal((80, 3)) + y[:, :1]
    return engine.Data(x[:60], y[:60], x[60:], y[60:])


@pytest.fixture(autouse=True, scope="module")
def small_pieces() -> Iterator[None]:
    """Pieces of a few examples, so that small data has many places to stop, and split minibatches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leaves, "PIECE_ROWS", 14)
        patch.setattr(leaves, "BLOCK_ROWS", 5)
        yield


@settings(max_examples=60, deadline=None)
@given(plan=plans, choices=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=3))
def test_stopping_anywhere_changes_no_bit(plan: engine.Plan, choices: list[float]) -> None:
    straight = [facts(report) for report in engine.train(engine.Snapshot.start(plan), data(), plan)]
    snapshot, done = engine.Snapshot.start(plan), 0
    for choice in choices:
        stop = done + int(choice * (len(straight) - done))
        for report in engine.train(snapshot, data(), plan):
            assert facts(report) == straight[done]
            done += 1
            if done > stop or isinstance(report, engine.Finished):
                break
        if isinstance(report, engine.Finished):
            return
        snapshot = stored(report.snapshot(), plan)
    assert [facts(report) for report in engine.train(snapshot, data(), plan)] == straight[done:]


@pytest.mark.parametrize("batch_size", [1, 7, 29, 60])
def test_stopping_at_every_report_in_turn_changes_no_bit(batch_size: int) -> None:
    plan = dataclasses.replace(one_plan(), batch_size=batch_size, metric="accuracy")
    straight = [facts(report) for report in engine.train(engine.Snapshot.start(plan), data(), plan)]
    for done, report in enumerate(engine.train(engine.Snapshot.start(plan), data(), plan), 1):
        snapshot = stored(report.snapshot(), plan)
        later = [facts(each) for each in engine.train(snapshot, data(), plan)]
        assert later == (straight[done:] or straight[-1:])


@pytest.mark.parametrize(
    "optimizer",
    [engine.Momentum(0.1), engine.Nesterov(0.1), engine.RMSprop(), engine.Adam(), engine.AdamW()],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_an_epoch_with_a_rate_of_0_can_be_gone_on_from(optimizer: engine.Optimizer) -> None:
    """It moves no weight to speak of, but by its momentum, and shrinks none."""
    plan = dataclasses.replace(one_plan(), optimizer=optimizer, schedule=engine.Cosine(0.0), epochs=3)
    straight = [facts(report) for report in engine.train(engine.Snapshot.start(plan), data(), plan)]
    for done, report in enumerate(engine.train(engine.Snapshot.start(plan), data(), plan), 1):
        if isinstance(report, engine.Epoch):
            snapshot = stored(report.snapshot(), plan)
            assert [facts(later) for later in engine.train(snapshot, data(), plan)] == straight[done:]


def one_plan() -> engine.Plan:
    architecture = engine.Architecture(3, (engine.Layer(4, "tanh"), engine.Layer(2, "softmax")))
    return engine.Plan(
        architecture, "cross_entropy", engine.Adam(), 4, 2, dtype="float64", progress_seconds=0.0
    )


def test_progress_comes_from_inside_the_epoch() -> None:
    reports = list(engine.train(engine.Snapshot.start(one_plan()), data(), one_plan()))
    inside = [report for report in reports if isinstance(report, engine.Progress) and report.epoch == 1]
    assert [report.step for report in inside] == [3, 6, 9, 12]
    assert {report.steps for report in inside} == {15}
    assert [type(report) for report in reports[-2:]] == [engine.Epoch, engine.Finished]


def test_a_snapshot_taken_too_late_is_refused() -> None:
    reports = engine.train(engine.Snapshot.start(one_plan()), data(), one_plan())
    first = next(reports)
    assert isinstance(first, engine.Progress)
    first.snapshot()
    next(reports)
    with pytest.raises(RuntimeError, match="before the run goes on"):
        first.snapshot()


@pytest.mark.parametrize("batch_size", [4, 60])
@pytest.mark.parametrize("restore", [False, True])
def test_the_end_has_the_state_that_the_run_ended_in(batch_size: int, restore: bool) -> None:
    stopping = engine.EarlyStopping(patience=1, min_delta=1.0, restore_best_weights=restore)
    plan = dataclasses.replace(one_plan(), batch_size=batch_size, epochs=5, early_stopping=stopping)
    reports = engine.train(engine.Snapshot.start(plan), data(), plan)
    snapshots = [(report, report.snapshot()) for report in reports]
    (_, last), (end, at_the_end) = snapshots[-2:]
    assert (last.epoch, last.step) == (at_the_end.epoch, at_the_end.step) == (2, 0)
    assert last.parameters.sha256() == at_the_end.parameters.sha256()
    assert isinstance(end, engine.Finished)
    assert (end.parameters.sha256() == last.parameters.sha256()) is not restore
    earlier = snapshots[-3][0]
    with pytest.raises(RuntimeError, match="before the run goes on"):
        earlier.snapshot()


def test_a_run_that_ran_out_of_time_inside_an_epoch_is_over() -> None:
    plan = dataclasses.replace(one_plan(), time_budget=1e-9)
    (end,) = engine.train(engine.Snapshot.start(plan), data(), plan)
    snapshot = end.snapshot()
    assert (snapshot.epoch, snapshot.step) == (0, 3)
    (again,) = engine.train(stored(snapshot, plan), data(), plan)
    assert facts(again) == facts(end)


def test_a_snapshot_is_not_changed_by_the_run_it_came_from_or_started() -> None:
    start = engine.Snapshot.start(one_plan())
    before = start.parameters.sha256()
    reports = engine.train(start, data(), one_plan())
    first = next(reports)
    assert isinstance(first, engine.Progress)
    taken = first.snapshot()
    arrays = {name: array.copy() for name, array in taken.to_parts()[0].items()}
    list(reports)
    assert start.parameters.sha256() == before
    for name, array in taken.to_parts()[0].items():
        np.testing.assert_array_equal(array, arrays[name])


def test_names_of_the_parts() -> None:
    arrays, scalars = engine.Snapshot.start(one_plan()).to_parts()
    assert {"W1", "b1", "W2", "b2", "adam_m.W1", "adam_v.b2", "metric"} <= set(arrays)
    assert scalars["epoch"] == scalars["step"] == 0
    assert scalars["best_value"] is None


def test_parts_of_another_shape_are_refused() -> None:
    arrays, scalars = engine.Snapshot.start(one_plan()).to_parts()
    arrays["adam_m.W1"] = np.zeros((4, 4))
    with pytest.raises(engine.ShapeMismatch, match=r"adam_m\.W1"):
        engine.Snapshot.from_parts(one_plan(), arrays, scalars)
