"""The Open Inference Protocol, version 2. Errors are `{"error": …}` here: see `problems`."""

from typing import Annotated, Any

from fastapi import Path, Request, Response
from starlette.concurrency import run_in_threadpool

import app
from app.dependencies import PrincipalDep, State, StateDep, router
from app.errors import MalformedRequest, UnsupportedMediaType
from app.keys.service import Principal
from app.open_inference import service
from app.open_inference.schemas import InferAnswer, ModelMetadata, ReadyAnswer, ServerMetadata
from app.predictions import service as predictions

routes = router("/v2", "open inference", role="predict")

SMALL_BODY = 16 * 1024
"""Bodies up to this size are answered on the event loop: a hop to a thread costs more."""

SMALL_WORK = 2_000_000
"""And, on it too, what takes up to so many multiplications."""

LENGTH = "Inference-Header-Content-Length"

ModelId = Annotated[
    str,
    Path(
        max_length=64,
        description="The model's id, or an alias of it.",
        examples=["mdl_0n5c1k4v8d2s6m9q3x7z1b5f"],
    ),
]
Version = Annotated[
    str, Path(max_length=16, description="1: a model never changes, and has no other.", examples=["1"])
]

_INFER: dict[str, Any] = {
    "parameters": [
        {
            "name": LENGTH,
            "in": "header",
            "required": False,
            "description": "Bytes of the JSON, where binary tensors follow it.",
            "schema": {"type": "integer", "minimum": 0, "examples": [412]},
        }
    ],
    "requestBody": {
        "required": True,
        "description": "JSON, whatever its Content-Type; binary tensors may follow it.",
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/InferRequest"}},
            "application/octet-stream": {
                "schema": {"type": "string", "contentMediaType": "application/octet-stream"}
            },
        },
    },
}
_INFERRED: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "application/octet-stream": {
                "schema": {"type": "string", "contentMediaType": "application/octet-stream"}
            }
        },
        "headers": {
            LENGTH: {
                "description": "Bytes of the JSON, where binary tensors follow it.",
                "schema": {"type": "integer", "examples": [412]},
            }
        },
    }
}


@routes.get(
    "", response_model=ServerMetadata, summary="Describe the server", response_description="What it is."
)
async def server() -> dict[str, Any]:
    """Its name, version and extensions, in the protocol's terms."""
    return {"name": "chainrule", "version": app.__version__, "extensions": ["binary_tensor_data"]}


@routes.get(
    "/models/{model_id}",
    response_model=ModelMetadata,
    summary="Describe a model's tensors",
    response_description="Its inputs and outputs.",
)
async def metadata(model_id: ModelId, state: StateDep, principal: PrincipalDep) -> dict[str, Any]:
    """One input for each raw column: the encoding is the model's own business."""
    return service.metadata(await state.warm.get(principal, model_id))


@routes.get(
    "/models/{model_id}/versions/{version}",
    response_model=ModelMetadata,
    summary="Describe a version's tensors",
    response_description="Its inputs and outputs.",
)
async def version_metadata(
    model_id: ModelId, version: Version, state: StateDep, principal: PrincipalDep
) -> dict[str, Any]:
    """As without the version."""
    service.check_version(version)
    return service.metadata(await state.warm.get(principal, model_id))


@routes.get(
    "/models/{model_id}/ready",
    response_model=ReadyAnswer,
    summary="Is a model ready?",
    response_description="It is ready.",
)
async def ready(model_id: ModelId, state: StateDep, principal: PrincipalDep) -> dict[str, bool]:
    """A model that is there is ready: it is loaded when it is asked for."""
    await state.warm.get(principal, model_id)
    return {"ready": True}


@routes.get(
    "/models/{model_id}/versions/{version}/ready",
    response_model=ReadyAnswer,
    summary="Is a version ready?",
    response_description="It is ready.",
)
async def version_ready(
    model_id: ModelId, version: Version, state: StateDep, principal: PrincipalDep
) -> dict[str, bool]:
    """As without the version."""
    service.check_version(version)
    return await ready(model_id, state, principal)


@routes.post(
    "/models/{model_id}/infer",
    response_model=InferAnswer,
    responses=_INFERRED,
    summary="Infer",
    response_description="The outputs, in JSON or in binary as was asked.",
    openapi_extra=_INFER,
)
async def infer(model_id: ModelId, request: Request, state: StateDep, principal: PrincipalDep) -> Response:
    """Raw columns in, outputs out: as a prediction, in the protocol's tensors."""
    return await _inferred(model_id, request, state, principal)


@routes.post(
    "/models/{model_id}/versions/{version}/infer",
    response_model=InferAnswer,
    responses=_INFERRED,
    summary="Infer with a version",
    response_description="The outputs, in JSON or in binary as was asked.",
    openapi_extra=_INFER,
)
async def version_infer(
    model_id: ModelId, version: Version, request: Request, state: StateDep, principal: PrincipalDep
) -> Response:
    """As without the version."""
    service.check_version(version)
    return await _inferred(model_id, request, state, principal)


async def _inferred(model_id: str, request: Request, state: State, principal: Principal) -> Response:
    if request.headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedMediaType("Send the body as it is, not compressed.")
    length = request.headers.get(LENGTH)
    if length is not None and not (length.isascii() and length.isdigit() and len(length) < 16):
        raise MalformedRequest(f"{LENGTH} is not a number of bytes.")
    header_size = None if length is None else int(length)
    body = await request.body()
    model = await state.warm.get(principal, model_id)
    most_rows = state.settings.max_predict_rows
    if len(body) > SMALL_BODY:
        asked = await run_in_threadpool(service.read, model, body, header_size, most_rows)
    else:
        asked = service.read(model, body, header_size, most_rows)
    if len(body) > SMALL_BODY or predictions.work_of(model, len(asked.rows)) > SMALL_WORK:
        answered = await run_in_threadpool(service.answer, model, asked)
    else:
        answered = service.answer(model, asked)
    if answered.header_size is None:
        return Response(answered.content, media_type="application/json")
    return Response(
        answered.content,
        headers={LENGTH: str(answered.header_size)},
        media_type="application/octet-stream",
    )
