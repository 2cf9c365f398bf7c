"""Naming models."""

from typing import Annotated, Any, Literal

from fastapi import Path, Query, Response

from app.aliases import service
from app.aliases.schemas import PATTERN, AliasAnswer, AliasPut
from app.dependencies import PrincipalDep, StateDep, listed, router
from app.openapi import QUOTA_REACHED, located, refused
from app.schemas import Page
from app.storage.paging import Window

routes = router("/v1/aliases", "models")

AliasName = Annotated[str, Path(max_length=64, description="The alias.", examples=["champion"])]
NewAlias = Annotated[
    str,
    Path(
        pattern=PATTERN,
        description="The alias: 1 to 64 letters, digits, points and hyphens, the first a letter or a digit.",
        examples=["champion"],
    ),
]


@routes.put(
    "/{alias}",
    response_model=AliasAnswer,
    summary="Set an alias",
    response_description="It was there before, and stands for this model now.",
    responses={201: {"model": AliasAnswer, **located("It is new.")}, 403: refused(QUOTA_REACHED)},
)
def put(
    alias: NewAlias, body: AliasPut, response: Response, state: StateDep, principal: PrincipalDep
) -> dict[str, Any]:
    """Let a name stand for a model wherever the model's id may stand; predictions follow within a second."""
    with state.database.writing() as session:
        row, is_new = service.put(session, principal, alias, body.model_id, state.quotas)
        answer = service.answer(row)
    if is_new:
        response.status_code = 201
        response.headers["Location"] = f"/v1/aliases/{alias}"
    return answer


@routes.get(
    "",
    response_model=Page[AliasAnswer],
    summary="List aliases",
    response_description="A page of them; ids are the aliases themselves.",
)
def listing(
    state: StateDep,
    principal: PrincipalDep,
    limit: Annotated[int, Query(ge=1, le=100, description="Most items of the page.", examples=[50])] = 20,
    after: Annotated[
        str | None, Query(pattern=PATTERN, description="The alias before the page.", examples=["champion"])
    ] = None,
    order: Annotated[Literal["asc", "desc"], Query(description="By name.", examples=["asc"])] = "asc",
) -> dict[str, Any]:
    """Aliases of this project, by name."""
    with state.database.reading() as session:
        rows, more = service.listing(session, principal, Window(limit, after, order))
        return listed([service.answer(row) for row in rows], more)


@routes.get(
    "/{alias}", response_model=AliasAnswer, summary="Read an alias", response_description="The alias."
)
def read(alias: AliasName, state: StateDep, principal: PrincipalDep) -> dict[str, Any]:
    """The model that it stands for, and since when."""
    with state.database.reading() as session:
        return service.answer(service.get(session, principal, alias))


@routes.delete("/{alias}", status_code=204, summary="Delete an alias", response_description="It is deleted.")
def delete(alias: AliasName, state: StateDep, principal: PrincipalDep) -> None:
    """Its model stays. Predictions by this name stop within a second."""
    with state.database.writing() as session:
        service.delete(session, principal, alias)
