"""The way past FastAPI's layers: taken by predictions alone, and nobody can tell by the answers."""

import json
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from pydantic import SecretStr
from starlette.types import Message

from app import main, routes
from app.settings import Settings
from app.shortcut import TRACED
from app.storage.database import Database

KEY = "a-key-of-tests-of-the-shortcut"
PREDICT = "/v1/models/mdl_x/predict"


@pytest.fixture(scope="module")
def applications(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any]]:
    """With the shortcut, and without."""
    directory = tmp_path_factory.mktemp("shortcut")
    settings = Settings(data_dir=directory, admin_key=SecretStr(KEY), log_requests=False)
    database = Database(settings.url)
    main.prepare(settings, database)
    with pytest.MonkeyPatch.context() as patch:
        short = main.create_app(settings, database)
        patch.setattr(routes, "DIRECT", [])
        long = main.create_app(settings, database)
        yield short, long
    for each in (short, long):
        anyio.run(end, each)
    database.close()


async def end(application: Any) -> None:
    async with application.router.lifespan_context(application):
        pass


def ask(
    application: Any,
    method: str,
    path: str,
    body: bytes | None,
    kind: str,
    query: str,
    *,
    traced: bool = False,
) -> Any:
    """Status, headers and document of the answer; and whether FastAPI's layers have seen the request."""
    head = {"host": "localhost", "authorization": f"Bearer {KEY}", "content-type": kind, "x-request-id": "x"}
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "scheme": "http",
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in head.items()],
        **({TRACED: None} if traced else {}),
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"} if body is None else {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        sent.append(message)

    anyio.run(application, scope, receive, send)
    content = b"".join(each.get("body", b"") for each in sent)
    answer = sent[0]["status"], dict(sent[0]["headers"]), json.loads(content)
    return answer, "fastapi_middleware_astack" in scope


@pytest.mark.parametrize(
    ("status", "short", "sent"),
    [
        (404, True, ("POST", PREDICT, b'{"inputs": [[1]]}', "application/json", "")),
        (415, True, ("POST", PREDICT, b"{}", "image/png", "")),
        (422, True, ("POST", PREDICT, b"{}", "application/json", "unknown=1")),
        (400, True, ("POST", PREDICT, None, "application/json", "")),
        (405, False, ("GET", PREDICT, b"", "application/json", "")),
        (404, False, ("POST", f"{PREDICT}/", b"{}", "application/json", "")),
    ],
)
def test_problems_are_the_same_on_both_ways(
    applications: tuple[Any, Any], status: int, short: bool, sent: tuple[Any, ...]
) -> None:
    answer, long = ask(applications[0], *sent)
    assert (answer[0], long) == (status, not short)
    assert ask(applications[1], *sent) == (answer, True)


def test_a_traced_request_goes_the_long_way(applications: tuple[Any, Any]) -> None:
    sent = ("POST", PREDICT, b"{}", "text/plain", "")
    answer, long = ask(applications[0], *sent)
    assert not long
    assert ask(applications[0], *sent, traced=True) == (answer, True)
