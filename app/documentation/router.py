"""Reading the documentation in a browser. Not in OpenAPI, which is for programs."""

from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from app.dependencies import principal_of, state_of
from app.documentation import pages
from app.keys import cookies
from app.keys import service as keys
from app.storage.scope import whole_server

_KEPT = {"Cache-Control": "private, max-age=86400"}
_ASSETS = pages.assets()


async def _page(request: Request) -> Response:
    """The page; with POST, which needs a key in its header, a cookie that opens it from then on."""
    if request.method == "POST":
        return await _signed_in(request)
    return HTMLResponse(pages.READING, headers={"Content-Security-Policy": pages.READING_POLICY})


async def _signed_in(request: Request) -> Response:
    state, key_id = state_of(request), principal_of(request).key_id

    def make() -> str:
        # An administrator's key is of another project than the one that it acts in.
        with whole_server(), state.database.reading() as session:
            key, _ = keys.get(session, key_id)
            return cookies.make(key.id, key.secret_sha256)

    value = await run_in_threadpool(make)
    response = Response(status_code=204)
    for path in (pages.PAGE, pages.DOCUMENT):  # a browser sends it nowhere else
        response.set_cookie(
            pages.COOKIE,
            value,
            max_age=cookies.LASTS_SECONDS,
            path=path,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
    return response


async def _start(_: Request) -> Response:
    return Response(pages.STARTER, media_type="text/javascript")


async def _document(request: Request) -> Response:
    """OpenAPI's, in a thread: others are answered meanwhile."""
    content = await run_in_threadpool(lambda: to_json(request.app.openapi()))
    return Response(content, media_type="application/json")


async def _asset(request: Request) -> Response:
    return FileResponse(_ASSETS[request.url.path], headers=_KEPT)


routes = [
    Route(pages.PAGE, _page, methods=["GET", "POST"]),
    Route(pages.START, _start),
    Route(pages.DOCUMENT, _document),
    *(Route(path, _asset) for path in _ASSETS),
]
