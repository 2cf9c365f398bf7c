"""Quotas on both databases: exact whoever comes at once, and what counts is what is there."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from app.errors import DailyQuotaReached, QuotaReached
from app.projects import quotas
from app.projects.quotas import MOST_MULTIPLY_ADDS, MOST_OF_A_DAY, Quotas
from app.storage.blobs import Blobs
from app.storage.columns import new_id
from app.storage.database import Database
from app.storage.declaring import core
from app.storage.tables import Dataset, Project
from tests.support.rows import add_dataset, add_job, add_model, another_process, principal

DAY = "2026-03-14"
TABLE: sa.Table = core(Dataset)
SIZE = 15
"""Of the dataset of `add_dataset`."""


def together(database: Database, number: int, work: Callable[[Database], int]) -> list[int]:
    """What ``work`` returns in as many processes' stead, which all begin at once."""
    start = threading.Barrier(number)

    def one(_: int) -> int:
        with another_process(database) as own:
            start.wait()
            return work(own)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


def datasets_of(database: Database, owner: str) -> int:
    with database.reading() as session:
        return quotas.used(session, owner)["datasets"]


def add_one(database: Database, owner: str, default: Quotas) -> None:
    """Another row of the dataset that is there, if it may be."""
    with database.writing() as session:
        row: dict[str, Any] = dict(session.execute(sa.select(TABLE)).mappings().all()[0])
        held = quotas.of(session, owner, default, lock=True)
        quotas.admit_dataset(session, owner, held, SIZE)
        session.execute(sa.insert(TABLE).values({**row, "id": new_id("ds")}))


@pytest.mark.parametrize("default", [Quotas(max_datasets=7), Quotas(max_bytes=7 * SIZE + 3)])
def test_the_last_place_is_taken_once(database: Database, blobs: Blobs, default: Quotas) -> None:
    add_dataset(database, blobs)
    owner = principal(database).project_id

    def work(own: Database) -> int:
        refused = 0
        for _ in range(5):
            try:
                add_one(own, owner, default)
            except QuotaReached:
                refused += 1
        return refused

    assert sum(together(database, 4, work)) == 20 - 6
    assert datasets_of(database, owner) == 7


def test_a_days_multiply_adds_are_exact_whoever_asks(database: Database) -> None:
    owner = principal(database).project_id
    default = Quotas(max_multiply_adds_per_day=100)

    def work(own: Database) -> int:
        taken = 0
        for _ in range(6):
            try:
                with own.writing() as session:
                    held = quotas.of(session, owner, default, lock=True)
                    quotas.charge(session, owner, held, DAY, 7)
                taken += 1
            except DailyQuotaReached:
                continue
        return taken

    assert sum(together(database, 4, work)) == 14
    with database.writing() as session:
        quotas.give_back(session, owner, DAY, 5)
    assert charged(database, owner, 7, default) is None
    assert isinstance(charged(database, owner, 1, default), DailyQuotaReached)
    assert charged(database, owner, 1, default, "2026-03-15") is None


def charged(
    database: Database, owner: str, multiply_adds: int, default: Quotas, day: str = DAY
) -> Exception | None:
    try:
        with database.writing() as session:
            quotas.charge(session, owner, quotas.of(session, owner, default), day, multiply_adds)
    except (QuotaReached, DailyQuotaReached) as error:
        return error
    return None


def test_what_no_day_has_is_not_worth_waiting_for(database: Database) -> None:
    owner = principal(database).project_id
    refused = charged(database, owner, 101, Quotas(max_multiply_adds_per_day=100))
    assert isinstance(refused, QuotaReached)
    assert "Retry-After" not in refused.headers
    assert (refused.status, refused.members["used"]) == (403, 0)


def test_absurd_jobs_do_not_overflow_the_day(database: Database) -> None:
    owner = principal(database).project_id
    today = quotas.day_of(datetime.now(UTC))
    for _ in range(6):
        assert charged(database, owner, 10**40, Quotas(), today) is None
    with database.writing() as session:
        assert quotas.used(session, owner)["multiply_adds_today"] == MOST_OF_A_DAY
        quotas.give_back(session, owner, today, MOST_MULTIPLY_ADDS)
        quotas.give_back(session, owner, today, 10**40)
        assert quotas.used(session, owner)["multiply_adds_today"] == MOST_OF_A_DAY - 2 * MOST_MULTIPLY_ADDS


def test_a_projects_own_limit_goes_before_that_of_the_settings(database: Database) -> None:
    owner = principal(database).project_id
    other = principal(database, "other").project_id
    with database.writing() as session:
        values = {"max_datasets": 0, "max_bytes": None, "max_queued": 5}
        session.execute(sa.update(Project).where(Project.id == owner).values(values))
    default = Quotas(max_datasets=9, max_bytes=8)
    with database.reading() as session:
        assert quotas.of(session, owner, default) == Quotas(max_datasets=0, max_bytes=8, max_queued=5)
        assert quotas.of(session, other, default) == default
        with pytest.raises(QuotaReached, match="may have 0 datasets"):
            quotas.admit_dataset(session, owner, quotas.of(session, owner, default), 1)


def test_what_is_used_is_what_is_there(database: Database, blobs: Blobs) -> None:
    add_dataset(database, blobs, "mine")
    add_model(database, blobs, b"m" * 70, "mine")
    add_job(database, "mine", kept_bytes=1000)
    add_job(database, "mine", kept_bytes=500, status="cancelling")
    for status in ("succeeded", "paused"):
        add_job(database, "mine", status=status)
    expected: dict[str, Any] = {"running": 1, "queued": 1, "datasets": 1, "multiply_adds_today": 0}
    expected |= {"architectures": 0, "aliases": 0}
    expected |= {"dataset_bytes": SIZE, "model_bytes": 70, "job_bytes": 1500, "bytes": 1570 + SIZE}
    mine, other = (principal(database, name).project_id for name in ("mine", "other"))
    with database.reading() as session:
        assert quotas.used(session, mine) == expected
        assert quotas.used(session, other) == dict.fromkeys(expected, 0)
        quotas.admit_bytes(session, mine, Quotas(max_bytes=1600), 15)
        with pytest.raises(QuotaReached, match="may store 1600 bytes and has 1585; this needs 16") as refused:
            quotas.admit_bytes(session, mine, Quotas(max_bytes=1600), 16)
        assert refused.value.members == {"quota": "max_bytes", "limit": 1600, "used": 1585}


def test_a_day_ends_at_midnight_utc() -> None:
    assert quotas.seconds_left(datetime(2026, 3, 14, 23, 59, 59, 500_000, UTC)) == 1
    assert quotas.seconds_left(datetime(2026, 3, 14, 0, 0, 0, 0, UTC)) == 86_400
    assert quotas.seconds_left(datetime(2026, 12, 31, 23, 0, 0, 1, UTC)) == 3600
