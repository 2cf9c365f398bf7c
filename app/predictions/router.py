"""Predicting over HTTP. The hot path: no dependencies, no thread hop, and mostly no database."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from app import queries, strict_json
from app.dependencies import PROBLEMS, need_json, principal_of, state_of
from app.models.warm import Loaded
from app.predictions import service
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

_shape = TypeAdapter(PredictRequest)


@routes.post(
    "/{model_id}/predict",
    response_model=PredictAnswer,
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
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/PredictRequest"}}},
        },
    },
)
async def predict(request: Request) -> Response:
    """Answers for named raw rows (the model's own encoding is applied), or for encoded inputs."""
    principal = principal_of(request)
    principal.need("predict")
    queries.check(request)
    need_json(request)
    state = state_of(request)
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


def _answer(model: Loaded, body: bytes, most_rows: int) -> bytes:
    return service.predict(model, _read(body), most_rows)


def _read(body: bytes) -> PredictRequest:
    sent = strict_json.loads(body)
    try:
        return _shape.validate_python(sent)
    except ValidationError as error:
        raise invalid(error.errors(include_url=False), sent, ("body",), "prediction") from None
