import threading

import pytest

from app.jobs import events
from app.jobs.events import EPOCHS_PER_EVENT, Entry
from app.storage.database import Database
from tests.support.rows import add_job, event_types


def test_writers_at_once_number_without_gaps(database: Database) -> None:
    job_id = add_job(database)

    def write(count: int) -> None:
        for _ in range(5):
            with database.writing() as session:
                events.append(session, job_id, [Entry("job.warning", "x")] * count)

    writers = [threading.Thread(target=write, args=(count,)) for count in (1, 2, 3)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    assert len(event_types(database, job_id)) == 1 + 5 * 6


def test_a_number_that_was_rolled_back_is_given_again(database: Database) -> None:
    job_id = add_job(database)
    with database.writing() as session:
        events.append(session, job_id, [Entry("job.warning", "lost")])
        session.rollback()
    with database.writing() as session:
        events.append(session, job_id, [Entry("job.warning", "kept")])
    with database.reading() as session:
        told = events.after(session, job_id, 0, 10)
    assert [(each["seq"], each["message"]) for each in told][1:] == [(2, "kept")]


def test_pages_go_on_behind_a_number(database: Database) -> None:
    job_id = add_job(database)
    with database.writing() as session:
        events.append(session, job_id, [Entry("job.warning", str(seq)) for seq in range(2, 8)])
    with database.reading() as session:
        assert [each["seq"] for each in events.after(session, job_id, 3, 2)] == [4, 5]
        assert events.after(session, job_id, 7, 2) == []


@pytest.mark.parametrize("last", [1, EPOCHS_PER_EVENT, EPOCHS_PER_EVENT + 1, 3 * EPOCHS_PER_EVENT])
def test_epochs_are_told_in_spans_that_join(last: int) -> None:
    spans = [(each.data["first_epoch"], each.data["last_epoch"]) for each in events.epoch_entries(1, last)]
    told = [epoch for first, end in spans for epoch in range(first, end + 1)]
    assert told == list(range(1, last + 1))
    assert all(end - first < EPOCHS_PER_EVENT for first, end in spans)
