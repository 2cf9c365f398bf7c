"""The documentation in a browser: behind a key, and a cookie that opens nothing else."""

import base64
import hashlib
import re
import time
from collections.abc import Iterator

import httpx
import pytest

from app.documentation import pages
from app.gate import OPEN_PATHS
from app.keys import cookies
from tests.support.problems import assert_problem
from tests.support.server import Server, until
from tests.support.training import made

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
def nobody(server: Server) -> Iterator[httpx.Client]:
    with server.client_with({}) as client:
        yield client


@pytest.fixture(scope="module")
def reader(server: Server) -> httpx.Client:
    return server.client("read", "documentation")


@pytest.fixture(scope="module")
def cookie(reader: httpx.Client) -> str:
    """What a browser is given, and the header that it sends."""
    response = reader.post("/docs")
    assert response.status_code == 204
    given = response.headers.get_list("set-cookie")
    reader.cookies.clear()
    assert [re.findall("Path=([^;]+)", each) for each in given] == [["/docs"], ["/openapi.json"]]
    for each in given:
        assert {"HttpOnly", "SameSite=strict"} <= set(each.split("; "))
    values = {each.partition(";")[0] for each in given}
    assert len(values) == 1
    return values.pop()


def test_whoever_has_a_key_reads_it(reader: httpx.Client) -> None:
    page = reader.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert {pages.SCRIPT, pages.STYLE, pages.START} <= set(loaded)
    for path in loaded:
        assert path == "data:," or reader.get(path).status_code == 200
    assert len(reader.get(pages.SCRIPT).content) > 1_000_000
    assert pages.DOCUMENT in reader.get(pages.START).text
    assert reader.head("/docs").status_code == 200


@pytest.mark.parametrize("path", sorted(pages.READABLE))
def test_a_cookie_opens_it_too(nobody: httpx.Client, cookie: str, path: str) -> None:
    assert_problem(nobody.get(path), 401, "unauthenticated")
    found = nobody.get(path, headers={"Cookie": f"other=1; {cookie}"})
    assert found.status_code == 200
    assert not {each for each in found.headers if each.startswith("access-control")}
    assert nobody.head(path, headers={"Cookie": cookie}).status_code == 200


def test_a_cookie_opens_nothing_else(server: Server, nobody: httpx.Client, cookie: str) -> None:
    document = made(server.client().get("/openapi.json"), 200)
    count = 0
    for path, methods in document["paths"].items():
        for method in (*methods, "head", "options", "put"):
            if path not in OPEN_PATHS:
                response = nobody.request(method, re.sub(r"\{\w+\}", "x", path), headers={"Cookie": cookie})
                assert response.status_code == 401, (method, path)
                count += 1
    assert count > 100
    for method, path in (
        ("POST", "/docs"),
        ("OPTIONS", "/docs"),
        ("DELETE", "/docs"),
        ("POST", "/openapi.json"),
        ("GET", "/docs/"),
        ("GET", "/docs/none"),
        ("GET", "/docs/../v1"),
    ):
        assert_problem(nobody.request(method, path, headers={"Cookie": cookie}), 401, "unauthenticated")
    value = cookie.partition("=")[2]
    assert_problem(nobody.get("/v1", headers={"Authorization": f"Bearer {value}"}), 401)


def test_a_cookie_that_was_changed_opens_nothing(
    server: Server,
    nobody: httpx.Client,
    reader: httpx.Client,
    cookie: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name, _, value = cookie.partition("=")
    key_id, end, code = value.split(".")
    keys = made(server.client().get("/v1/keys"), 200)["data"]
    other = next(each["id"] for each in keys if each["id"] != key_id)
    secret = reader.headers["authorization"].removeprefix("Bearer ").encode()
    assert cookies.make(key_id, hashlib.sha256(secret).hexdigest()).startswith(f"{key_id}.")
    past = time.time() - cookies.LASTS_SECONDS - 1
    monkeypatch.setattr(time, "time", lambda: past)
    late = cookies.make(key_id, hashlib.sha256(secret).hexdigest())
    for wrong in (
        f"{key_id}.{int(end) + 1}.{code}",
        f"{other}.{end}.{code}",
        f"{key_id}.{end}.{code[:-1]}",
        f"{key_id}.{end}.",
        f"{key_id}..{code}",
        f"{key_id}.{'9' * 40}.{code}",
        f"{key_id}.-1.{code}",
        "",
        "..",
        "\u00e9.1.1",
        late,
    ):
        headers = [("Cookie", f"{name}={wrong}".encode("latin-1"))]
        response = nobody.get("/docs", headers=headers)  # type: ignore[arg-type]
        assert_problem(response, 401, "unauthenticated")


def test_a_wrong_key_is_not_helped_by_a_cookie(nobody: httpx.Client, cookie: str) -> None:
    headers = {"Cookie": cookie, "Authorization": "Bearer wrong"}
    assert_problem(nobody.get("/docs", headers=headers), 401, "unauthenticated")


def test_it_ends_with_its_key(server: Server, nobody: httpx.Client) -> None:
    admin = server.client()
    key = made(admin.post("/v1/keys", json={"name": "short", "role": "predict"}), 201)
    bearer = {"Authorization": f"Bearer {key['secret']}"}
    given = nobody.post("/docs", headers=bearer)
    nobody.cookies.clear()
    headers = {"Cookie": given.headers["set-cookie"].partition(";")[0]}
    assert key["secret"] not in given.headers["set-cookie"]
    assert nobody.get("/docs", headers=headers).status_code == 200
    assert admin.delete(f"/v1/keys/{key['id']}").status_code == 204
    until(lambda: nobody.get("/docs", headers=headers).status_code == 401, 1.5)


def test_a_browser_is_asked_for_a_key(nobody: httpx.Client) -> None:
    page = nobody.get("/docs", headers=BROWSER)
    assert page.status_code == 401
    assert page.headers["www-authenticate"] == "Bearer"
    assert page.headers["content-type"].startswith("text/html")
    script = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    assert len(script) == 1
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page.headers["content-security-policy"]
    for path in ("/openapi.json", "/v1", "/", "/docs/start.js"):
        assert_problem(nobody.get(path, headers=BROWSER), 401, "unauthenticated")
    assert_problem(nobody.post("/docs", headers=BROWSER), 401, "unauthenticated")


@pytest.mark.parametrize("policy", [pages.READING_POLICY, pages.SIGN_IN_POLICY])
def test_a_page_loads_nothing_from_elsewhere(policy: str) -> None:
    rules = dict(rule.strip().partition(" ")[::2] for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["frame-ancestors"] == rules["form-action"] == rules["base-uri"] == "'none'"
    assert "'unsafe" not in rules["script-src"]
    for sources in rules.values():
        assert all(each == "data:" or each.startswith("'") for each in sources.split())
    for page in (pages.READING, pages.SIGN_IN, pages.STARTER):
        assert "//" not in page


def test_methods_that_a_page_does_not_take_are_named(reader: httpx.Client) -> None:
    for path, allowed in (("/docs", {"GET", "HEAD", "POST"}), ("/openapi.json", {"GET", "HEAD"})):
        response = reader.put(path)
        assert_problem(response, 405, "method_not_allowed")
        assert set(response.headers["allow"].split(", ")) == allowed
