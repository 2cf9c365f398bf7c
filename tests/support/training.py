"""Datasets to train on, and the steps of a client that every test takes."""

from pathlib import Path
from typing import Any

import httpx

PENGUINS = Path(__file__).parents[2] / "examples" / "penguins.csv"
XOR = "x1,x2,y\n0,0,0\n0,1,1\n1,0,1\n1,1,0\n"
LINE = "x,y\n" + "".join(f"{i / 10},{3 * i / 10 - 1}\n" for i in range(60))

Json = dict[str, Any]


def upload(client: httpx.Client, content: str | bytes, name: str = "data") -> Json:
    response = client.post(
        "/v1/datasets", params={"name": name}, content=content, headers={"Content-Type": "text/csv"}
    )
    return made(response, 201)


def made(response: httpx.Response, status: int) -> Json:
    """The body of an answer that has that status."""
    assert response.status_code == status, response.text[:1000]
    body: Json = response.json()
    return body


def submit(client: httpx.Client, **body: Any) -> Json:
    return made(client.post("/v1/jobs", json=body), 202)


def finished(client: httpx.Client, job_id: str, seconds: float = 50.0) -> Json:
    """The job in its terminal state."""
    query: dict[str, float | str] = {"wait": seconds, "wait_for": "terminal"}
    job = made(client.get(f"/v1/jobs/{job_id}", params=query), 200)
    assert job["status"] in ("succeeded", "failed", "cancelled"), job
    return job


def started(client: httpx.Client, job_id: str) -> Json:
    """The job once it is no longer queued."""
    while True:
        job = made(client.get(f"/v1/jobs/{job_id}", params={"wait": 1}), 200)
        if job["status"] != "queued":
            return job


def train(client: httpx.Client, **body: Any) -> Json:
    """A job that has succeeded."""
    job = finished(client, submit(client, **body)["id"])
    assert job["status"] == "succeeded", job["error"]
    return job


def history(client: httpx.Client, job_id: str) -> list[Json]:
    """Every row of history, page by page."""
    rows: list[Json] = []
    while True:
        query = {"after_epoch": rows[-1]["epoch"] if rows else 0}
        page = made(client.get(f"/v1/jobs/{job_id}/epochs", params=query), 200)
        rows += page["data"]
        if not page["has_more"]:
            return rows


def log_of(client: httpx.Client, job_id: str) -> list[Json]:
    """Every event, page by page."""
    events: list[Json] = []
    while True:
        query = {"after": events[-1]["seq"] if events else 0}
        page = made(client.get(f"/v1/jobs/{job_id}/events", params=query), 200)
        events += page["data"]
        if not page["has_more"]:
            return events


def assert_gapless(events: list[Json]) -> None:
    assert [each["seq"] for each in events] == list(range(1, len(events) + 1))
    assert len({each["id"] for each in events}) == len(events)


def assert_whole(client: httpx.Client, job: Json) -> list[Json]:
    """Epochs 1 … N once each, told once each, and a log without gaps; the history."""
    rows = history(client, job["id"])
    last = job["result"]["epochs"]
    assert [row["epoch"] for row in rows] == list(range(1, last + 1))
    events = log_of(client, job["id"])
    assert_gapless(events)
    told = [row["epoch"] for each in events if each["type"] == "job.epoch" for row in each["data"]["epochs"]]
    assert told == list(range(1, last + 1))
    endings = ("job.succeeded", "job.failed", "job.cancelled")
    assert [each["type"] for each in events if each["type"] in endings] == [f"job.{job['status']}"]
    assert events[-1]["type"] == f"job.{job['status']}"
    return rows
