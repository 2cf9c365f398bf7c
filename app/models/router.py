"""Models: what jobs leave."""

from typing import Annotated, Any

from fastapi import Path, Query

from app.dependencies import PrincipalDep, StateDep, WindowDep, listed, rename, router
from app.models import service
from app.models.schemas import (
    EvaluateRequest,
    EvaluationAnswer,
    ModelAnswer,
    ParametersAnswer,
    TraceAnswer,
    TraceRequest,
)
from app.schemas import Page, Renamed
from app.storage.paging import Window, page
from app.storage.tables import Model

routes = router("/v1/models", "models")
metadata_routes = router("/v1/models", "models", role="predict")
reading_routes = router("/v1/models", "models", role="read")

ModelId = Annotated[str, Path(max_length=64, description="The model's id.")]


@routes.get("", response_model=Page[ModelAnswer], summary="List models")
def listing(
    state: StateDep,
    principal: PrincipalDep,
    window: WindowDep,
    job_id: Annotated[str | None, Query(max_length=64, description="Only models of this job.")] = None,
) -> dict[str, Any]:
    """Models of this project, newest first."""
    if job_id is not None:
        equal = {**window.equal, "job_id": job_id}
        window = Window(window.limit, window.after, window.order, equal, window.labels)
    with state.database.reading() as session:
        rows, more = page(session, Model, principal.project_id, window)
        return listed([service.answer(row) for row in rows], more)


@metadata_routes.get("/{model_id}", response_model=ModelAnswer, summary="Read a model")
def read(model_id: ModelId, state: StateDep, principal: PrincipalDep) -> dict[str, Any]:
    """Its inputs, outputs, classes, metrics and the hash of its parameters."""
    with state.database.reading() as session:
        return service.answer(service.get(session, principal, model_id))


@routes.patch("/{model_id}", response_model=ModelAnswer, summary="Rename a model")
def change(model_id: ModelId, body: Renamed, state: StateDep, principal: PrincipalDep) -> dict[str, Any]:
    """Change its name or metadata; its parameters never change."""
    with state.database.writing() as session:
        row = service.get(session, principal, model_id, lock=True)
        rename(row, body)
        return service.answer(row)


@routes.delete("/{model_id}", status_code=204, summary="Delete a model")
def delete(model_id: ModelId, state: StateDep, principal: PrincipalDep) -> None:
    """Predictions stop within a second."""
    with state.database.writing() as session:
        service.delete(session, state.blobs, principal, model_id)


@routes.get("/{model_id}/parameters", response_model=ParametersAnswer, summary="Read the parameters")
def parameters(model_id: ModelId, state: StateDep, principal: PrincipalDep) -> dict[str, Any]:
    """W^(l) and b^(l), l = 1 … n-1, in the paper's shapes."""
    return service.parameters(state.warm.load(principal, model_id))


@reading_routes.post("/{model_id}/evaluate", response_model=EvaluationAnswer, summary="Evaluate a model")
def evaluate(
    model_id: ModelId, body: EvaluateRequest, state: StateDep, principal: PrincipalDep
) -> dict[str, Any]:
    """Cost and measures on a part of the training dataset, or on another dataset."""
    model = state.warm.load(principal, model_id)
    return service.evaluate(state.database, state.blobs, state.cache, principal, model, body)


@reading_routes.post("/{model_id}/trace", response_model=TraceAnswer, summary="Follow examples through")
def trace(model_id: ModelId, body: TraceRequest, state: StateDep, principal: PrincipalDep) -> dict[str, Any]:
    """Every z, a, f', delta, gradient and update of one iteration, with the paper's equation numbers."""
    return service.trace(state.warm.load(principal, model_id), body)
