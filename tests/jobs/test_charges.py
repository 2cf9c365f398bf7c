"""What a job counts with: all that it may take while it may take it, and what it took when it has ended."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.architectures.network import to_engine
from app.engine import leaves
from app.errors import DailyQuotaReached, QuotaReached
from app.jobs import actions, charges, keeping
from app.jobs.charges import Charge
from app.jobs.memory import Load
from app.jobs.queue import POISON
from app.jobs.states import State
from app.projects import quotas
from app.projects.quotas import Quotas
from app.storage.blobs import Blobs
from app.storage.columns import now
from app.storage.database import Database
from app.storage.tables import Job, Usage
from tests.support.lives import ERROR, Life
from tests.support.rows import ARCHITECTURE, TRAINING, add_dataset, parameters

EACH = 1000
"""Multiply-adds of an epoch."""

EPOCHS = TRAINING["epochs"]
COUNT = parameters().architecture.parameter_count
MOST = keeping.most_bytes(TRAINING, COUNT)


@pytest.fixture
def life(database: Database, blobs: Blobs) -> Life:
    made = Life(database, blobs)
    with database.writing() as session:
        charge = Charge(EACH, EPOCHS, MOST)
        day = quotas.day_of(made.job.created_at)
        charges.take(session, made.principal.project_id, Quotas(), day, charge)
        session.execute(sa.update(Job).values(multiply_adds=EACH, kept_bytes=MOST))
    return made


def counted(life: Life) -> tuple[int, int]:
    """Multiply-adds of the day, and bytes."""
    with life.database.reading() as session:
        return session.scalars(sa.select(Usage.multiply_adds)).one(), life.job.kept_bytes


ENDS: dict[str, tuple[Callable[[Life], object], int]] = {
    "cancelled before it ran": (lambda life: life.ask("cancel"), 0),
    "all epochs": (lambda life: life.take().record(1, EPOCHS).end(State.SUCCEEDED), EPOCHS),
    "early stopping": (lambda life: life.take().record(1, 2).record(3).end(State.SUCCEEDED), 3),
    "failed": (lambda life: life.take().record(1).snapshot().end(State.FAILED, ERROR), 1),
    "cancelled while it ran": (lambda life: (life.take().record(1), life.ask("cancel"), life.stop()), 1),
    "cancelled while paused": (
        lambda life: (life.take().record(1, 2), life.ask("pause"), life.stop(), life.ask("cancel")),
        2,
    ),
    "crashed": (lambda life: [life.take().crash() for _ in range(POISON)], 0),
}


@pytest.mark.parametrize("end", list(ENDS))
def test_what_was_not_done_counts_no_more(life: Life, end: str) -> None:
    assert counted(life) == (EACH * EPOCHS, MOST)
    ending, epochs = ENDS[end]
    ending(life)
    assert life.job.status in ("succeeded", "failed", "cancelled")
    kept = b"1" if life.has_snapshot() else b""  # what a life keeps is the number of its snapshot
    assert counted(life) == (EACH * epochs, len(kept))


def test_what_still_may_be_done_counts(life: Life) -> None:
    life.take().record(1, 2).snapshot()
    life.crash().take()
    life.ask("pause")
    life.stop()
    assert life.job.status == "paused"
    life.ask("resume")
    assert counted(life) == (EACH * EPOCHS, MOST)


def test_what_is_tried_again_counts_again(life: Life) -> None:
    add_dataset(life.database, life.blobs)
    life.take().record(1, 2).snapshot().end(State.FAILED, ERROR)
    assert counted(life) == (2 * EACH, 1)

    def again(default: Quotas) -> None:
        with life.database.writing() as session:
            actions.ask(session, life.database, life.principal, life.id, "retry", default)

    with pytest.raises(DailyQuotaReached):
        again(Quotas(max_multiply_adds_per_day=EPOCHS * EACH - 1))
    with pytest.raises(QuotaReached, match="may store"):
        again(Quotas(max_bytes=15 + MOST))
    assert life.job.status == "failed"
    assert counted(life) == (2 * EACH, 1)
    with pytest.raises(QuotaReached):
        again(Quotas(max_multiply_adds_per_day=EACH))
    again(Quotas(max_multiply_adds_per_day=EPOCHS * EACH, max_bytes=16 + MOST))
    assert counted(life) == (EPOCHS * EACH, 1 + MOST)


def test_a_retry_counts_on_its_own_day(life: Life) -> None:
    """What was trained before it still counts on the day of the submission."""
    add_dataset(life.database, life.blobs)
    life.take().record(1, 2).snapshot().end(State.FAILED, ERROR)
    before = life.job.created_at - timedelta(days=3)
    with life.database.writing() as session:
        session.execute(sa.update(Job).values(created_at=before))
        session.execute(sa.update(Usage).values(day=quotas.day_of(before)))
        actions.ask(session, life.database, life.principal, life.id, "retry", Quotas())

    def by_day() -> dict[str, int]:
        with life.database.reading() as session:
            return {each.day: each.multiply_adds for each in session.scalars(sa.select(Usage))}

    today = quotas.day_of(now())
    assert by_day() == {quotas.day_of(before): 2 * EACH, today: (EPOCHS - 2) * EACH}
    life.take().record(3).end(State.FAILED, ERROR)
    assert by_day() == {quotas.day_of(before): 2 * EACH, today: EACH}


def test_parameters_that_came_with_a_job_count(life: Life) -> None:
    with life.database.writing() as session:
        staged = life.blobs.stage(b"w" * 300)
        life.blobs.attach(session, staged)
        session.execute(sa.update(Job).values(initial_parameters=staged.sha256))
    life.take().snapshot().end(State.SUCCEEDED)
    assert life.job.kept_bytes == 301


def test_a_charge_is_what_the_plan_reckons() -> None:
    rows = Load(90, 10, 0, 0)
    network = to_engine(ARCHITECTURE)
    each = leaves.multiply_adds(network, 90) + 10 * COUNT
    assert charges.of(ARCHITECTURE, TRAINING, rows, 7) == Charge(each, EPOCHS, 7 + MOST)
    absurd = charges.of(ARCHITECTURE, TRAINING, Load(10**40, 0, 0, 0), 0)
    assert absurd.multiply_adds == quotas.MOST_MULTIPLY_ADDS
