"""A thinned history keeps its ends and its extremes, and has no more points than asked for."""

import pytest
import sqlalchemy as sa

from app.jobs import thinning
from app.storage.database import Database
from app.storage.tables import Epoch
from tests.support.rows import add_job, epoch


@pytest.fixture
def job_id(database: Database) -> str:
    """100 epochs; the least cost is the 38th's, the greatest the 71st's, the 50th's is not finite."""
    job_id = add_job(database)
    rows = [epoch(job_id, number, cost=1.0 + number / 1000) for number in range(1, 101)]
    rows[37]["cost"], rows[70]["cost"], rows[49]["cost"] = 0.5, 9.0, None
    with database.writing() as session:
        session.execute(sa.insert(Epoch), rows)
    return job_id


@pytest.mark.parametrize("most", [2, 3, 4, 5, 20, 99])
def test_no_more_points_than_asked_for_but_the_extremes(database: Database, job_id: str, most: int) -> None:
    with database.reading() as session:
        chosen = thinning.chosen(session, job_id, 0, most)
    assert {1, 38, 71, 100} <= set(chosen)
    assert chosen == sorted(set(chosen))
    assert len(chosen) <= max(4, most)
    assert len(chosen) >= min(most, 4)


def test_others_stand_at_even_distances(database: Database, job_id: str) -> None:
    with database.reading() as session:
        chosen = thinning.chosen(session, job_id, 0, 14)
    assert {1 + (index + 1) * 100 // 11 for index in range(10)} <= set(chosen)


@pytest.mark.parametrize(("after", "most", "expected"), [
    (0, 100, [*range(1, 101)]), (90, 10, [*range(91, 101)]), (99, 2, [100]), (100, 5, []),
])  # fmt: skip
def test_a_short_one_is_whole(
    database: Database, job_id: str, after: int, most: int, expected: list[int]
) -> None:
    with database.reading() as session:
        assert thinning.chosen(session, job_id, after, most) == expected


def test_extremes_are_those_behind_the_place(database: Database, job_id: str) -> None:
    with database.reading() as session:
        assert {51, 71, 100} <= set(thinning.chosen(session, job_id, 50, 4))
