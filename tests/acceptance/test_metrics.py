"""What Prometheus reads: every name that the page lists and no other, right, and nothing of users'."""

import re
import uuid
from collections import defaultdict
from collections.abc import Callable

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain
from prometheus_client.samples import Sample

from app.metrics.families import FAMILIES
from tests.support.problems import assert_problem
from tests.support.server import Server, until
from tests.support.training import LINE, made, train, upload

pytestmark = pytest.mark.heavy

STATES = ("queued", "running", "pausing", "paused", "cancelling")
OURS = {
    "method": "GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|OTHER",
    "status": rf"[1-5]\d\d|none|{'|'.join(STATES)}",
    "reason": "missing|invalid|too_many",
    "outcome": "read|refused|failed|succeeded|stopped|held_up",
    "kind": "sqlite|postgres|away|full|other",
    "state": "active|draining|busy|idle",
    "cause": "crashed|killed",
    "worker": r"wrk_\w{24}",
    "host": ".*",
    "version": r"\d+\.\d+\.\d+",
    "le": r"\+Inf|\d+\.\d+",
}
"""By label, all that it may say; beside these there are routes."""


class Scrape:
    """One answer, read as Prometheus does."""

    def __init__(self, client: httpx.Client) -> None:
        answer = client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=")
        self.text = answer.raise_for_status().text
        self.kinds: dict[str, str] = {}
        self.samples = defaultdict[str, list[Sample]](list)
        for family in plain(self.text):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            self.kinds[name] = family.type
            self.samples[name] = family.samples

    def sum(self, name: str, **labels: str) -> float:
        assert name in FAMILIES
        return sum(each.value for each in self.samples[name] if labels.items() <= each.labels.items())


@pytest.fixture
def later(server: Server) -> Callable[[Callable[[Scrape], bool]], Scrape]:
    """The first scrape of which something is true: answers may be a second old, workers' counts two more."""

    def wait(holds: Callable[[Scrape], bool]) -> Scrape:
        found: list[Scrape] = []

        def look() -> bool:
            found.append(Scrape(server.client()))
            return holds(found[-1])

        until(look, 10)
        return found[-1]

    return wait


Later = Callable[[Callable[[Scrape], bool]], Scrape]


def test_what_is_served_is_what_the_page_lists(server: Server, later: Later) -> None:
    client = server.client("write", "metrics")
    train(client, dataset_id=upload(client, LINE)["id"], target="y", training={"epochs": 2})
    found = later(lambda each: each.sum("chainrule_http_requests_total", route="/v1/jobs", status="202") > 0)
    later(lambda each: bool(each.samples["chainrule_blob_bytes"]))
    served = {name: kind for name, kind in found.kinds.items() if name.startswith("chainrule_")}
    assert served == {name: each.kind for name, each in FAMILIES.items()}
    listed = {name for name in found.kinds if not name.startswith("chainrule_")}
    assert all(name.startswith("process_") for name in listed)
    for name, family in FAMILIES.items():
        for sample in found.samples[name]:
            assert sample.labels.keys() - {"le"} == set(family.labels), name


def test_openmetrics_is_served_to_who_asks_for_it(server: Server) -> None:
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    answer = server.client().get("/metrics", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    served = open_metrics(answer.text)  # type: ignore[no-untyped-call]
    assert {each.name for each in served} >= {"chainrule_jobs", "chainrule_http_requests"}


@pytest.mark.parametrize(
    "accept", ["text/plain; version=x", "text/plain;version=9;escaping=y", "*/*", "x", "é"]
)
def test_any_accept_gets_plain_text(server: Server, accept: str) -> None:
    answer = server.client().get("/metrics", headers=[(b"accept", accept.encode())])
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_requests_are_counted_by_route(server: Server, later: Later) -> None:
    client = server.client("read", "metrics")
    job = {"route": "/v1/jobs/{job_id}", "method": "GET", "status": "404"}
    unknown = {"route": "none", "method": "OTHER"}
    before = Scrape(server.client())
    for number in range(7):
        assert_problem(client.get(f"/v1/jobs/job_{number}"), 404)
    assert_problem(client.request("PROPFIND", f"/{uuid.uuid4()}"), 404)
    name = "chainrule_http_requests_total"
    after = later(lambda each: each.sum(name, **unknown) == before.sum(name, **unknown) + 1)
    assert after.sum(name, **job) == before.sum(name, **job) + 7
    seconds = [
        each for each in after.samples["chainrule_http_request_seconds"] if each.name.endswith("_count")
    ]
    (timed,) = [
        each for each in seconds if (each.labels["route"], each.labels["method"]) == (job["route"], "GET")
    ]
    assert timed.value <= after.sum(name, route=job["route"], method="GET")  # without those who waited
    assert timed.value >= 7


def test_what_workers_did_is_counted(server: Server, later: Later) -> None:
    client = server.client("write", "metrics")
    data = upload(client, LINE)["id"]
    before = Scrape(server.client())
    options = {"epochs": 41, "early_stopping": None}
    train(client, dataset_id=data, target="y", training=options)
    epochs, jobs = "chainrule_worker_epochs_total", "chainrule_worker_jobs_total"
    after = later(lambda each: each.sum(epochs) >= before.sum(epochs) + 41)
    assert after.sum(jobs, outcome="succeeded") >= before.sum(jobs, outcome="succeeded") + 1
    assert after.sum("chainrule_worker_snapshots_total") > before.sum("chainrule_worker_snapshots_total")
    assert after.sum("chainrule_workers", state="active") >= 1
    assert after.sum("chainrule_slots") >= 2
    assert after.sum("chainrule_database_up") == 1


def test_refusals_and_repetitions_are_counted(server: Server, later: Later) -> None:
    before = Scrape(server.client())
    client = server.client("write", "metrics")
    with server.client_with({}) as nobody:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            assert_problem(nobody.get("/v1", headers=headers), 401)
    key = {"Idempotency-Key": str(uuid.uuid4())}
    for _ in range(3):
        made(client.post("/v1/architectures", json={"layers": []}, headers=key), 201)
    assert client.post("/v1/datasets", content=b"", headers={"Content-Type": "text/csv"}).status_code == 422
    upload(client, LINE)
    replays = "chainrule_idempotency_replays_total"
    after = later(lambda each: each.sum(replays) == before.sum(replays) + 2)
    for reason in ("missing", "invalid"):
        name = "chainrule_auth_failures_total"
        assert after.sum(name, reason=reason) == before.sum(name, reason=reason) + 1
    for outcome in ("read", "refused"):
        name = "chainrule_uploads_total"
        assert after.sum(name, outcome=outcome) >= before.sum(name, outcome=outcome) + 1


def test_streams_and_held_requests_are_counted(server: Server, later: Later) -> None:
    client = server.client("write", "metrics")
    data = upload(client, LINE)["id"]
    options = {"epochs": 10_000_000, "early_stopping": None}
    job = made(client.post("/v1/jobs", json={"dataset_id": data, "target": "y", "training": options}), 202)
    with client.stream("GET", f"/v1/jobs/{job['id']}/events", headers={"Accept": "text/event-stream"}):
        held = later(lambda each: each.sum("chainrule_streams") >= 1)
        assert held.sum("chainrule_http_in_progress") >= 2  # the stream, and this
    client.post(f"/v1/jobs/{job['id']}/cancel")
    later(lambda each: each.sum("chainrule_streams") == 0)


def test_nothing_of_users_is_told(server: Server, later: Later) -> None:
    canary = f"canary{uuid.uuid4().hex}"
    client = server.client("write", canary)
    data = upload(client, f"{canary},y\n{canary},1\nb,2\nc,3\n", canary)
    body = {"dataset_id": data["id"], "target": "y", "name": canary, "metadata": {"team": canary}}
    client.post("/v1/jobs", json=body | {"training": {"epochs": 1}})
    for path in (f"/{canary}", f"/v1/jobs/{canary}", f"/v1/jobs?status={canary}", f"/v1/aliases/{canary}"):
        client.get(path, headers={"X-Request-Id": canary, "User-Agent": canary, canary: canary})
    client.request(canary.upper(), "/v1/jobs")
    client.post(f"/v1/models/{canary}/predict", json={"rows": [{canary: canary}]})
    with server.client_with({"Authorization": f"Bearer {canary}"}) as nobody:
        nobody.get(f"/v1/{canary}")
    name = "chainrule_http_requests_total"
    after = later(lambda each: each.sum(name, route="/v1/models/{model_id}/predict", status="404") > 0)
    assert canary not in after.text.lower()
    routes = {*server.client().get("/openapi.json").json()["paths"], "/docs", "/openapi.json", "none"}
    for samples in after.samples.values():
        for label, value in (each for sample in samples for each in sample.labels.items()):
            assert value in routes if label == "route" else re.fullmatch(OURS[label], value), (label, value)
