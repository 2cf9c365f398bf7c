"""What goes to a collector of OpenTelemetry: nothing, or spans without a client's words.

python -m pip install 'fastapi[opentelemetry]'     # or: make check
python -m pytest -m slow tests/acceptance/test_telemetry.py
"""

import importlib.util
import secrets
import socket
import time
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from tests.support.canaries import UNKNOWN, leaks, walk
from tests.support.receiver import Receiver
from tests.support.server import Server
from tests.support.training import made

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("opentelemetry.sdk") is None,
        reason="OpenTelemetry's SDK is not here: pip install 'fastapi[opentelemetry]'",
    ),
]


@pytest.fixture
def collector() -> Iterator[Receiver]:
    with Receiver().running() as receiver:
        yield receiver


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, collector: Receiver) -> pytest.MonkeyPatch:
    """As docs/operating.md says, but for the variable that turns it on."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "chainrule")
    return monkeypatch


def test_nothing_is_sent_unless_asked_for(
    new_server: Callable[..., Server], environment: pytest.MonkeyPatch, collector: Receiver
) -> None:
    server = new_server(workers=1)
    made(server.client().get("/v1/jobs"), 200)
    server.stop()  # when all would be sent that has not been
    assert collector.arrived == []


def test_spans_of_requests_are_sent_and_hold_no_word_of_a_client(
    new_server: Callable[..., Server], environment: pytest.MonkeyPatch, collector: Receiver
) -> None:
    environment.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    planted = f"cr_{secrets.token_urlsafe(32)}"
    server = new_server(workers=1, webhooks=True, webhook_private=True, allowed_host="*")
    walked = walk(server, int(collector.url.rpartition(":")[2]))
    client = server.client()
    client.get(f"/v1/models/{planted}", params={"q": planted}, headers={"X-Planted": planted})
    client.get(f"/{planted}", headers={"Host": f"{planted}.example"})
    assert _unexpected(server) == 500
    server.stop()

    sent = [each for each in collector.arrived if "webhook-id" not in each.headers]
    assert {each.path for each in sent} == {"/v1/traces"}  # logs and metrics are our own
    spans = b"".join(each.body for each in sent)
    for name in (b"POST /v1/datasets", b"GET /v1/jobs/{job_id}", b"POST /v1/models/{model_id}/predict"):
        assert name in spans
    assert b"chainrule" in spans
    assert leaks(spans, [*walked.keys, planted]) == []


def test_a_collector_that_never_answers_keeps_nobody(
    new_server: Callable[..., Server], environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        server = new_server(workers=1)
        made(server.client().get("/v1/jobs"), 200)
        start = time.monotonic()
        assert server.stop(60) == 0
        assert time.monotonic() - start < 10


def _unexpected(server: Server) -> int:
    """The status of an answer whose exception quotes what is in the database."""
    body = {"layers": [{"units": 2, "activation": "tanh"}], "name": "x"}
    path = f"/v1/architectures/{made(server.client().post('/v1/architectures', json=body), 201)['id']}"
    with server.database() as database, database.writing() as session:
        session.execute(sa.text("UPDATE architectures SET layers = :bad"), {"bad": f'["{UNKNOWN}"]'})
    return server.client().get(path).status_code
