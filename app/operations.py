"""Is the server alive, is it ready, what is it, and who works for it."""

import asyncio
from contextlib import nullcontext
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

import app
from app.dependencies import PROBLEMS, PartDep, PrincipalDep, State, StateDep, part_of, router
from app.engine import fingerprint
from app.errors import Fault, Unavailable
from app.jobs import workers as workforce
from app.open_inference.schemas import LiveAnswer, ReadyAnswer
from app.schemas import Answer, Fingerprint, Page, Shape, Time, words
from app.storage import migration
from app.storage.scope import whole_server

WAIT = "It is looked for anew at every request: wait."

probes = APIRouter(tags=["operations"], responses=PROBLEMS)
routes = router("/v1", "operations")


class Live(Answer):
    """The process answers."""

    status: str = Field(description="live, always.", examples=["live"])


class Ready(Answer):
    """The server can serve."""

    status: str = Field(description="ready, always: else the answer is a 503.", examples=["ready"])
    database: str = Field(description="ok, always: else the answer is a 503.", examples=["ok"])
    schema_version: str = Field(
        description="The database's schema, which is this server's.", examples=["0003"]
    )
    workers: int = Field(description="Workers that have been seen lately and take jobs.", examples=[1])
    draining: int = Field(description="Workers that hand their jobs back and go away.", examples=[0])
    disk: str = Field(
        description="ok; or low: nothing new is taken, and jobs pause, until there is room again.",
        examples=["ok"],
        json_schema_extra=words(("ok", "low")),
    )
    isolation: str = Field(
        description="What keeps projects apart: queries, the server's own; or queries_and_policies, where "
        "Postgres's row-level security stands behind them.",
        examples=["queries_and_policies"],
        json_schema_extra=words(("queries", "queries_and_policies")),
    )


class LimitsAnswer(Answer):
    """The most that this server takes."""

    max_upload_bytes: int = Field(description="Bytes of an upload, also expanded.", examples=[4294967296])
    max_json_bytes: int = Field(description="Bytes of a JSON body.", examples=[67108864])
    max_wait_seconds: float = Field(description="Seconds that ?wait= waits.", examples=[60.0])
    max_columns: int = Field(description="Columns of a dataset.", examples=[5000])
    max_hidden_layers: int = Field(description="Hidden layers of an architecture.", examples=[64])
    max_units: int = Field(description="Units of a layer.", examples=[65536])
    max_parameters: int = Field(description="Weights and biases of a network.", examples=[50000000])
    max_predict_rows: int = Field(description="Rows of one JSON prediction.", examples=[100000])
    job_memory_bytes: int = Field(description="Memory of one job, in bytes.", examples=[8589934592])
    max_running_jobs: int | None = Field(
        description="Running jobs of a project that has no limit of its own; null: no limit.", examples=[4]
    )
    max_queued_jobs: int = Field(
        description="Waiting jobs of a project that has no limit of its own.", examples=[10000]
    )
    max_datasets: int | None = Field(
        description="Datasets of a project that has no limit of its own; null: no limit.", examples=[50]
    )
    max_architectures: int | None = Field(
        description="Stored architectures of a project that has no limit of its own; null: no limit.",
        examples=[1000],
    )
    max_aliases: int | None = Field(
        description="Aliases of a project that has no limit of its own; null: no limit.", examples=[100]
    )
    max_stored_bytes: int | None = Field(
        description="Bytes stored of a project that has no limit of its own; null: no limit.",
        examples=[10737418240],
    )
    max_multiply_adds_per_day: int | None = Field(
        description="Multiply-adds in a day of a project that has no limit of its own; null: no limit.",
        examples=[1000000000000000],
    )


class Server(Answer):
    """What this server is."""

    object: str = Field("server", description="What this is.", examples=["server"])
    version: str = Field(description="The server's version.", examples=["0.1.0"])
    limits: Annotated[dict[str, int | float | None], Shape(LimitsAnswer)] = Field(
        description="The most that it takes."
    )
    fingerprint: Annotated[dict[str, Any], Shape(Fingerprint)] = Field(
        description="What the bits of its results depend on."
    )


class WorkerAnswer(Answer):
    """A supervisor of trainers, on this host or another."""

    object: str = Field("worker", description="What this is.", examples=["worker"])
    id: str = Field(description="Its id.", examples=["wrk_0n5c1k4v8d2s6m9q3x7z1b5f"])
    host: str = Field(description="The name of its host.", examples=["lab-3"])
    pid: int = Field(description="Its process id there.", examples=[4711])
    slots: int = Field(description="Jobs that it can train at once.", examples=[2])
    busy: int = Field(description="Jobs of all projects that it is training.", examples=[1])
    state: str = Field(
        description="active; or draining: it takes no jobs any more, and hands back those that it has.",
        examples=["active"],
        json_schema_extra=words(("active", "draining")),
    )
    jobs: list[str] = Field(
        description="Ids of the jobs that it holds: those of this project, for an admin key those of every "
        "project.",
        examples=[["job_0n5c1k4v8d2s6m9q3x7z1b5f"]],
    )
    started_at: Time = Field(description="When it started.")
    seen_seconds_ago: float = Field(description="Seconds since it was last seen.", examples=[0.42])


@probes.get(
    "/livez", response_model=Live, summary="Is the process alive?", response_description="It is alive."
)
async def livez() -> dict[str, str]:
    """Answers as long as the process does."""
    return {"status": "live"}


@probes.get(
    "/readyz", response_model=Ready, summary="Is the server ready?", response_description="It is ready."
)
async def readyz(
    state: StateDep,
    workers: Annotated[bool, Query(description="Require a live worker, too.", examples=[True])] = False,
) -> dict[str, Any]:
    """The database answers within a second and has the schema; with ?workers=1 somebody works, too.

    A 503 names in `errors` each condition that does not hold: shutdown, database, schema, workers. With
    little room on its disk the server is ready: it answers all that needs none.
    """
    reasons: list[Fault] = []
    live = draining = 0
    if state.watch.stopped:
        reasons.append(_reason("shutdown", "The server is shutting down.", "Ask another one."))
    look = asyncio.create_task(run_in_threadpool(_look, state))
    look.add_done_callback(lambda late: late.cancelled() or late.exception())  # it may come when we have gone
    answered, _ = await asyncio.wait({look}, timeout=1.0)  # a thread cannot be cancelled, only be left
    if not answered:
        reasons.append(_reason("database", "The database did not answer within a second.", WAIT))
    elif isinstance(look.exception(), SQLAlchemyError):
        reasons.append(_reason("database", "The database cannot be reached.", WAIT))
    elif (found := look.result()) is None:
        message = "The database's schema is not this server's."
        reasons.append(_reason("schema", message, "Run 'chainrule-server migrate'."))
    else:
        live, draining = found
        if workers and not live:
            reasons.append(_reason("workers", "No worker takes jobs.", "Run 'chainrule-server worker'."))
    if reasons:
        raise Unavailable(" ".join(each.message for each in reasons), *reasons)
    disk = "low" if state.disk.is_low() else "ok"
    isolation = "queries" if state.database.walled_role is None else "queries_and_policies"
    return {
        "status": "ready",
        "database": "ok",
        "schema_version": migration.head(),
        "workers": live,
        "draining": draining,
        "disk": disk,
        "isolation": isolation,
    }


@probes.get(
    "/v2/health/live",
    response_model=LiveAnswer,
    summary="Is the process alive? (Open Inference Protocol)",
    response_description="It is alive.",
)
async def v2_live() -> dict[str, bool]:
    """As GET /livez, in the protocol's terms."""
    return {"live": True}


@probes.get(
    "/v2/health/ready",
    response_model=ReadyAnswer,
    summary="Is the server ready? (Open Inference Protocol)",
    response_description="It is ready.",
)
async def v2_ready(state: StateDep) -> dict[str, bool]:
    """As GET /readyz, in the protocol's terms."""
    await readyz(state)
    return {"ready": True}


def _reason(condition: str, message: str, hint: str) -> Fault:
    return Fault(condition, "not_ready", message, hint)


def _look(state: State) -> tuple[int, int] | None:
    with whole_server():
        current = migration.is_current(state.database)
    if not current:
        return None
    with whole_server(), state.database.reading() as session:
        return workforce.count(session)


@routes.get(
    "", response_model=Server, summary="Describe the server", response_description="What this server is."
)
def server(state: StateDep) -> dict[str, Any]:
    """Its version, its limits, and what the bits of its results depend on."""
    settings = state.settings
    names = (
        "max_upload_bytes",
        "max_json_bytes",
        "max_wait_seconds",
        "max_columns",
        "max_hidden_layers",
        "max_units",
        "max_parameters",
        "max_predict_rows",
        "max_running_jobs",
        "max_queued_jobs",
        "max_datasets",
        "max_architectures",
        "max_aliases",
        "max_stored_bytes",
        "max_multiply_adds_per_day",
    )
    limits = {name: getattr(settings, name) for name in names}
    limits["job_memory_bytes"] = settings.memory_of_a_job
    return {"version": app.__version__, "limits": limits, "fingerprint": fingerprint()}


@routes.get(
    "/workers",
    response_model=Page[WorkerAnswer],
    summary="List workers",
    response_description="A page of those that have been seen lately.",
)
def workers(state: StateDep, principal: PrincipalDep, part: PartDep) -> dict[str, Any]:
    """Supervisors that have been seen lately, and the jobs that each one holds."""
    project_id = None if principal.role == "admin" else principal.project_id
    seen = whole_server() if project_id is None else nullcontext()
    with seen, state.database.reading() as session:
        return part_of(workforce.alive(session, project_id), part)
