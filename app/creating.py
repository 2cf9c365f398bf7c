"""Requests that create, which may be sent again with the same Idempotency-Key."""

from collections.abc import AsyncGenerator, Mapping
from functools import cache, partial
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from pydantic import TypeAdapter

from app.errors import Fault, InFlight, Invalid
from app.keys.idempotency import Answered, Once
from app.state import PrincipalDep, StateDep


@cache
def _shape(model: Any) -> TypeAdapter[Any]:
    return TypeAdapter(model)


def _render(model: Any, content: Mapping[str, Any]) -> str:
    """The JSON that FastAPI would answer with."""
    shape = _shape(model)
    return shape.dump_json(shape.validate_python(content), by_alias=True).decode()


async def _once(
    request: Request,
    state: StateDep,
    principal: PrincipalDep,
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            min_length=1,
            max_length=255,
            pattern=r"^[ -~]+$",
            description="Your own name for this request, as a UUID, to send it again without harm: for 24 "
            "hours the same request with the same key gets the first answer, and creates nothing more.",
            examples=["6f1c2a4e-9d53-4b8e-8a36-0c7d5b1f2e94"],
        ),
    ] = None,
) -> AsyncGenerator[Once]:
    route, path = request.scope["route"], request.scope["path"]
    render = partial(_render, route.response_model)
    once = Once(state.database, principal.project_id, path, key, route.status_code, render)
    if key is None:
        yield once
        return
    if len(request.headers.getlist("idempotency-key")) > 1:
        message = "Send one key."
        raise Invalid(f"Idempotency-Key: {message}", Fault("Idempotency-Key", "invalid", message))
    place = (principal.project_id, path, key)
    if place in state.in_flight:
        raise InFlight("A request with this Idempotency-Key is being answered. Ask again for its answer.")
    state.in_flight.add(place)
    try:
        yield once
    finally:
        state.in_flight.discard(place)
        state.traffic.replays += once.replayed


# Over before the answer is sent: who has it may ask again at once.
OnceDep = Annotated[Once, Depends(_once, scope="function")]
"""For a POST that creates: `Once.run` gives its answer, `created` sends it, as its route says."""


def created(answered: Answered) -> Response:
    """The answer, first or once more."""
    headers = {"Location": answered.location}
    if answered.replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(answered.body, answered.status, headers, media_type="application/json")
