"""The one handler: from our errors, validation and HTTP errors to the one problem+json body (RFC 9457)."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match

from app import errors
from app.errors import ChainruleError
from app.storage.away import is_away
from app.storage.columns import to_json
from app.storage.disk import is_full
from app.validation import About, invalid

log = logging.getLogger(__name__)

BY_STATUS: dict[int, type[ChainruleError]] = {
    400: errors.MalformedRequest,
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    408: errors.RequestTimeout,
    410: errors.Gone,
    413: errors.TooLarge,
    415: errors.UnsupportedMediaType,
    422: errors.Invalid,
    431: errors.HeadTooLarge,
    503: errors.Unavailable,
    507: errors.DiskFull,
}


TOLD_PATH = 1_000
"""Characters of a path that are told: it is the client's own, and may be as long as a head."""

TOLD_FAULTS = 3
"""Of an error that is one text."""

_ABOUT: dict[str, About] = {
    "/v1/cross-validations": "job",
    "/v1/jobs": "job",
    "/v1/jobs/plan": "job",
    "/v1/architectures": "architecture",
}
"""Where words of other libraries are looked up."""


def install(app: FastAPI) -> None:
    """Make every error of this application a problem."""
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)
    app.add_exception_handler(Exception, _unexpected)


async def answer(request: Request, error: Exception) -> Response:
    """The problem that this application would answer with. Raises what is beyond its handlers."""
    handler = next((_HANDLERS[kind] for kind in type(error).__mro__ if kind in _HANDLERS), None)
    if handler is None:
        raise error
    return await handler(request, error)


def methods_of(request: Request) -> list[str]:
    """Every method that this path takes; a router alone names only those of one of its routes."""
    found = []
    for method in ("DELETE", "GET", "PATCH", "POST", "PUT"):
        asked = {**request.scope, "method": method}
        if any(route.matches(asked)[0] is Match.FULL for route in request.app.router.routes):
            found.append(method)
    return with_head(found)


def with_head(methods: Iterable[str]) -> list[str]:
    """Whatever takes GET takes HEAD: see `heads`."""
    found = set(methods)
    return sorted(found | {"HEAD"} if "GET" in found else found)


def media_type(path: str) -> str:
    """Of the errors of this path."""
    return "application/json" if _is_open_inference(path) else "application/problem+json"


def body(error: ChainruleError, path: str, request_id: str) -> bytes:
    """The problem document of an error; on the paths of the Open Inference Protocol, the error of that."""
    if _is_open_inference(path):
        return to_json({"error": _in_one_text(error)}).encode("utf-8", "replace")
    problem: dict[str, object] = {
        "type": f"urn:chainrule:problem:{error.code}",
        "title": error.title.rstrip("."),
        "status": error.status,
        "detail": error.detail,
        "instance": path[:TOLD_PATH],
        "code": error.code,
        "errors": [
            {"param": each.param, "code": each.code, "message": each.message, "hint": each.hint}
            for each in error.faults
        ],
        "request_id": request_id,
        **error.members,
    }
    return to_json(problem).encode("utf-8", "replace")


def _in_one_text(error: ChainruleError) -> str:
    """The detail, and what the first faults say beyond it."""
    parts = [error.detail]
    for each in error.faults[:TOLD_FAULTS]:
        if each.message not in error.detail:
            parts.append(f"{each.param}: {each.message}" if each.param else each.message)
        if each.hint and each.hint not in error.detail:
            parts.append(each.hint)
    return " ".join(parts)


def _is_open_inference(path: str) -> bool:
    return path == "/v2" or path.startswith("/v2/")


def response(request: Request, error: ChainruleError) -> Response:
    request_id = request.scope.get("state", {}).get("request_id", "")
    return Response(
        body(error, request.url.path, request_id),
        status_code=error.status,
        headers=error.headers,
        media_type=media_type(request.url.path),
    )


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, ChainruleError)
    return response(request, error)


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return response(request, invalid(error.errors(), error.body, about=_about(request)))


def _about(request: Request) -> About | None:
    if request.method != "POST":
        return None
    return "trace" if request.url.path.endswith("/trace") else _ABOUT.get(request.url.path)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, ChainruleError):  # FastAPI wraps what reading a body raises
        return response(request, error.__cause__)
    family = BY_STATUS.get(error.status_code)
    if family is None:
        family = type("HttpError", (ChainruleError,), {"status": error.status_code, "code": "http_error"})
        family.__doc__ = HTTPStatus(error.status_code).phrase
    translated = family()
    if error.status_code == HTTPStatus.NOT_FOUND:
        translated.detail = "There is nothing at this path."
    translated.headers.update(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = methods_of(request)
        translated.headers = {"Allow": ", ".join(allowed)}
        translated.members = {"allowed": allowed}
    return response(request, translated)


async def _gone(request: Request, error: Exception) -> Response:
    """Nobody reads this: the client went away before its body was whole."""
    return response(request, errors.MalformedRequest("The body is not whole."))


async def _unexpected(request: Request, error: Exception) -> Response:
    return response(request, unexpected(error))


_HANDLERS: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
    ChainruleError: _ours,
    RequestValidationError: _validation,
    HTTPException: _http,
    ClientDisconnect: _gone,
    SQLAlchemyError: _unexpected,
    OSError: _unexpected,
}


def unexpected(error: Exception) -> ChainruleError:
    """What a client may know of an exception that is not ours; the log has the rest."""
    if is_full(error):
        log.warning("there is no room left: %s", type(error).__name__)
        return errors.DiskFull("There is no room left on the server's disk.")
    if is_away(error):
        log.warning("the database cannot be reached: %s", type(error).__name__)
        return errors.Unavailable("The database cannot be reached just now.")
    log.error("unexpected error", exc_info=error)
    return ChainruleError()
