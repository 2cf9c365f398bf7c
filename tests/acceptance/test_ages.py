"""What a server's settings do not keep goes, and the log says that it was the server."""

from collections.abc import Callable

import pytest

from tests.support.server import Server, until
from tests.support.training import LINE, made, train, upload


@pytest.mark.slow
def test_what_is_too_old_goes_at_the_start(new_server: Callable[..., Server]) -> None:
    server = new_server(workers=1, keep_jobs_days=1e-9, keep_models_days=1e-9, keep_datasets_days=1e-9)
    client = server.client()
    asked = {"dataset_id": upload(client, LINE)["id"], "target": "y", "training": {"epochs": 2}}
    named, plain = train(client, **asked), train(client, **asked)
    made(client.put("/v1/aliases/champion", json={"model_id": named["model_id"]}), 201)
    server.stop()
    server.restart()
    gone = (
        f"/v1/jobs/{plain['id']}",
        f"/v1/models/{plain['model_id']}",
        f"/v1/datasets/{asked['dataset_id']}",
    )
    until(lambda: [client.get(path).status_code for path in gone] == [404] * 3, 20)
    assert made(client.get(f"/v1/jobs/{named['id']}"), 200)["model_id"] == named["model_id"]
    made(client.post("/v1/models/champion/predict", json={"rows": [{"x": 1.0}]}), 200)
    log = made(client.get("/v1/audit", params={"limit": 3}), 200)["data"]
    assert [(each["action"], each["role"], each["key_id"]) for each in log] == [
        ("dataset.delete", "server", None),
        ("model.delete", "server", None),
        ("job.delete", "server", None),
    ]
