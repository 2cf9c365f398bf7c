"""Is the server alive, is it ready, what is it, and who works for it."""

import asyncio
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool

import app
from app.dependencies import PROBLEMS, State, StateDep, router
from app.engine import fingerprint
from app.errors import Unavailable
from app.schemas import Answer, Time
from app.storage import migration
from app.storage.columns import clock
from app.storage.tables import Worker

probes = APIRouter(tags=["operations"], responses=PROBLEMS)
routes = router("/v1", "operations")

SILENT_SECONDS = 15.0


class Live(Answer):
    status: str


class Ready(Answer):
    status: str
    database: str
    workers: int


class Server(Answer):
    object: str = "server"
    version: str
    limits: dict[str, int | float]
    fingerprint: dict[str, Any]


class WorkerAnswer(Answer):
    object: str = "worker"
    id: str
    host: str
    pid: int
    slots: int
    busy: int
    started_at: Time
    seen_seconds_ago: float


class Workers(Answer):
    object: str = "list"
    data: list[WorkerAnswer]


@probes.get("/livez", response_model=Live, summary="Is the process alive?")
async def livez() -> dict[str, str]:
    """Answers as long as the process does."""
    return {"status": "live"}


@probes.get("/readyz", response_model=Ready, summary="Is the server ready?")
async def readyz(
    state: StateDep, workers: Annotated[bool, Query(description="Require a live worker, too.")] = False
) -> dict[str, Any]:
    """The database answers within a second and has the schema; with ?workers=1 somebody works, too."""
    if state.watch.stopped:
        raise Unavailable("The server is shutting down.")
    try:
        live = await asyncio.wait_for(run_in_threadpool(_look, state), 1.0)
    except TimeoutError:
        raise Unavailable("The database did not answer within a second.") from None
    if workers and not live:
        raise Unavailable("No worker is alive.")
    return {"status": "ready", "database": "ok", "workers": live}


def _look(state: State) -> int:
    if not migration.is_current(state.database):
        raise Unavailable("The database's schema is not this server's. Run 'chainrule-server migrate'.")
    return len(_alive(state))


def _alive(state: State) -> list[dict[str, Any]]:
    with state.database.reading() as session:
        silent = (clock() - Worker.seen_at).label("silent")
        seen = sa.select(Worker, silent).where(silent < SILENT_SECONDS).order_by(Worker.id)
        return [
            {
                "id": row.id,
                "host": row.host,
                "pid": row.pid,
                "slots": row.slots,
                "busy": row.busy,
                "started_at": row.started_at,
                "seen_seconds_ago": max(0.0, seconds),
            }
            for row, seconds in session.execute(seen)
        ]


@routes.get("", response_model=Server, summary="Describe the server")
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
    )
    limits = {name: getattr(settings, name) for name in names}
    return {"version": app.__version__, "limits": limits, "fingerprint": fingerprint()}


@routes.get("/workers", response_model=Workers, summary="List workers")
def listing(state: StateDep) -> dict[str, Any]:
    """Supervisors that have been seen lately, and how many of their slots are busy."""
    return {"data": _alive(state)}
