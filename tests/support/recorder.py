"""What a server has told its clients, so that it can be held to it after any fault."""

import json
import threading
from collections import defaultdict
from typing import Any, NamedTuple

import httpx

from app import strict_json
from app.errors import ChainruleError
from tests.support.promises import TERMINAL
from tests.support.server import Server

OUTAGE = (503, 507)


class Sent(NamedTuple):
    """A creating request with an idempotency key; ``name`` is what its object is to be called."""

    route: str
    key: str
    name: str | None


class Recorder:
    """Listens to clients and keeps what 2xx answers said; ``violations`` are answers that are wrong by
    themselves: JSON that a strict reader refuses, a 5xx that no outage excuses, an object told in two ways.

    Several threads may use its clients. Answers of event streams are left to who reads them.
    """

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.answers = 0
        self.outages = 0
        self.created: dict[str, str] = {}  # id -> object
        self.deleted: set[str] = set()
        self.endings: dict[str, dict[str, Any]] = {}  # job -> what was told of its end
        self.models: dict[str, str] = {}  # id -> SHA-256
        self.epochs: dict[str, dict[int, Any]] = defaultdict(dict)
        self.events: dict[str, dict[int, Any]] = defaultdict(dict)
        self.sent: set[Sent] = set()
        self.made_by: dict[tuple[str, str], set[str]] = defaultdict(set)  # (route, key) -> ids
        self._lock = threading.Lock()

    def client(self, server: Server, role: str = "admin", project: str = "default") -> httpx.Client:
        """A client of the server that is listened to; whoever asks for it closes it."""
        return self.listen(server.client_with(dict(server.client(role, project).headers)))

    def listen(self, client: httpx.Client) -> httpx.Client:
        client.event_hooks["request"].append(self._note_request)
        client.event_hooks["response"].append(self._note_response)
        return client

    def _note_request(self, request: httpx.Request) -> None:
        key = request.headers.get("Idempotency-Key")
        if key is not None and request.method == "POST":
            with self._lock:
                self.sent.add(Sent(request.url.path, key, _name_in(request)))

    def _note_response(self, response: httpx.Response) -> None:
        kind = response.headers.get("content-type", "")
        if kind.startswith("text/event-stream"):
            return
        response.read()
        with self._lock:
            self.answers += 1
            self._note_status(response)
            if not kind.partition(";")[0].endswith("json") or not response.content:
                body = None
            else:
                body = self._strictly(response)
            if response.is_success:
                self._note_success(response, body)

    def _note_status(self, response: httpx.Response) -> None:
        if response.status_code < 500:
            return
        self.outages += 1
        if response.status_code not in OUTAGE:
            self._wrong(response, f"answered {response.status_code}: {response.text[:300]}")
        elif "retry-after" not in response.headers:
            self._wrong(response, f"answered {response.status_code} without Retry-After")

    def _strictly(self, response: httpx.Response) -> Any:
        try:
            return strict_json.loads(response.content)
        except ChainruleError as error:
            self._wrong(response, f"sent no strict JSON: {error.detail}")
            return None

    def _note_success(self, response: httpx.Response, body: Any) -> None:
        request = response.request
        parts = request.url.path.strip("/").split("/")
        if request.method == "DELETE":
            self.deleted.add(parts[-1])
        if not isinstance(body, dict):
            return
        if response.status_code in (201, 202) and request.method == "POST" and "id" in body:
            self.created[body["id"]] = body["object"]
            key = request.headers.get("Idempotency-Key")
            if key is not None:
                self.made_by[request.url.path, key].add(body["id"])
        if parts[-1] in ("epochs", "events") and len(parts) == 4:
            known, number = (
                (self.epochs, "epoch") if parts[-1] == "epochs" else (self.events, "seq")
            )  # fmt: skip
            for row in body["data"]:
                self._same(response, known[parts[2]].setdefault(row[number], row), row)
        for each in body.get("data", []) if body.get("object") == "list" else [body]:
            self._note_object(response, each)

    def _note_object(self, response: httpx.Response, body: dict[str, Any]) -> None:
        if body.get("object") == "job" and body["status"] in TERMINAL:
            told = {name: body[name] for name in ("status", "result", "error", "model_id", "finished_at")}
            if body["status"] != "failed":  # one that has failed may be tried again
                self._same(response, self.endings.setdefault(body["id"], told), told)
            self.endings[body["id"]] = told
        elif (
            body.get("object") == "job"
            and self.endings.pop(body["id"], {}).get("status", "failed") != "failed"
        ):
            self._wrong(response, f"said that a job is {body['status']} after it had ended")
        elif body.get("object") == "model":
            self._same(response, self.models.setdefault(body["id"], body["sha256"]), body["sha256"])

    def _same(self, response: httpx.Response, before: Any, now: Any) -> None:
        if before != now:
            self._wrong(response, f"said {str(now)[:200]} after it had said {str(before)[:200]}")

    def _wrong(self, response: httpx.Response, what: str) -> None:
        request = response.request
        self.violations.append(f"{request.method} {request.url.path} {what}")


def _name_in(request: httpx.Request) -> str | None:
    if "name" in request.url.params:
        return str(request.url.params["name"])
    try:
        body = json.loads(request.content)
    except (ValueError, httpx.RequestNotRead):
        return None
    return body.get("name") if isinstance(body, dict) else None
