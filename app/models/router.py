"""Models: what jobs leave."""

from typing import Annotated, Any

from fastapi import Query

from app.dependencies import ModelId, PrincipalDep, StateDep, WindowDep, listed, rename, router
from app.models import evaluating, service
from app.models.schemas import (
    EvaluateRequest,
    EvaluationAnswer,
    ModelAnswer,
    ParametersAnswer,
)
from app.models.tracing import TraceAnswer, TraceRequest
from app.openapi import LABEL_FILTER, refused
from app.schemas import Page, Renamed
from app.storage.paging import page
from app.storage.tables import Model

routes = router("/v1/models", "models")
metadata_routes = router("/v1/models", "models", role="predict")
reading_routes = router("/v1/models", "models", role="read")


@routes.get(
    "",
    response_model=Page[ModelAnswer],
    summary="List models",
    response_description="A page of them.",
    openapi_extra=LABEL_FILTER,
)
def listing(
    state: StateDep,
    principal: PrincipalDep,
    window: WindowDep,
    job_id: Annotated[
        str | None,
        Query(
            max_length=64,
            description="Only models of this job.",
            examples=["job_0n5c1k4v8d2s6m9q3x7z1b5f"],
        ),
    ] = None,
) -> dict[str, Any]:
    """Models of this project, newest first."""
    if job_id is not None:
        window = window.narrowed(job_id=job_id)
    with state.database.reading() as session:
        rows, more = page(session, Model, principal.project_id, window)
        return listed(service.answers(session, rows), more)


@metadata_routes.get(
    "/{model_id}", response_model=ModelAnswer, summary="Read a model", response_description="The model."
)
def read(model_id: ModelId, state: StateDep, principal: PrincipalDep) -> dict[str, Any]:
    """Its inputs, outputs, classes, metrics and the hash of its parameters."""
    with state.database.reading() as session:
        return service.answer(session, service.get(session, principal, model_id))


@routes.patch(
    "/{model_id}",
    response_model=ModelAnswer,
    summary="Rename a model",
    response_description="The model as it is now.",
)
def change(model_id: ModelId, body: Renamed, state: StateDep, principal: PrincipalDep) -> dict[str, Any]:
    """Change its name or metadata; its parameters never change."""
    with state.database.writing() as session:
        row = service.get(session, principal, model_id, lock=True)
        rename(row, body)
        return service.answer(session, row)


@routes.delete(
    "/{model_id}",
    status_code=204,
    summary="Delete a model",
    response_description="It is deleted.",
    responses={409: refused("It has aliases; the problem names them.")},
)
def delete(model_id: ModelId, state: StateDep, principal: PrincipalDep) -> None:
    """Predictions stop within a second."""
    with state.database.writing() as session:
        service.delete(session, state.blobs, principal, model_id)


@routes.get(
    "/{model_id}/parameters",
    response_model=ParametersAnswer,
    summary="Read the parameters",
    response_description="Every weight and bias.",
)
def parameters(model_id: ModelId, state: StateDep, principal: PrincipalDep) -> dict[str, Any]:
    """W^(l) and b^(l), l = 1 … n-1, in the paper's shapes."""
    return service.parameters(state.warm.load(principal, model_id))


@reading_routes.post(
    "/{model_id}/evaluate",
    response_model=EvaluationAnswer,
    summary="Evaluate a model",
    response_description="How good it is on these rows.",
    responses={
        409: refused("There are no rows to measure it on."),
        410: refused("The dataset's rows have been deleted."),
    },
)
def evaluate(
    model_id: ModelId, body: EvaluateRequest, state: StateDep, principal: PrincipalDep
) -> dict[str, Any]:
    """Cost and measures on a part of the training dataset or of a stored split, or on another dataset."""
    model = state.warm.load(principal, model_id)
    return evaluating.evaluate(state.database, state.blobs, state.cache, principal, model, body)


@reading_routes.post(
    "/{model_id}/trace",
    response_model=TraceAnswer,
    summary="Follow examples through",
    response_description="Every number of one iteration.",
)
def trace(model_id: ModelId, body: TraceRequest, state: StateDep, principal: PrincipalDep) -> dict[str, Any]:
    """Every z, a, f', delta, gradient and update of one iteration, with the paper's equation numbers."""
    return service.trace(state.warm.load(principal, model_id), body)
