"""What a dataset's columns look like, and what each says about a target."""

from typing import Annotated, Any

from fastapi import Path, Query

from app.dependencies import PrincipalDep, StateDep, router
from app.openapi import refused
from app.profiles import service
from app.profiles.schemas import ProfileAnswer

routes = router("/v1/datasets", "datasets")


@routes.get(
    "/{dataset_id}/profile",
    response_model=ProfileAnswer,
    summary="Read a dataset's profile",
    response_description="Its columns.",
    responses={410: refused("The dataset's rows have been deleted.")},
)
def profile(
    dataset_id: Annotated[
        str,
        Path(max_length=64, description="The dataset's id.", examples=["ds_0n5c1k4v8d2s6m9q3x7z1b5f"]),
    ],
    state: StateDep,
    principal: PrincipalDep,
    target: Annotated[
        str | None,
        Query(max_length=255, description="A column that a job is to predict.", examples=["species"]),
    ] = None,
) -> dict[str, Any]:
    """The columns; with a target also how much each says about it, over 20,000 rows at most, and warnings."""
    parts = state.database, state.blobs, state.settings
    return service.profile(*parts, principal, dataset_id, target)
