"""The error contract: what every refusal looks like."""

import json
from typing import Any

import httpx

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "errors", "request_id"}
QUOTA = {"quota", "limit", "used"}
"""Of those that name a limit of a project."""


def assert_problem(
    response: httpx.Response, status: int, code: str | None = None, param: str | None = None
) -> dict[str, Any]:
    """The problem document, which has the published shape, and names ``param`` among its errors."""
    assert response.status_code == status, response.text[:500]
    if response.url.path.startswith("/v2"):
        return _as_open_inference_has_it(response)
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = json.loads(response.content.decode("utf-8"), parse_constant=_refuse)
    assert MEMBERS <= problem.keys() <= MEMBERS | {"allowed"} | QUOTA
    assert problem["status"] == status
    assert problem["type"] == f"urn:chainrule:problem:{problem['code']}"
    assert problem["instance"] == response.url.path
    assert problem["request_id"] == response.headers["x-request-id"]
    assert all(isinstance(problem[name], str) for name in ("title", "detail", "code", "request_id"))
    assert problem["title"]
    assert problem["detail"]
    assert "Traceback" not in response.text
    for fault in problem["errors"]:
        assert fault.keys() == {"param", "code", "message", "hint"}
        assert all(isinstance(fault[name], str) for name in ("param", "code", "message"))
        assert fault["message"]
        assert fault["hint"] is None or isinstance(fault["hint"], str)
    if code is not None:
        assert code in {problem["code"], *(fault["code"] for fault in problem["errors"])}, problem
    if param is not None:
        assert param in {fault["param"] for fault in problem["errors"]}, problem
    return problem


def _as_open_inference_has_it(response: httpx.Response) -> dict[str, Any]:
    """The error of the Open Inference Protocol, under the name that a problem's text has."""
    assert response.headers["content-type"] == "application/json"
    body = json.loads(response.content.decode("utf-8"), parse_constant=_refuse)
    assert body.keys() == {"error"}
    assert isinstance(body["error"], str)
    assert body["error"]
    assert "Traceback" not in response.text
    return {"detail": body["error"]}


def without_chance(response: httpx.Response) -> bytes:
    """The body but for what differs from request to request: its id, and the path that was asked for."""
    problem = json.loads(response.content)
    del problem["request_id"], problem["instance"]
    return json.dumps(problem).encode()


def _refuse(word: str) -> float:
    raise AssertionError(f"{word} in JSON")
