"""HEAD, for whatever takes GET: the same answer without its body (RFC 9110, section 9.3.2)."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

IGNORED = frozenset({b"range"})
"""Headers that have a meaning for GET alone."""


async def answer(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Let the application answer GET, and send the head of that.

    The answer is over with its head: who would stream, or wait for more, sees the client go.
    """
    asked = {
        **scope,
        "method": "GET",
        "headers": [each for each in scope["headers"] if each[0] not in IGNORED],
        # A file that we are to send is not even opened.
        "extensions": {**(scope.get("extensions") or {}), "http.response.pathsend": {}},
    }

    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body", "body": b""})

    try:
        await app(asked, receive, send_head)
    finally:
        scope.update({name: asked[name] for name in ("route", "path_params") if name in asked})
