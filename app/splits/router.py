"""Stored splits."""

from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Path, Response

from app.dependencies import (
    OnceDep,
    PrincipalDep,
    StateDep,
    WindowDep,
    created,
    listed,
    need_room,
    rename,
    router,
)
from app.openapi import LABEL_FILTER, creates, refused
from app.schemas import Page, Renamed
from app.splits import service
from app.splits.schemas import SplitAnswer, SplitCreate, StoredSplitAnswer
from app.storage.paging import page
from app.storage.tables import Split

routes = router("/v1/splits", "datasets")

SplitId = Annotated[
    str, Path(max_length=64, description="The split's id.", examples=["split_0n5c1k4v8d2s6m9q3x7z1b5f"])
]
GONE: dict[int | str, dict[str, Any]] = {410: refused("The dataset's rows have been deleted.")}


@routes.post(
    "",
    status_code=201,
    response_model=StoredSplitAnswer,
    summary="Store a split",
    responses={
        **creates(201, "It is stored."),
        404: refused("There is no such dataset in this project."),
        **GONE,
    },
    dependencies=[Depends(need_room)],
)
def create(body: SplitCreate, state: StateDep, principal: PrincipalDep, once: OnceDep) -> Response:
    """Part a dataset's rows once, for jobs that are to be compared: each names it in training.split_id."""
    store = partial(service.create, state.database, state.blobs, state.settings, principal, body, once)
    return created(once.run(body.as_sent, store))


@routes.get(
    "",
    response_model=Page[StoredSplitAnswer],
    summary="List splits",
    response_description="A page of them.",
    openapi_extra=LABEL_FILTER,
)
def listing(state: StateDep, principal: PrincipalDep, window: WindowDep) -> dict[str, Any]:
    """Splits of this project, newest first."""
    with state.database.reading() as session:
        rows, more = page(session, Split, principal.project_id, window)
        return listed([service.answer(row) for row in rows], more)


@routes.get(
    "/{split_id}",
    response_model=StoredSplitAnswer,
    summary="Read a split",
    response_description="The split.",
)
def read(split_id: SplitId, state: StateDep, principal: PrincipalDep) -> dict[str, Any]:
    """What it was drawn from, and how many rows each part has."""
    with state.database.reading() as session:
        return service.answer(service.get(session, principal, split_id))


@routes.get(
    "/{split_id}/rows",
    response_model=SplitAnswer,
    summary="Read a split's rows",
    response_description="Row numbers, by part.",
    responses=GONE,
)
def rows(split_id: SplitId, state: StateDep, principal: PrincipalDep) -> dict[str, Any]:
    """The row numbers of each part: what to train another library on, to compare it fairly."""
    with state.database.reading() as session:
        split = service.get(session, principal, split_id)
    parts = service.parts_of(state.database, state.blobs, state.cache, split)
    return {name: each.tolist() for name, each in parts._asdict().items()}


@routes.patch(
    "/{split_id}",
    response_model=StoredSplitAnswer,
    summary="Rename a split",
    response_description="The split as it is now.",
)
def change(split_id: SplitId, body: Renamed, state: StateDep, principal: PrincipalDep) -> dict[str, Any]:
    """Change its name or metadata."""
    with state.database.writing() as session:
        row = service.get(session, principal, split_id, lock=True)
        rename(row, body)
        return service.answer(row)


@routes.delete(
    "/{split_id}",
    status_code=204,
    summary="Delete a split",
    response_description="It is deleted.",
)
def delete(split_id: SplitId, state: StateDep, principal: PrincipalDep) -> None:
    """Jobs keep what they use of it."""
    with state.database.writing() as session:
        session.delete(service.get(session, principal, split_id, lock=True))
