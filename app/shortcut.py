"""A way past what FastAPI does before and after each route: it takes as long as a small prediction does."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app import problems

TRACED = "fastapi.telemetry"
"""In the scope of a request that is traced: FastAPI's router has to name the route to it."""


class Shortcut:
    """ASGI middleware. ``routes`` are those whose endpoint takes the request and gives the response: no
    dependencies, nothing for exit stacks to close. They stay in the router, too: it has the OpenAPI document
    from there, and answers whatever is not exactly theirs, as a wrong method."""

    def __init__(self, app: ASGIApp, routes: Sequence[Route]) -> None:
        self.app = app
        self.routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_direct = scope["type"] == "http" and TRACED not in scope
        for route in self.routes if is_direct else ():
            match, found = route.matches(scope)
            if match is Match.FULL:
                scope.update(found)
                request = Request(scope, receive, send)
                try:
                    response = await route.endpoint(request)
                except Exception as error:
                    response = await problems.answer(request, error)
                await response(scope, receive, send)
                return
        await self.app(scope, receive, send)
