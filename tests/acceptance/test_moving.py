"""A job that goes on where NumPy, BLAS or the processor are others says so."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from app.jobs import ledger
from app.storage.tables import Job, Snapshot
from tests.support.server import Server, until
from tests.support.training import LINE, assert_whole, finished, log_of, made, submit, upload

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def server(new_server: Callable[..., Server]) -> Server:
    return new_server(workers=1, snapshot_seconds=0.05, lease_seconds=2)


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_job_that_was_moved_says_what_differs(server: Server, elsewhere: bool) -> None:
    client = server.client()
    training = {"epochs": 10_000_000, "early_stopping": None}
    job = submit(client, dataset_id=upload(client, LINE)["id"], target="y", training=training)["id"]
    with server.database() as database:

        def snapshot() -> Snapshot | None:
            with database.reading() as session:
                return ledger.newest(session, job)

        until(snapshot)
        server.stop()
        if elsewhere:
            with database.writing() as session:
                row = session.get_one(Job, job)
                there = {**(row.fingerprint or {}), "numpy": "1.0"}
                session.execute(sa.update(Job).where(Job.id == job).values(fingerprint=there))
    server.restart()
    recovered = until(lambda: [e for e in log_of(client, job) if e["type"] == "job.recovered"])
    seen = recovered[0]["seq"]
    until(lambda: [e for e in log_of(client, job) if e["type"] == "job.epoch" and e["seq"] > seen])
    client.post(f"/v1/jobs/{job}/cancel")
    done = finished(client, job)
    assert_whole(client, done)
    warned = [each for each in log_of(client, job) if each["type"] == "job.warning"]
    assert [each["code"] for each in done["warnings"]] == ["fingerprint_differs"] * elsewhere
    assert [list(each["data"]) for each in warned] == [["numpy"]] * elsewhere
    assert done["fingerprint"] == made(client.get("/v1"), 200)["fingerprint"]
