"""Projects and their limits: for administrators those of all, for everybody their own."""

from typing import Annotated, Any

from fastapi import Path

from app.dependencies import PartDep, PrincipalDep, StateDep, part_of, router
from app.projects import service
from app.projects.schemas import ProjectAnswer, ProjectChange, ProjectStanding, StandingAnswer
from app.schemas import Page

routes = router("/v1/projects", "projects", role="admin")
own_routes = router("/v1/limits", "projects")

ProjectName = Annotated[str, Path(max_length=255, description="The project's name.", examples=["biology"])]


@routes.get(
    "",
    response_model=Page[ProjectAnswer],
    summary="List projects",
    response_description="A page of them.",
)
def listing(state: StateDep, part: PartDep) -> dict[str, Any]:
    """Every project of the server, newest first. One is made by the first key for it."""
    with state.database.reading() as session:
        return part_of([service.answer(each) for each in service.listing(session)], part)


@routes.get(
    "/{name:path}",
    response_model=ProjectStanding,
    summary="Read a project",
    response_description="The project.",
)
def read(name: ProjectName, state: StateDep) -> dict[str, Any]:
    """A project's own limits, the limits as they hold, and what it has used of them."""
    with state.database.reading() as session:
        project = service.named(session, name)
        return service.answer(project) | service.standing(session, project, state.quotas)


@routes.patch(
    "/{name:path}",
    response_model=ProjectAnswer,
    summary="Limit a project",
    response_description="The project as it is now.",
)
def limit(name: ProjectName, body: ProjectChange, state: StateDep) -> dict[str, Any]:
    """Limit what a project has and does. What is there, runs or waits already stays."""
    with state.database.writing() as session:
        sent = {each: getattr(body, each) for each in body.model_fields_set}
        return service.answer(service.limit(session, name, sent))


@own_routes.get(
    "",
    response_model=StandingAnswer,
    summary="Read your limits",
    response_description="The limits, and what is used of them.",
)
def own(state: StateDep, principal: PrincipalDep) -> dict[str, Any]:
    """What the project of this key may have, and what it has."""
    with state.database.reading() as session:
        project = service.of_id(session, principal.project_id)
        return {"project": project.name, **service.standing(session, project, state.quotas)}
