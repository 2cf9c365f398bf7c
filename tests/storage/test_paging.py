"""Keyset pages over ids."""

from typing import Any

import pytest

from app.storage.database import Database
from app.storage.paging import Window, page
from app.storage.tables import Job
from tests.support.rows import add_job, principal


@pytest.mark.parametrize(
    ("window", "expected", "more"),
    [
        ({}, [4, 3, 2, 1, 0], False),
        ({"limit": 5}, [4, 3, 2, 1, 0], False),
        ({"limit": 4}, [4, 3, 2, 1], True),
        ({"order": "asc", "limit": 2}, [0, 1], True),
        ({"order": "asc", "after": 1, "limit": 2}, [2, 3], True),
        ({"order": "asc", "after": 2, "limit": 2}, [3, 4], False),
        ({"after": 3, "limit": 2}, [2, 1], True),
        ({"after": 0}, [], False),
        ({"equal": {"name": "n1"}}, [3, 1], False),
        ({"labels": {"k": "4"}}, [4], False),
        ({"labels": {"k": "4", "other": "x"}}, [], False),
        ({"labels": {'a"\\.[0]': "yes"}}, [4, 3, 2, 1, 0], False),
    ],
)
def test_pages(database: Database, window: dict[str, Any], expected: list[int], more: bool) -> None:
    jobs = [add_job(database, name=f"n{i % 2}", labels={"k": str(i), 'a"\\.[0]': "yes"}) for i in range(5)]
    add_job(database, "another project")
    if "after" in window:
        window = {**window, "after": jobs[window["after"]]}
    with database.reading() as session:
        rows, has_more = page(session, Job, principal(database).project_id, Window(**window))
    assert [row.id for row in rows] == [jobs[index] for index in expected]
    assert has_more is more
