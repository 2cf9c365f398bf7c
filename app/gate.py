"""The outermost layer: a request id, a known host, a body limit, and a valid key for all but the probes."""

import re
import secrets
from collections.abc import Awaitable, Mapping
from functools import partial
from hmac import compare_digest
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import heads, problems
from app.documentation import pages
from app.errors import (
    ChainruleError,
    MalformedRequest,
    TooLarge,
    TooManyFailures,
    Unauthenticated,
    Unavailable,
    UnknownHost,
)
from app.keys.service import Authenticator, Principal
from app.projects import rates
from app.projects.rates import Standing
from app.schemas import normal
from app.settings import Settings
from app.storage.scope import within
from app.wire.headers import complete
from app.wire.hosts import Names, is_loopback

OPEN_PATHS = frozenset({"/livez", "/readyz", "/v2/health/live", "/v2/health/ready"})
METRICS_PATH = "/metrics"
UPLOAD_PATHS = frozenset({"/v1/datasets"})
JOB_PATHS = frozenset({"/v1/jobs", "/v1/jobs/plan"})
LARGE_PATHS = ("/predict", "/infer", "/trace")
"""How the paths end whose bodies hold rows."""

JSON = b"application/json"
NO_HEADERS: Mapping[bytes, bytes] = {}

SMALL_BYTES = 2**20
"""The limit of bodies that hold neither rows nor parameters."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_TOLD = (
    "ETag",
    "Chainrule-Warnings",
    "Idempotency-Replayed",
    "Inference-Header-Content-Length",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-Id",
)
"""Headers of answers that a page of another origin may read."""


class Gate:
    """ASGI middleware: nothing behind it runs without a key, nor sees the rows of another project."""

    def __init__(self, app: ASGIApp, authenticator: Authenticator, settings: Settings) -> None:
        self.app = app
        self.rates = rates.by_settings(settings)
        self.authenticator = authenticator
        self.settings = settings
        self.open_paths = open_paths(settings)
        self.names = Names(settings.allowed_host, loopback=is_loopback(settings.host))
        self.origins = frozenset(each.encode() for each in settings.cors_origin)
        self.cross_origin = CORSMiddleware(
            self._admit,
            allow_origins=settings.cors_origin,
            allow_methods=("GET", "POST", "PUT", "PATCH", "DELETE"),
            allow_headers=("*",),
            expose_headers=_TOLD,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state: dict[str, Any] = scope.setdefault("state", {})
        headers = state["headers"] = dict(scope["headers"])
        sent_id = headers.get(b"x-request-id", b"")
        request_id = sent_id if _REQUEST_ID.fullmatch(sent_id) else secrets.token_hex(12).encode()
        state["request_id"] = request_id.decode()
        state["standing"] = None
        secure = scope["scheme"] == "https"

        def send_with_headers(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                standing: Standing | None = state["standing"]
                own = message["headers"]
                if standing is not None:
                    own = [*own, *standing.headers()]
                message["headers"] = complete(own, request_id, secure=secure)
            return send(message)

        if self.origins and (b"*" in self.origins or headers.get(b"origin") in self.origins):
            await self.cross_origin(scope, receive, send_with_headers)
        else:
            await self._admit(scope, receive, send_with_headers)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope["state"]
        headers: dict[bytes, bytes] = state["headers"]
        try:
            if scope["path"] not in OPEN_PATHS:
                if not self.names.know(headers.get(b"host", b"")):
                    raise UnknownHost("This server does not answer to that Host; --allowed-host adds a name.")
                if state.get("crowded"):
                    raise Unavailable("This server has as many connections open as it takes.")
            if scope["path"] not in self.open_paths:
                principal = state["principal"] = await self._principal(scope, headers)
                if principal is not None:
                    state["standing"] = self.rates.take(principal, scope["method"], scope["path"])
            if "\0" in scope["path"] or b"%00" in scope["query_string"]:
                raise MalformedRequest("The path or the query holds a NUL character.")  # no database takes it
            limited = self._limited(scope, headers, receive)
        except ChainruleError as error:
            await _refuse(error, scope, send)
            return
        except SQLAlchemyError as error:
            await _refuse(problems.unexpected(error), scope, send)
            return
        app = partial(heads.answer, self.app) if scope["method"] == "HEAD" else self.app
        who: Principal | None = state.get("principal")
        if who is None:
            await app(scope, limited, send)
            return
        with within(who.project_id):
            await app(scope, limited, send)

    async def _principal(self, scope: Scope, headers: dict[bytes, bytes]) -> Principal | None:
        """Who asks; None for one whose key is good for this path, and for nothing else."""
        scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        token = token.strip()
        project = _text(headers.get(b"chainrule-project", b""))
        if not headers.get(b"authorization") and (reader := await self._reader(scope)) is not None:
            return reader
        if scheme.lower() != "bearer" or not token:
            self.authenticator.refusals["missing"] += 1
            raise Unauthenticated
        own = self.settings.metrics_key
        if own is not None and scope["path"] == METRICS_PATH and _same(token, own.get_secret_value()):
            return None
        address = (scope.get("client") or ("", 0))[0]
        try:
            principal = self.authenticator.remembered(token, project) or await run_in_threadpool(
                self.authenticator.check, token, project, address
            )
        except TooManyFailures:
            self.authenticator.refusals["too_many"] += 1
            raise
        if principal is None:
            self.authenticator.refusals["invalid"] += 1
            raise Unauthenticated("This API key is unknown, expired or revoked.")
        return principal

    async def _reader(self, scope: Scope) -> Principal | None:
        """Who reads the documentation by its cookie, which opens nothing else."""
        if scope["path"] not in pages.READABLE or scope["method"] not in ("GET", "HEAD"):
            return None
        value = Request(scope).cookies.get(pages.COOKIE)
        return None if value is None else await run_in_threadpool(self.authenticator.reader, value)

    def _limited(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive) -> Receive:
        # FastAPI would answer this in plain text, before any handler of ours.
        state, limit = scope["state"], body_limit(scope["path"], self.settings, headers)
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > limit:
            raise _too_large(limit)
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            if "cut_off" in state:  # by the connection, which has no more patience
                raise state["cut_off"]
            received += len(message.get("body", b""))
            state["received_bytes"] = received
            if received > limit:  # sent in chunks, without a length
                raise _too_large(limit)
            return message

        return counted


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit} bytes, the limit of this path.")


def open_paths(settings: Settings) -> frozenset[str]:
    """The paths that need no key."""
    return OPEN_PATHS | {METRICS_PATH} if settings.metrics_open else OPEN_PATHS


def _same(token: str, secret: str) -> bool:
    return compare_digest(token.encode(), secret.encode())


def _text(value: bytes) -> str:
    """A header's text: UTF-8, or else what HTTP once meant by such bytes."""
    try:
        return normal(value.decode())
    except UnicodeDecodeError:
        return value.decode("latin-1")


def body_limit(path: str, settings: Settings, headers: Mapping[bytes, bytes] = NO_HEADERS) -> int:
    """The most bytes that a body on this path may have; of a prediction's, JSON fewer than a file of rows."""
    kind = headers.get(b"content-type", JSON).partition(b";")[0].strip().lower()
    if path in UPLOAD_PATHS or (path.endswith("/predict") and kind != JSON):
        return settings.max_upload_bytes
    if path in JOB_PATHS or path.endswith(LARGE_PATHS):
        return settings.max_json_bytes
    return min(SMALL_BYTES, settings.max_json_bytes)


def _is_a_browsers(scope: Scope) -> bool:
    """Whether somebody wants to look at the documentation, and could give a key if asked for it."""
    asked = scope["method"] == "GET" and scope["path"] == pages.PAGE
    return asked and b"text/html" in scope["state"]["headers"].get(b"accept", b"")


async def _refuse(error: ChainruleError, scope: Scope, send: Send) -> None:
    content = problems.body(error, scope["path"], scope["state"]["request_id"])
    kind = problems.media_type(scope["path"]).encode()
    own: list[tuple[bytes, bytes]] = []
    if isinstance(error, Unauthenticated) and _is_a_browsers(scope):
        content, kind = pages.SIGN_IN.encode(), b"text/html; charset=utf-8"
        own = [(b"content-security-policy", pages.SIGN_IN_POLICY.encode())]
    head = [
        (b"content-type", kind),
        *own,
        (b"content-length", str(len(content)).encode()),
        *(((b"connection", b"close"),) if _has_body(scope) else ()),  # it was not read
        *((name.lower().encode(), value.encode()) for name, value in error.headers.items()),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": head})
    await send({"type": "http.response.body", "body": content})


def _has_body(scope: Scope) -> bool:
    headers = scope["state"]["headers"]
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
