"""Predicting over HTTP. The hot path: no dependencies, no thread hop, and mostly no database."""

import os
from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse

from app import queries, strict_json
from app.dependencies import (
    PROBLEMS,
    State,
    media_type,
    need_json,
    principal_of,
    sent_bytes,
    state_of,
    with_room,
)
from app.errors import Fault, Invalid, UnsupportedMediaType
from app.keys.service import Principal
from app.models.warm import Loaded
from app.predictions import bodies, files, matrices, media, service
from app.predictions.schemas import PredictAnswer, PredictRequest
from app.validation import invalid


class DirectRoute(APIRoute):
    """A route whose endpoint is given the request and nothing else: dependencies would cost a fifth."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        endpoint: Callable[[Request], Awaitable[Response]] = self.endpoint
        return endpoint


routes = APIRouter(prefix="/v1/models", tags=["predictions"], responses=PROBLEMS, route_class=DirectRoute)

SMALL_BODY = 64 * 1024
"""Bodies up to this size are read on the event loop: a hop to a thread costs more."""

SMALL_WORK = 2_000_000
"""Answers that take up to this much `service.work` are made there too: 10 to 30 ms at most."""

WRAPPED = "Expected an object with rows or inputs, not a list."

_shape = TypeAdapter(PredictRequest)


@routes.post(
    "/{model_id}/predict",
    response_model=PredictAnswer,
    responses=bodies.RESPONSES,
    summary="Predict",
    response_description="An answer for each row, in their order.",
    openapi_extra={
        "parameters": [
            {
                "name": "model_id",
                "in": "path",
                "required": True,
                "description": "The model's id, or an alias of it.",
                "schema": {
                    "type": "string",
                    "maxLength": 64,
                    "examples": ["mdl_0n5c1k4v8d2s6m9q3x7z1b5f"],
                },
            }
        ],
        "requestBody": bodies.REQUEST,
    },
)
async def predict(request: Request) -> Response:
    """Answers for named raw rows (the model's own encoding is applied), for encoded inputs, or for a file.

    A file of rows (CSV, JSON Lines, Parquet, Arrow, NPY) is answered with a file, in the type that Accept
    names or in its own: its columns, then `prediction` and `probability_<class>`. NPY has the raw numbers of
    the model's inputs, in their order, and gets the probabilities, or the predictions, alone.
    """
    principal = principal_of(request)
    principal.need("predict")
    queries.check(request)
    state = state_of(request)
    try:
        need_json(request)
    except UnsupportedMediaType:
        if (kind := media_type(request)) == media.JSON:
            raise
        return await _from_file(request, principal, state, kind)
    body = await _body_of(request)
    model = await state.warm.get(principal, request.path_params["model_id"])
    most_rows = state.settings.max_predict_rows
    if len(body) > SMALL_BODY:
        answer = await run_in_threadpool(_answer, model, body, most_rows)
    elif service.work(model, asked := _read(body)) > SMALL_WORK:
        answer = await run_in_threadpool(service.predict, model, asked, most_rows)
    else:
        answer = service.predict(model, asked, most_rows)
    return Response(answer, media_type="application/json")


async def _body_of(request: Request) -> bytes:
    """As `Request.body`, whose generators take as long as reading the JSON does."""
    parts = []
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _from_file(request: Request, principal: Principal, state: State, kind: str) -> Response:
    if kind not in media.READ:
        raise UnsupportedMediaType(f"Send {media.JSON}, or a file of rows: {', '.join(media.READ)}.")
    answer_type = media.answer_type(request.headers.get("accept"), kind)
    model = await state.warm.get(principal, request.path_params["model_id"])
    settings = state.settings
    parts = with_room(request, state.disk).stream()
    if kind == answer_type == media.NPY and 0 < sent_bytes(request) <= settings.max_json_bytes:
        content = await request.body()
        answer = await run_in_threadpool(matrices.answer, model, content)
        if answer is not None:
            return Response(answer, media_type=media.NPY)
        parts = request.stream()  # once more, from memory
    with state.admission.under_way(principal.project_id), files.Scratch(settings.incoming_dir) as scratch:
        with scratch.body.open("wb") as body:
            async for block in parts:
                body.write(block)
            state.disk.require(2 * body.tell())  # the answer has the rows once more
        async with state.admission.turn(principal.project_id):
            answered = await run_in_threadpool(files.answer, state.jail, model, scratch, answer_type)
        file = answered.opened()
    headers = {
        "Content-Length": str(os.fstat(file.fileno()).st_size),
        "Content-Disposition": f'attachment; filename="predictions.{media.SUFFIXES[answer_type]}"',
    }
    if answered.warnings:
        headers[bodies.WARNINGS] = ", ".join(f"{code}={count}" for code, count in answered.warnings.items())
    return StreamingResponse(files.blocks(file), headers=headers, media_type=answer_type)


def _answer(model: Loaded, body: bytes, most_rows: int) -> bytes:
    return service.predict(model, _read(body), most_rows)


def _read(body: bytes) -> PredictRequest:
    sent = strict_json.loads(body)
    if isinstance(sent, list):
        raise Invalid(
            f"body: {WRAPPED}", Fault("body", "wrong_type", WRAPPED, '{"rows": [{"column": value}]}')
        )
    try:
        return _shape.validate_python(sent)
    except ValidationError as error:
        raise invalid(error.errors(include_url=False), sent, ("body",), "prediction") from None
