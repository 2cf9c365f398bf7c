"""One job on two cores: the same bits as on one, also when one of its processes is killed."""

from collections.abc import Callable

import httpx
import pytest

from app.engine.lanes import CAN_SHARE
from tests.support.server import Server, alive, kill, until
from tests.support.training import Json, assert_whole, finished, log_of, made, submit, train, upload

ROWS = "".join(f"{i % 97},{i % 89},{i % 83},{(i % 97) * (i % 7)}\n" for i in range(8000))
ARCHITECTURE = {"layers": [{"units": 512, "activation": "tanh"}, {"units": 512, "activation": "tanh"}]}
TRAINING = {"epochs": 3, "batch_size": 128, "early_stopping": None}

pytestmark = [
    pytest.mark.skipif(not CAN_SHARE, reason="one job has one core here"),
    pytest.mark.heavy,
]


@pytest.fixture(scope="module")
def server(new_server: Callable[..., Server]) -> Server:
    return new_server(workers=1, max_threads=2)


def body(dataset: Json, threads: int) -> Json:
    training = {**TRAINING, "threads": threads}
    return {"dataset_id": dataset["id"], "target": "y", "architecture": ARCHITECTURE, "training": training}


def sha256(client: httpx.Client, job: Json) -> str:
    answer: str = made(client.get(f"/v1/models/{job['model_id']}"), 200)["sha256"]
    return answer


def test_a_process_beside_the_trainer_that_is_killed_costs_nothing(server: Server) -> None:
    client = server.client()
    data = upload(client, f"a,b,c,y\n{ROWS}")
    alone = train(client, **body(data, 1))
    job = submit(client, **body(data, 2))
    assert job["training"]["leaves"] == 2
    (trainer,) = server.processes().trainers
    (other,) = until(trainer.children, 20)
    kill(other)
    until(lambda: not alive(trainer), 10)
    done = finished(client, job["id"])
    assert done["status"] == "succeeded", done["error"]
    assert_whole(client, done)
    assert sha256(client, done) == sha256(client, alone)
    assert "job.recovered" in [each["type"] for each in log_of(client, job["id"])]
