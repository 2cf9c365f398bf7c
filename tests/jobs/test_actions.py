"""Cancel, pause, resume and retry, asked in every state and in every order."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from app.errors import Conflict, Gone, LeaseLost
from app.jobs import holds, queue, service
from app.jobs.ledger import Place
from app.jobs.states import State
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.tables import Dataset, Job
from tests.support.lives import ERROR, Life
from tests.support.rows import add_dataset


@pytest.fixture
def new_life(database: Database, blobs: Blobs) -> Callable[[], Life]:
    add_dataset(database, blobs)
    return lambda: Life(database, blobs)


@pytest.fixture
def life(new_life: Callable[[], Life]) -> Life:
    return new_life()


def asked(life: Life, *wanted: str) -> Life:
    for each in wanted:
        life.ask(each)
    return life


REACHED: dict[str, Callable[[Life], Life]] = {
    "queued": lambda life: life,
    "running": lambda life: life.take(),
    "pausing": lambda life: asked(life.take(), "pause"),
    "pausing, to go on": lambda life: asked(life.take(), "pause", "resume"),
    "paused": lambda life: asked(life.take(), "pause").stop(),
    "cancelling": lambda life: asked(life.take(), "cancel"),
    "cancelled": lambda life: asked(life.take(), "cancel").stop(),
    "succeeded": lambda life: life.take().end(State.SUCCEEDED),
    "failed": lambda life: life.take().end(State.FAILED, ERROR),
    "queued again": lambda life: asked(life.take().end(State.FAILED, ERROR), "retry"),
    "running again": lambda life: asked(life.take().end(State.FAILED, ERROR), "retry").take(),
}
"""Also queued with a snapshot: see the tests below."""

BECOMES: dict[str, dict[str, str]] = {
    "queued": {"cancel": "cancelled", "pause": "paused", "resume": "=", "retry": "409"},
    "running": {"cancel": "cancelling", "pause": "pausing", "resume": "=", "retry": "409"},
    "pausing": {"cancel": "cancelling", "pause": "=", "resume": "pausing", "retry": "409"},
    "pausing, to go on": {"cancel": "cancelling", "pause": "pausing", "resume": "=", "retry": "409"},
    "paused": {"cancel": "cancelled", "pause": "=", "resume": "queued", "retry": "409"},
    "cancelling": {"cancel": "=", "pause": "409", "resume": "409", "retry": "409"},
    "cancelled": {"cancel": "=", "pause": "409", "resume": "409", "retry": "409"},
    "succeeded": {"cancel": "409", "pause": "409", "resume": "409", "retry": "409"},
    "failed": {"cancel": "409", "pause": "409", "resume": "409", "retry": "queued"},
    "queued again": {"cancel": "cancelled", "pause": "paused", "resume": "=", "retry": "="},
    "running again": {"cancel": "cancelling", "pause": "pausing", "resume": "=", "retry": "="},
}
"""``=``: in force already."""


@pytest.mark.parametrize("state", REACHED)
def test_what_becomes_of_a_job_that_is_asked(new_life: Callable[[], Life], state: str) -> None:
    for action, becomes in BECOMES[state].items():
        life = REACHED[state](new_life())
        before, told = life.job, life.events
        if becomes == "409":
            with pytest.raises(Conflict):
                life.ask(action)
        else:
            assert life.ask(action) is (becomes != "="), action
        assert life.job.status == (before.status if becomes in ("=", "409") else becomes), action
        if life.job.status == before.status:
            assert life.events == told
        if becomes != "409":  # and what is in force now is not done again
            told = life.events
            lease = life.job.lease_until
            assert life.ask(action) is False
            assert (life.events, life.job.lease_until) == (told, lease)
        if life.job.status == "queued":
            life.take()  # so that the next one does not
        assert (life.job.finished_at is None) is (life.job.status not in ("cancelled", "succeeded", "failed"))


def test_a_job_paused_before_it_ran_has_no_model(life: Life) -> None:
    life.ask("pause")
    assert queue.claim(life.database, "wrk_a", 1, 30.0) == []
    assert (life.job.model_id, life.models(), life.job.result) == (None, [], None)
    life.ask("resume")
    life.take()
    assert life.events == ["job.queued", "job.paused", "job.resumed", "job.started"]


def test_every_pause_leaves_a_model_and_the_job_names_the_newest(life: Life) -> None:
    for _ in range(2):
        life.take()
        life.ask("pause")
        life.stop()
        assert (life.job.status, life.job.result, life.job.finished_at) == ("paused", None, None)
        assert (life.job.worker_id, life.job.lease_until) == (None, 0.0)
        assert life.has_snapshot()
        life.ask("resume")
    first, second = life.models()
    assert life.job.model_id == second.id != first.id
    assert (second.cost, second.epoch) == (0.5, 0)
    turn = ["job.pausing", "job.checkpoint", "job.paused", "job.resumed"]
    assert life.events == ["job.queued", "job.started", *turn, "job.started", *turn]
    life.take().end(State.SUCCEEDED)
    assert life.has_snapshot()


def test_a_paused_job_is_cancelled_at_once_and_keeps_what_it_had(life: Life) -> None:
    asked(life.take(), "pause").record(1).stop()
    model_id = life.job.model_id
    life.ask("cancel")
    assert (life.job.status, life.job.model_id) == ("cancelled", model_id)
    result = life.job.result
    assert result is not None
    assert (result["epochs"], result["cost"], result["stop_reason"]) == (1, 0.5, "cancelled")
    assert life.has_snapshot()
    assert life.events[-1] == "job.cancelled"


def test_a_cancellation_during_a_pause_wins(life: Life) -> None:
    asked(life.take(), "pause", "cancel").stop()
    assert (life.job.status, len(life.models())) == ("cancelled", 1)
    assert life.has_snapshot()
    assert "job.paused" not in life.events


def test_a_job_resumed_while_it_pauses_goes_straight_on(life: Life) -> None:
    asked(life.take(), "pause", "resume")
    assert queue.wishes(life.database, [life.claim]) == {life.id: "pause"}  # type: ignore[list-item]
    life.stop()
    assert (life.job.status, life.job.want, life.models()) == ("queued", "run", [])
    assert life.events[-3:] == ["job.pausing", "job.checkpoint", "job.resumed"]
    life.take()
    assert life.events[-1] == "job.started"


def test_a_job_asked_to_pause_again_while_it_pauses_stays_paused(life: Life) -> None:
    asked(life.take(), "pause", "resume", "pause").stop()
    assert life.job.status == "paused"
    assert life.events.count("job.pausing") == 1


def test_a_job_that_ends_before_it_heard_of_the_pause_has_ended(life: Life) -> None:
    asked(life.take(), "pause").end(State.SUCCEEDED)
    assert life.job.status == "succeeded"
    assert life.events[-1] == "job.succeeded"


@pytest.mark.parametrize(("action", "status"), [("pause", "paused"), ("cancel", "cancelled")])
def test_a_waiting_job_that_has_trained_is_stopped_with_a_model(life: Life, action: str, status: str) -> None:
    life.take().snapshot().crash().ask(action)
    assert life.job.status in ("pausing", "cancelling")
    assert queue.claim(life.database, "wrk_a", 1, 30.0) == []
    life.take_over().stop()
    assert (life.job.status, len(life.models())) == (status, 1)


@pytest.mark.parametrize("action", ["pause", "cancel"])
def test_a_waiting_job_that_is_to_stop_is_not_again_of_whoever_had_it(life: Life, action: str) -> None:
    life.take().snapshot().crash().ask(action)
    for write in (life.snapshot, life.stop):
        with pytest.raises(LeaseLost):
            write()
    assert life.job.status in ("pausing", "cancelling")


def test_a_waiting_job_that_has_left_its_model_is_paused_at_once(life: Life) -> None:
    asked(life.take(), "pause").stop()
    asked(life, "resume", "pause")
    assert (life.job.status, len(life.models())) == ("paused", 1)
    life.ask("resume")
    life.take()
    life.record(places=[Place(0, 9, life.blobs.stage(b"further"), "f" * 64)]).crash()
    life.ask("pause")
    assert life.job.status == "pausing"  # it has got further than that model


@pytest.mark.parametrize(("wanted", "status"), [(("pause",), "paused"), (("pause", "resume"), "queued")])
def test_a_worker_that_dies_while_the_job_pauses_leaves_it_to_another(
    life: Life, wanted: tuple[str, ...], status: str
) -> None:
    asked(life.take().snapshot(), *wanted)
    queue.free(life.database, "wrk_a", crashed=True)
    assert queue.claim(life.database, "wrk_a", 1, 30.0) == []
    life.take_over()
    assert queue.lapsed_stops(life.database, "wrk_c") == []
    queue.free(life.database, "wrk_b", crashed=True)  # and that one dies of it, too
    life.take_over().stop()
    assert (life.job.status, life.job.crashes) == (status, 0)


def test_a_failed_job_is_tried_again_as_itself(life: Life) -> None:
    life.take().snapshot().record(1)
    for _ in range(3):
        life.crash()
        if life.job.status == "queued":
            life.take()
    assert (life.job.status, life.job.crashes) == ("failed", 3)
    for retry in (1, 2):
        life.ask("retry")
        job = life.job
        assert (job.status, job.retries, job.crashes, job.epochs_completed) == ("queued", retry, 0, 1)
        assert (job.error, job.result, job.finished_at) == (None, None, None)
        assert life.has_snapshot()
        life.take().record(1).end(State.FAILED, ERROR)
    assert life.events[-4:] == ["job.failed", "job.queued", "job.started", "job.failed"]
    assert "job.epoch" not in life.events[-6:]


def test_a_job_that_failed_while_it_paused_is_tried_again_and_runs(life: Life) -> None:
    asked(life.take(), "pause").end(State.FAILED, ERROR)
    life.ask("retry")
    life.take()
    assert queue.wishes(life.database, [life.claim]) == {life.id: "run"}  # type: ignore[list-item]


def test_a_job_whose_dataset_is_gone_is_not_tried_again(life: Life) -> None:
    life.take().end(State.FAILED, ERROR)
    with life.database.writing() as session:
        session.execute(sa.delete(Dataset))
    with pytest.raises(Gone):
        life.ask("retry")
    assert life.job.status == "failed"


@pytest.mark.parametrize(
    ("action", "status"), [("resume", "queued"), ("cancel", "cancelled"), ("pause", "paused")]
)
def test_a_job_that_the_server_has_paused_is_its_clients_to_decide(
    life: Life, action: str, status: str
) -> None:
    life.take().snapshot()
    assert life.claim is not None
    with life.database.writing() as session:
        holds.pause(session, life.claim, "There is no room for the next snapshot.", 60.0)
        because = service.answer(session, session.get_one(Job, life.id), None)["paused_because"]
        assert because["code"] == "disk_full"
    assert life.ask(action) is (action != "pause")
    assert life.job.status == status
    assert (life.job.paused_because, life.job.lease_until) == (None, 0.0)
    assert holds.resume(life.database) == 0
