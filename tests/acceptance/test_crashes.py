"""Kill it anywhere: a job ends with the same bits, every epoch once, and a log without gaps."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import httpx
import psutil
import pytest

from app.jobs import ledger
from app.storage.tables import Job as JobRow
from tests.support.server import Processes, Server, alive, kill, until
from tests.support.training import Json, assert_whole, finished, log_of, made, started, submit, upload

pytestmark = pytest.mark.heavy

ROWS = "".join(f"{i % 97},{i % 89},{i % 83},{(i % 97) * (i % 7)}\n" for i in range(40_000))
ARCHITECTURE = {"layers": [{"units": 128, "activation": "tanh"}, {"units": 128, "activation": "tanh"}]}
TRAINING = {"epochs": 4, "batch_size": 8, "early_stopping": None, "validation_fraction": 0.1}


class Undisturbed(NamedTuple):
    sha256: str
    costs: list[tuple[float, float]]


@pytest.fixture(scope="module")
def server(new_server: Callable[..., Server]) -> Server:
    return new_server(workers=1, snapshot_seconds=0.15, lease_seconds=2)


@pytest.fixture(scope="module")
def body(server: Server) -> Json:
    data = upload(server.client(), f"a,b,c,y\n{ROWS}")
    return {"dataset_id": data["id"], "target": "y", "architecture": ARCHITECTURE, "training": TRAINING}


@pytest.fixture(scope="module")
def undisturbed(server: Server, body: Json) -> Undisturbed:
    client = server.client()
    job = finished(client, submit(client, **body)["id"])
    return outcome(client, job)


def outcome(client: httpx.Client, job: Json) -> Undisturbed:
    """The model's hash and every cost; asserts that history and log are whole."""
    assert job["status"] == "succeeded", job["error"]
    assert job["result"]["epochs"] == job["training"]["epochs"]
    rows = assert_whole(client, job)
    model = made(client.get(f"/v1/models/{job['model_id']}"), 200)
    return Undisturbed(model["sha256"], [(row["cost"], row["validation_cost"]) for row in rows])


def in_mid_epoch(server: Server, job_id: str) -> None:
    """Return once an epoch was told to clients, there is a snapshot, and the next epoch is running."""
    with server.database() as database:

        def reached() -> bool:
            with database.reading() as session:
                job = session.get_one(JobRow, job_id)
                return job.epochs_completed >= 1 and ledger.newest(session, job_id) is not None

        until(reached, 20)


def assert_recovered(client: httpx.Client, job: Json, undisturbed: Undisturbed) -> None:
    assert outcome(client, job) == undisturbed
    events = log_of(client, job["id"])
    types = [each["type"] for each in events]
    assert types.count("job.recovered") == 1
    assert types.count("job.started") == 1
    assert not any("differently" in each["message"] for each in events)


VICTIMS: dict[str, Callable[[Processes], list[psutil.Process]]] = {
    "trainer": lambda processes: processes.trainers,
    "supervisor": lambda processes: processes.supervisors,
}


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_killed_part_costs_nothing(
    server: Server, body: Json, undisturbed: Undisturbed, victim: str
) -> None:
    client = server.client()
    job = submit(client, **body)
    in_mid_epoch(server, job["id"])
    before = server.processes()
    assert len(before.supervisors) == len(before.trainers) == 1
    kill(*VICTIMS[victim](before))
    until(lambda: not any(alive(each) for each in before.trainers), 0.5)  # they die with their supervisor
    assert_recovered(client, finished(client, job["id"]), undisturbed)
    after = server.processes()
    assert len(after.supervisors) == len(after.trainers) == 1
    assert after.trainers != before.trainers


def test_a_power_cut_costs_nothing_that_was_answered(
    server: Server, body: Json, undisturbed: Undisturbed
) -> None:
    client = server.client()
    running = submit(client, **body)
    waiting = submit(client, **body, name="waits")
    in_mid_epoch(server, running["id"])
    told = made(client.get(f"/v1/jobs/{running['id']}/epochs"), 200)["data"]
    server.kill_everything()
    server.restart()
    assert made(client.get(f"/v1/jobs/{waiting['id']}"), 200)["name"] == "waits"
    again = made(client.get(f"/v1/jobs/{running['id']}/epochs"), 200)["data"]
    assert again[: len(told)] == told
    assert_recovered(client, finished(client, running["id"]), undisturbed)
    client.post(f"/v1/jobs/{waiting['id']}/cancel")
    finished(client, waiting["id"])


def test_a_job_that_only_kills_its_trainers_fails(new_server: Callable[..., Server], body: Json) -> None:
    server = new_server(workers=1, snapshot_seconds=60)
    client = server.client()
    data = upload(client, f"a,b,c,y\n{ROWS}")
    # Without the snapshots that stay: with one after its first epoch it would have got further.
    training = {**TRAINING, "keep_epochs": "last"}
    job = submit(client, **{**body, "dataset_id": data["id"], "training": training})
    for crashes in range(3):
        started(client, job["id"])
        trainer = until(lambda: next(iter(_at_work(server)), None), 15)
        kill(trainer)
        until(partial(_has_crashed, server, job["id"], crashes + 1), 10)
    done = finished(client, job["id"])
    assert (done["status"], done["error"]["code"]) == ("failed", "crashed_worker")
    assert_whole(client, {**done, "result": {"epochs": done["progress"]["completed"]}})
    healthy = submit(client, dataset_id=data["id"], target="y", training={"epochs": 1, "batch_size": "full"})
    assert finished(client, healthy["id"])["status"] == "succeeded"


def _at_work(server: Server) -> list[psutil.Process]:
    """Trainers that have computed for a while."""
    return [each for each in server.processes().trainers if sum(each.cpu_times()[:2]) > 0.8]


def _has_crashed(server: Server, job_id: str, times: int) -> bool:
    with server.database() as database, database.reading() as session:
        return session.get_one(JobRow, job_id).crashes == times
