"""The outermost layer: what every answer carries, and what never gets behind it."""

from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from app.errors import TooLarge
from app.gate import Gate
from app.keys import service
from app.keys.service import Authenticator
from app.settings import Settings
from app.storage.database import Database
from tests.support.problems import assert_problem

LIMIT = 1000
Ask = Callable[..., httpx.Response]


class Behind:
    """An application that reads its body and says what it has seen."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message: Message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.seen.append((scope["path"], scope["state"].get("principal"), len(body)))
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=5")]}
        )
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def behind() -> Behind:
    return Behind()


@pytest.fixture
def secret(database: Database) -> str:
    with database.writing() as session:
        return service.create(session, name="a", role="read")[1]


@pytest.fixture
def gate(database: Database, behind: Behind, monkeypatch: pytest.MonkeyPatch) -> Gate:
    monkeypatch.delenv("CHAINRULE_ADMIN_KEY", raising=False)
    settings = Settings(max_json_bytes=LIMIT, max_upload_bytes=3 * LIMIT)
    return Gate(behind, Authenticator(database), settings)


@pytest.fixture
def ask(gate: Gate, secret: str) -> Ask:
    def request(path: str, **options: Any) -> httpx.Response:
        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(gate)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                headers = {"Authorization": f"Bearer {secret}", **options.pop("headers", {})}
                return await client.request(options.pop("method", "GET"), path, headers=headers, **options)

        return anyio.run(run)

    return request


def test_every_answer_has_an_id_and_is_not_kept(ask: Ask) -> None:
    answer = ask("/v1/jobs", headers={"X-Request-Id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers.get_list("cache-control") == ["max-age=5"]  # its own word wins
    refused = ask("/v1/jobs", headers={"Authorization": ""})
    assert_problem(refused, 401)
    assert refused.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 65, "é", '"', "a\tb"])
def test_an_odd_request_id_is_replaced(ask: Ask, sent: str) -> None:
    answer = ask("/v1/jobs", headers={"X-Request-Id": sent.encode()})
    assert answer.headers["x-request-id"].isalnum()
    assert answer.headers["x-request-id"] != sent
    assert answer.headers["x-request-id"] != ask("/v1/jobs").headers["x-request-id"]


def test_the_key_decides_who_is_behind(ask: Ask, behind: Behind) -> None:
    assert ask("/v1/jobs").status_code == 200
    assert ask("/v1/jobs", headers={"Authorization": "bearer  wrong"}).status_code == 401
    assert ask("/livez", headers={"Authorization": ""}).status_code == 200
    (path, principal, _), (probe, nobody, _) = behind.seen
    assert (path, principal.role) == ("/v1/jobs", "read")
    assert (probe, nobody) == ("/livez", None)


def test_many_wrong_keys_from_one_address_are_told_to_wait(
    ask: Ask, gate: Gate, database: Database, behind: Behind
) -> None:
    gate.authenticator = Authenticator(database, most_failures=2)
    answers = [ask("/v1/jobs", headers={"Authorization": f"Bearer wrong{n}"}) for n in range(3)]
    assert [each.status_code for each in answers] == [401, 401, 429]
    assert_problem(answers[2], 429, "too_many_wrong_keys")
    assert 1 <= int(answers[2].headers["retry-after"]) <= 61
    assert ask("/v1/jobs", headers={"Authorization": ""}).status_code == 401  # which costs nothing
    assert ask("/v1/jobs").status_code == 200  # a valid one is never shut out
    assert len(behind.seen) == 1


def chunked(size: int) -> Callable[[], Any]:
    async def parts() -> Any:
        for _ in range(size // 10):
            yield b"0123456789"

    return parts


@pytest.mark.parametrize(("path", "limit"), [("/v1/jobs", LIMIT), ("/v1/datasets", 3 * LIMIT)])
def test_a_body_ends_at_the_limit(ask: Ask, behind: Behind, path: str, limit: int) -> None:
    assert ask(path, method="POST", content=b"x" * limit).status_code == 200
    assert ask(path, method="POST", content=chunked(limit)()).status_code == 200
    assert [size for _, _, size in behind.seen] == [limit, limit]
    assert_problem(ask(path, method="POST", content=b"x" * (limit + 1)), 413, "too_large")


def test_a_body_without_a_length_is_counted(ask: Ask, behind: Behind) -> None:
    with pytest.raises(TooLarge):  # for the application's own handler to tell
        ask("/v1/jobs", method="POST", content=chunked(LIMIT + 10)())
    assert behind.seen == []


@pytest.mark.parametrize("path", ["/v1/jobs/%00", "/v1/jobs?name=%00", "/v1/jobs?a%00=1"])
def test_a_nul_goes_no_further(ask: Ask, behind: Behind, path: str) -> None:
    assert_problem(ask(path), 400, "malformed_request")
    assert behind.seen == []
