"""The end of the time: inside of an epoch, at its end, and where it is also the end of the numbers."""

import pytest

from app import engine
from app.engine import leaves
from tests.support.networks import data_of, plan_of, run

AT_ONCE = 1e-12


@pytest.fixture
def one_step_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaves, "PIECE_ROWS", 8)


@pytest.mark.usefixtures("one_step_at_a_time")
@pytest.mark.parametrize("epochs", [1, 3])
def test_inside_of_an_epoch_there_is_no_row_for_it(epochs: int) -> None:
    plan = plan_of(batch_size=8, time_budget=AT_ONCE, epochs=epochs)
    rows, finished = run(plan, data_of())
    assert rows == []
    assert (finished.stop_reason, finished.best_epoch) == ("time_budget", None)
    start = engine.Snapshot.start(plan).parameters
    assert finished.parameters.sha256() != start.sha256()  # one step was made


@pytest.mark.usefixtures("one_step_at_a_time")
def test_a_later_epoch_s_end_has_its_row_and_an_unfinished_one_none() -> None:
    plan = plan_of(batch_size=8, epochs=10**9, time_budget=0.05)
    rows, finished = run(plan, data_of())
    assert finished.stop_reason == "time_budget"
    assert [row.epoch for row in rows] == list(range(1, len(rows) + 1))
    short = plan_of(batch_size=8, epochs=len(rows))
    assert [row.cost for row in run(short, data_of())[0]] == [row.cost for row in rows]


def test_at_the_end_of_an_epoch_its_row_is_the_last() -> None:
    plan = plan_of(epochs=100, time_budget=AT_ONCE, early_stopping=engine.EarlyStopping("cost"))
    (row,), finished = run(plan, data_of())
    assert (row.epoch, finished.stop_reason, finished.best_epoch) == (1, "time_budget", 1)
    expected, _ = run(plan_of(epochs=1), data_of())
    assert row.cost == pytest.approx(expected[0].cost, rel=1e-13)


def test_the_time_of_earlier_sessions_counts() -> None:
    plan = plan_of(epochs=100, early_stopping=engine.EarlyStopping("cost"))
    first = next(engine.train(engine.Snapshot.start(plan), data_of(), plan))
    assert isinstance(first, engine.Epoch)
    snapshot = first.snapshot()
    assert snapshot.elapsed == first.seconds
    rows, finished = run(plan_of(epochs=100, time_budget=snapshot.elapsed), data_of(), snapshot)
    assert (rows, finished.stop_reason) == ([], "time_budget")
    assert finished.parameters.sha256() == snapshot.parameters.sha256()


@pytest.mark.usefixtures("one_step_at_a_time")
@pytest.mark.parametrize("activation", ["identity", "sigmoid"])
def test_a_last_step_that_diverges_is_told(activation: str) -> None:
    """Also where the cost is finite all the same: the sigmoid of an infinite bias is 0 or 1."""
    plan = plan_of(
        architecture=engine.Architecture(3, (engine.Layer(2, activation),)),
        batch_size=8,
        dtype="float32",
        lambda_=0.0,
        optimizer=engine.GradientDescent(1e38),
        time_budget=AT_ONCE,
    )
    with pytest.raises(engine.Diverged) as caught:
        run(plan, data_of(1e4))
    assert caught.value.epoch == 1
