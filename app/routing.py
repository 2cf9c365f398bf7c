"""How every route is: strict JSON, room for what it makes, a least role, an entry in the audit log."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from starlette.types import Message

from app import queries, strict_json
from app.audit import recording  # noqa: F401 (sees to it that every change is logged)
from app.audit.acting import Act, acting, asked
from app.errors import UnsupportedMediaType
from app.state import PrincipalDep, StateDep, principal_of, state_of
from app.storage.disk import Disk, is_full
from app.storage.scope import bind_to_whole_server

LEAST_ROLE = {"GET": "read", "HEAD": "read", "OPTIONS": "read"}
"""Every other method needs ``write``, unless its router names a role."""


class Role:
    """A dependency: the least role of a router whose methods do not tell it."""

    def __init__(self, role: str) -> None:
        self.role = role

    def __call__(self, principal: PrincipalDep) -> None:
        principal.need(self.role)


async def of_the_server(principal: PrincipalDep) -> None:
    """An administrator's request about the server itself: it sees every project's rows."""
    principal.need("admin")
    bind_to_whole_server()


def method_role(request: Request, principal: PrincipalDep) -> None:
    """The least role by method, for routers that name no other."""
    principal.need(LEAST_ROLE.get(request.method, "write"))


_UTF_8 = re.compile(r"charset\s*=\s*\"?(utf-?8|us-ascii)\"?\s*(;|$)")


def media_type(request: Request) -> str:
    """The body's type without its parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def need_json(request: Request) -> None:
    """Raise UnsupportedMediaType for a body that is not said to be JSON, is compressed, or in a charset."""
    headers = request.scope["headers"]
    if any(name == b"content-encoding" and value != b"identity" for name, value in headers):
        raise UnsupportedMediaType("Send JSON as it is, without a Content-Encoding.")
    sent_as = next((value for name, value in headers if name == b"content-type"), b"")
    if sent_as == b"application/json":  # as nearly everybody writes it
        return
    if media_type(request) != "application/json":
        raise UnsupportedMediaType("Send application/json.")
    sent = request.headers["content-type"].partition(";")[2].lower()
    if "charset" in sent and not _UTF_8.search(sent):
        raise UnsupportedMediaType("JSON is UTF-8: send application/json without a charset.")


def sent_bytes(request: Request) -> int:
    """What the request says of its body's length; 0 where it says nothing."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else 0


async def need_room(request: Request, state: StateDep) -> None:
    """A dependency of what creates objects: raise DiskFull where the body would touch the disk's reserve."""
    state.disk.require(sent_bytes(request))


def with_room(request: Request, disk: Disk) -> Request:
    """The request, whose body raises DiskFull as soon as what has come of it would touch the reserve."""

    async def receive() -> Message:
        message = await request.receive()
        disk.require(len(message.get("body", b"")))
        return message

    return Request(request.scope, receive)


class StrictRequest(Request):
    """A request whose JSON is RFC 8259's, and nothing beyond it."""

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            self._json = strict_json.loads(await self.body())
        return self._json


class StrictRoute(APIRoute):
    """A route that reads JSON strictly. What has no body, as a deletion, is tried once more on a full disk
    when the ballast has been given up for it.
    """

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        handler = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            queries.check(request)
            if self.body_field is not None:
                need_json(request)
            try:
                return await handler(StrictRequest(request.scope, request.receive))
            except Exception as error:
                bare = not sent_bytes(request) and "transfer-encoding" not in request.headers
                if not (bare and is_full(error) and state_of(request).disk.drop_ballast()):
                    raise
            return await handler(StrictRequest(request.scope, request.receive))

        async def audited(request: Request) -> Response:
            with acting(_act_of(request)):
                response = await strictly(request)
            if response.status_code == 204:
                del response.headers["content-type"]  # of nothing
            return response

        return strictly if self.methods == {"GET"} else audited


def _act_of(request: Request) -> Act:
    """What this request does, for the audit log."""
    principal = principal_of(request)
    return asked(
        request.method,
        request.scope["route"].path_format,
        request.path_params,
        project_id=principal.project_id,
        role=principal.role,
        key_id=principal.key_id,
        request_id=request.scope["state"]["request_id"],
    )


PROBLEM = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "Any other refusal; the problem says why.", **PROBLEM},
    "5XX": {"description": "The server met an unexpected condition.", **PROBLEM},
}


def router(prefix: str, tag: str, role: str | None = None) -> APIRouter:
    """A feature's router: strict JSON, problems, and a least role (by method unless given).

    With the role ``admin`` it is about the server, and sees the rows of every project.
    """
    check: Callable[..., Any] = method_role
    if role is not None:
        check = of_the_server if role == "admin" else Role(role)
    return APIRouter(
        prefix=prefix,
        tags=[tag],
        route_class=StrictRoute,
        dependencies=[Depends(check)],
        responses=PROBLEMS,
    )
