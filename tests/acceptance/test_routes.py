"""Every route, every method, every key: what answers 401, 403 and 405, and that nothing else does."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.routing import BaseRoute, Route

from app.documentation import pages
from app.main import create_app
from app.settings import Settings
from app.storage.database import Database
from app.storage.tables import Key
from tests.support.operations import ROLES, least_roles
from tests.support.server import Server
from tests.support.training import made
from tests.support.wire import Raw, Wire

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY", "PROPFIND")
OPERATIONS = least_roles()
UNLISTED = {
    f"{method} {path}": "predict"
    for path in sorted(pages.READABLE)
    for method in ("GET", "HEAD", *(("POST",) if path == pages.PAGE else ()))
}
"""Routes that the OpenAPI document, and so docs/keys.md, does not have; by least role."""

PROBES = {"/livez", "/readyz", "/v2/health/live", "/v2/health/ready"}
UNKNOWN = "x-unknown-000"


def paths() -> dict[str, dict[str, str]]:
    """By path the methods that it takes, with their least roles."""
    found: dict[str, dict[str, str]] = {}
    for operation, role in {**OPERATIONS, **UNLISTED}.items():
        method, path = operation.split()
        found.setdefault(path, {})[method] = role
    return {
        path: {**methods, "HEAD": methods["GET"]} if "GET" in methods else methods
        for path, methods in found.items()
    }


PATHS = paths()


def routes_of(routes: list[BaseRoute]) -> Iterator[str]:
    """Every operation that an application routes, its included routers' too."""
    for each in routes:
        inner = getattr(getattr(each, "original_router", each), "routes", None)
        if isinstance(each, Route):
            for method in each.methods or ():
                yield f"{method} {re.sub(r':[a-z]+(?=})', '', each.path)}"
        elif inner:
            yield from routes_of(list(inner))
        else:
            yield f"? {each}"


def test_every_route_is_in_a_table(tmp_path: Any) -> None:
    """A new one is not released before somebody has said who may use it."""
    settings = Settings(data_dir=tmp_path)
    database = Database(settings.url)
    application = create_app(settings, database)
    found = set(routes_of(application.routes))
    application.state.chainrule.jail.close()
    database.close()
    assert found == {*OPERATIONS, *UNLISTED}


def concrete(path: str) -> str:
    return re.sub(r"\{\w+\}", UNKNOWN, path)


@pytest.fixture(scope="module")
def refused_keys(server: Server) -> dict[str, dict[str, str]]:
    """Headers that name nobody: none, other schemes, a wrong key, an expired one, a revoked one."""
    admin = server.client()
    made_keys = [
        made(admin.post("/v1/keys", json={"name": "gone", "role": "admin", "project": "gone"}), 201)
        for _ in range(2)
    ]
    expired, revoked = made_keys
    assert admin.delete(f"/v1/keys/{revoked['id']}").status_code == 204
    past = datetime.now(UTC) - timedelta(seconds=1)
    with server.database() as database, database.writing() as session:
        session.execute(sa.update(Key).where(Key.id == expired["id"]).values(expires_at=past))
    bearers = {"wrong": "cr_wrong", "expired": expired["secret"], "revoked": revoked["secret"]}
    return {
        "none": {},
        "another scheme": {"Authorization": "Basic YTpi"},
        **{name: {"Authorization": f"Bearer {secret}"} for name, secret in bearers.items()},
    }


def ask(wire: Wire, method: str, path: str) -> Raw:
    has_body = method in ("POST", "PUT", "PATCH")
    body, kind = (b'{"nonsense": true}', {"Content-Type": "application/json"}) if has_body else (None, {})
    return wire.ask(method, path, body, kind)


REFUSED = ("none", "another scheme", "wrong", "expired", "revoked")
FEW = ("GET", "POST", "DELETE")


@pytest.mark.parametrize(
    ("key", "methods"),
    [
        ("none", METHODS),
        *((key, FEW) for key in REFUSED[1:]),
        *(pytest.param(key, METHODS, marks=pytest.mark.slow) for key in REFUSED[1:]),
    ],
    ids=lambda each: each if isinstance(each, str) else f"{len(each)} methods",
)
def test_without_a_valid_key_only_the_probes_answer(
    server: Server, refused_keys: dict[str, dict[str, str]], key: str, methods: tuple[str, ...]
) -> None:
    wire = Wire(server.port, refused_keys[key])
    wrong = []
    for path, method in product([*PATHS, "/", "/v1/nothing", "/v1/jobs/"], methods):
        status = ask(wire, method, concrete(path)).status
        wanted = 401
        if path in PROBES:
            wanted = 200 if method in PATHS[path] else 405
        if status != wanted:
            wrong.append((method, path, status))
    wire.close()
    assert wrong == []


@pytest.mark.parametrize(
    "role", [pytest.param(each, marks=() if each == "write" else pytest.mark.slow) for each in ROLES]
)
def test_a_key_opens_what_its_role_may(server: Server, role: str) -> None:
    authorization = server.client(role, "routes").headers["authorization"]
    wire = Wire(server.port, {"Authorization": authorization})
    wrong = []
    for path, method in product(PATHS, METHODS):
        answer = ask(wire, method, concrete(path))
        least = PATHS[path].get(method)
        if least is None:
            allowed = set((answer.header("allow") or "").replace(" ", "").split(","))
            fine = answer.status == 405 and allowed == set(PATHS[path])
        elif least != "none" and ROLES.index(role) < ROLES.index(least):
            fine = answer.status == 403 and (method == "HEAD" or f"'{least}'".encode() in answer.body)
        else:
            fine = answer.status in (200, 204, 404, 422)
        if not fine:
            wrong.append((method, path, answer.status, answer.header("allow")))
    wire.close()
    assert wrong == []
