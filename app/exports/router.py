"""Models as files: out in the format that is asked for, and in again."""

from functools import partial
from typing import Annotated

from fastapi import Depends, Query, Request, Response
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool

from app.dependencies import (
    ModelId,
    OnceDep,
    PrincipalDep,
    StateDep,
    created,
    media_type,
    need_room,
    router,
    with_room,
)
from app.errors import TooLarge, UnsupportedMediaType
from app.exports import formats
from app.exports.service import as_sent
from app.models.schemas import ModelAnswer
from app.openapi import creates, refused
from app.schemas import Name

routes = router("/v1/models", "models")
import_routes = router("/v1/models", "models")

ROOM_FOR_A_HEADER = 64 * 2**20
KINDS = {"application/json": "json", "application/octet-stream": "safetensors"}
MODEL_FILE = {"$ref": "#/components/schemas/ModelFile"}
_BYTES = {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}}


@routes.get(
    "/{model_id}/export",
    response_class=Response,
    summary="Take a model home",
    responses={
        200: {
            "description": "The file.",
            "headers": {
                "Chainrule-Proof": {
                    "description": "How many rows whose answers are known it was tried on, and in what.",
                    "required": True,
                    "schema": {"type": "string", "examples": ["64 rows in onnxruntime 1.32.0"]},
                }
            },
            "content": {
                "application/octet-stream": _BYTES,
                "application/json": {"schema": MODEL_FILE},
                **{
                    each.media_type: {"schema": {"type": "string"}}
                    for each in formats.FORMATS.values()
                    if each.media_type.startswith("text/") or each.media_type.endswith("sql")
                },
            },
        },
        409: refused("In this format the model would answer something else; the problem names the row."),
    },
)
def export(
    model_id: ModelId,
    state: StateDep,
    principal: PrincipalDep,
    format: Annotated[  # noqa: A002 (the query's own word)
        formats.Name,
        Query(
            description="safetensors, npz and json have the parameters, and the encoding as it is stored. "
            "onnx takes named raw columns. python, javascript and sql are programs without dependencies.",
            examples=["onnx"],
        ),
    ] = "safetensors",
) -> Response:
    """A file that needs no Chainrule to be of use. It is tried on rows whose answers are known before."""
    made = state.exports.write(principal, model_id, format)
    headers = {"Chainrule-Proof": made.proof, "X-Content-Type-Options": "nosniff"}
    return FileResponse(made.path, headers=headers, media_type=made.media_type, filename=made.name)


@import_routes.post(
    "",
    status_code=201,
    response_model=ModelAnswer,
    summary="Bring a model back",
    responses={
        **creates(201, "It is kept."),
        403: refused(
            "The key's role is too low; or the project has as much as it may, and quota names the limit."
        ),
    },
    dependencies=[Depends(need_room)],
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "An export of this server's, or another's: safetensors, or JSON.",
            "content": {
                "application/octet-stream": _BYTES,
                "application/json": {"schema": MODEL_FILE},
            },
        }
    },
)
async def create(
    request: Request,
    state: StateDep,
    principal: PrincipalDep,
    once: OnceDep,
    name: Annotated[
        Name | None, Query(description="Your name for it, instead of the file's.", examples=["penguins"])
    ] = None,
) -> Response:
    """Keep the model of a safetensors or JSON export. It answers as it did, to the bit, and has no job."""
    kind = KINDS.get(media_type(request))
    if kind is None:
        raise UnsupportedMediaType(f"Send {' or '.join(KINDS)}.")
    upload = state.exports.place()
    try:
        settings = state.settings
        most = settings.max_json_bytes if kind == "json" else ROOM_FOR_A_HEADER + 8 * settings.max_parameters
        with upload.open("wb") as target:
            async for block in with_room(request, state.disk).stream():
                target.write(block)  # to the page cache: a hop to a thread would cost more
                if target.tell() > most:
                    raise TooLarge(f"A model in this format has at most {most} bytes here.")
        sent = as_sent(upload, kind, name)
        create = partial(state.exports.read, principal, upload, kind, name, once)
        return created(await run_in_threadpool(once.run, sent, create))
    finally:
        upload.unlink(missing_ok=True)
