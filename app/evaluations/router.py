"""Evaluations that are kept."""

from typing import Annotated, Any

from fastapi import Depends, Path, Response

from app.dependencies import (
    ModelId,
    OnceDep,
    PrincipalDep,
    StateDep,
    WindowDep,
    created,
    listed,
    need_room,
    router,
)
from app.evaluations import service
from app.evaluations.schemas import EvaluationCreate, KeptEvaluation
from app.keys.idempotency import Answered
from app.models import service as models
from app.openapi import LABEL_FILTER, creates, refused
from app.schemas import Page
from app.storage.paging import page
from app.storage.tables import Evaluation

routes = router("/v1/models", "models")

EvaluationId = Annotated[
    str,
    Path(max_length=64, description="The evaluation's id.", examples=["evl_0n5c1k4v8d2s6m9q3x7z1b5f"]),
]


@routes.post(
    "/{model_id}/evaluations",
    status_code=201,
    response_model=KeptEvaluation,
    summary="Evaluate a model, and keep that",
    responses={
        **creates(
            201,
            "It is measured and kept.",
            "There are no rows to measure it on, or as many evaluations of the model as may be.",
        ),
        410: refused("The dataset's rows have been deleted."),
    },
    dependencies=[Depends(need_room)],
)
def create(
    model_id: ModelId, body: EvaluationCreate, state: StateDep, principal: PrincipalDep, once: OnceDep
) -> Response:
    """Cost and measures, ROC and calibration points, the costliest rows, and what each column is worth.

    On a part of the training dataset or of a stored split, or on another dataset.
    """

    def measure() -> Answered:
        model = state.warm.load(principal, model_id)
        found = service.measure(state.database, state.blobs, state.cache, principal, model, body)
        with once.writing() as session:
            row = service.keep(session, principal, model, body, found)
            place = f"/v1/models/{row.model_id}/evaluations/{row.id}"
            return once.answer(session, place, service.answer(row))

    return created(once.run(body.as_sent, measure))


@routes.get(
    "/{model_id}/evaluations",
    response_model=Page[KeptEvaluation],
    summary="List evaluations",
    response_description="A page of them.",
    openapi_extra=LABEL_FILTER,
)
def listing(model_id: ModelId, state: StateDep, principal: PrincipalDep, window: WindowDep) -> dict[str, Any]:
    """Evaluations of this model that are kept, newest first."""
    with state.database.reading() as session:
        model = models.get(session, principal, model_id)
        rows, more = page(session, Evaluation, principal.project_id, window.narrowed(model_id=model.id))
        return listed(service.answers(rows), more)


@routes.get(
    "/{model_id}/evaluations/{evaluation_id}",
    response_model=KeptEvaluation,
    summary="Read an evaluation",
    response_description="The evaluation.",
)
def read(
    model_id: ModelId, evaluation_id: EvaluationId, state: StateDep, principal: PrincipalDep
) -> dict[str, Any]:
    """As it was measured; datasets and splits may have gone since."""
    with state.database.reading() as session:
        model = models.get(session, principal, model_id)
        return service.answer(service.get(session, principal, model, evaluation_id))


@routes.delete(
    "/{model_id}/evaluations/{evaluation_id}",
    status_code=204,
    summary="Delete an evaluation",
    response_description="It is deleted.",
)
def delete(model_id: ModelId, evaluation_id: EvaluationId, state: StateDep, principal: PrincipalDep) -> None:
    """The model stays."""
    with state.database.writing() as session:
        model = models.get(session, principal, model_id)
        session.delete(service.get(session, principal, model, evaluation_id))
