"""The wire form of projects and their limits."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from app.schemas import Answer, CreatedAt, Request

Few = Annotated[int, Field(ge=0, lt=2**31)]
Many = Annotated[int, Field(ge=0, lt=2**62)]

RUNNING = "Most jobs of the project that run at once"
QUEUED = "Most jobs of the project that wait"
DATASETS = "Most datasets of the project"
ARCHITECTURES = "Most stored architectures of the project"
ALIASES = "Most aliases of the project"
BYTES = "Most bytes of its datasets, of its models, and of what its jobs keep"
MULTIPLY_ADDS = (
    "Most multiply-adds in a day (UTC): of the jobs that it submits or tries again, as a plan reckons them, "
    "and of its batches"
)
REQUESTS = "Most requests a minute, with all of its keys"
BY_SETTINGS = "; null: as the server's settings say."
NONE = "; null: no limit."


class ProjectChange(Request):
    """New limits of a project; one that is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"max_running": 2, "max_queued": None}]})

    max_running: Few | None = Field(None, description=RUNNING + BY_SETTINGS, examples=[2])
    max_queued: Few | None = Field(None, description=QUEUED + BY_SETTINGS, examples=[100])
    max_datasets: Few | None = Field(None, description=DATASETS + BY_SETTINGS, examples=[50])
    max_architectures: Few | None = Field(None, description=ARCHITECTURES + BY_SETTINGS, examples=[1000])
    max_aliases: Few | None = Field(None, description=ALIASES + BY_SETTINGS, examples=[100])
    max_bytes: Many | None = Field(None, description=BYTES + BY_SETTINGS, examples=[10_737_418_240])
    max_multiply_adds_per_day: Many | None = Field(
        None, description=MULTIPLY_ADDS + BY_SETTINGS, examples=[1_000_000_000_000_000]
    )
    max_requests_per_minute: Annotated[int, Field(ge=1, lt=2**31)] | None = Field(
        None,
        description=f"{REQUESTS}, instead of the settings' limits by kind of request{BY_SETTINGS}",
        examples=[6000],
    )


class ProjectAnswer(Answer):
    """A project and its own limits."""

    object: Literal["project"] = Field("project", description="What this is.", examples=["project"])
    id: str = Field(description="Its id.", examples=["proj_0n5c1k4v8d2s6m9q3x7z1b5f"])
    created_at: CreatedAt
    created_by: str | None = Field(
        description="Id of the key that made it; null for what the operator made.",
        examples=["key_1c8k3v6n0q5x2z7m4d9s1b6f"],
    )
    name: str = Field(description="Its name, which keys are made with.", examples=["biology"])
    max_running: int | None = Field(description=RUNNING + BY_SETTINGS, examples=[2])
    max_queued: int | None = Field(description=QUEUED + BY_SETTINGS, examples=[100])
    max_datasets: int | None = Field(description=DATASETS + BY_SETTINGS, examples=[50])
    max_architectures: int | None = Field(description=ARCHITECTURES + BY_SETTINGS, examples=[1000])
    max_aliases: int | None = Field(description=ALIASES + BY_SETTINGS, examples=[100])
    max_bytes: int | None = Field(description=BYTES + BY_SETTINGS, examples=[10_737_418_240])
    max_multiply_adds_per_day: int | None = Field(
        description=MULTIPLY_ADDS + BY_SETTINGS, examples=[1_000_000_000_000_000]
    )
    max_requests_per_minute: int | None = Field(
        description=f"{REQUESTS}, instead of the settings' limits by kind of request{BY_SETTINGS}",
        examples=[6000],
    )


class Limits(Answer):
    """A project's limits as they hold: its own, or the server's."""

    max_running: int | None = Field(description=RUNNING + NONE, examples=[2])
    max_queued: int | None = Field(description=QUEUED + NONE, examples=[100])
    max_datasets: int | None = Field(description=DATASETS + NONE, examples=[50])
    max_architectures: int | None = Field(description=ARCHITECTURES + NONE, examples=[1000])
    max_aliases: int | None = Field(description=ALIASES + NONE, examples=[100])
    max_bytes: int | None = Field(description=BYTES + NONE, examples=[10_737_418_240])
    max_multiply_adds_per_day: int | None = Field(
        description=MULTIPLY_ADDS + NONE, examples=[1_000_000_000_000_000]
    )
    max_requests_per_minute: int | None = Field(
        description=f"{REQUESTS}; null: the settings' limits by kind of request hold for each key.",
        examples=[6000],
    )


class Used(Answer):
    """What counts against them now."""

    running: int = Field(description="Jobs that run, or still stop.", examples=[1])
    queued: int = Field(description="Jobs that wait.", examples=[12])
    datasets: int = Field(description="Datasets.", examples=[3])
    architectures: int = Field(description="Stored architectures.", examples=[12])
    aliases: int = Field(description="Aliases.", examples=[2])
    bytes: int = Field(description="All bytes that count: the next three.", examples=[52_428_800])
    dataset_bytes: int = Field(description="Bytes of datasets, as they are stored.", examples=[20_971_520])
    model_bytes: int = Field(description="Bytes of models.", examples=[10_485_760])
    job_bytes: int = Field(
        description="Bytes of snapshots: what a job may keep, and once it has ended, what it keeps.",
        examples=[20_971_520],
    )
    multiply_adds_today: int = Field(
        description="Multiply-adds of the jobs submitted or tried again today (UTC): of all epochs that "
        "were to be trained, and once the job has ended, of those that it trained; and of today's batches.",
        examples=[120_000_000_000],
    )


class ProjectStanding(ProjectAnswer):
    """A project, its limits, and what it has used of them."""

    limits: Limits = Field(description="The limits as they hold: its own, or the server's.")
    used: Used = Field(description="How much of them is used now.")


class StandingAnswer(Answer):
    """What this key's project may have, and what it has."""

    object: Literal["limits"] = Field("limits", description="What this is.", examples=["limits"])
    project: str = Field(description="The project's name.", examples=["biology"])
    limits: Limits = Field(description="The limits as they hold: the project's own, or the server's.")
    used: Used = Field(description="How much of them is used now.")
