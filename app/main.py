"""The application: what it has, what stands in front of it, and its routes."""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

import app
from app import logs, openapi, problems, routes, telemetry
from app.audit.recording import note
from app.batches import runner
from app.batches.runner import Runner
from app.datasets.admission import Admission
from app.datasets.jail import Jail, Limits
from app.datasets.readings import Readings
from app.datasets.storing import Uploads
from app.exports.schemas import ModelFile
from app.exports.service import Exports
from app.following.service import Following
from app.gate import Gate, open_paths
from app.keys import service as keys
from app.meter import Meter
from app.metrics.service import Metrics, Parts
from app.metrics.traffic import Traffic
from app.models.warm import WarmModels
from app.open_inference.schemas import InferenceError, InferRequest
from app.predictions.schemas import PredictRequest
from app.projects import service as projects
from app.request_log import RequestLines
from app.settings import Settings
from app.shortcut import Shortcut
from app.state import State
from app.storage import migration, wall
from app.storage.blobs import Blobs
from app.storage.changes import Watch
from app.storage.database import Database
from app.storage.disk import Disk
from app.uploads.service import Files

log = logging.getLogger(__name__)

WITHOUT_WALL = (
    "row-level security does not stand behind the server's own queries: run `chainrule-server migrate` as a "
    "user who may make roles, or see docs/keys.md"
)


def create_app(settings: Settings, database: Database) -> FastAPI:
    """An application on a database that has its schema already; see `prepare`."""
    database.serves_requests = True
    state = _state(settings, database)

    lines = RequestLines(logs.is_text(settings.log_format)) if settings.log_requests else None
    parts = runner.Parts(database, state.blobs, state.uploads, state.warm, state.jail, settings.incoming_dir)
    batches = Runner(parts)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        batches.start()
        yield
        await run_in_threadpool(batches.close)
        state.watch.stop()
        state.following.close()
        state.metrics.close()
        state.watch.close()
        state.jail.close()
        if lines is not None:
            lines.flush()
        state.exports.close()
        state.readings.close()

    application = FastAPI(
        title="Chainrule",
        version=app.__version__,
        description=openapi.DESCRIPTION,
        openapi_tags=openapi.TAGS,
        lifespan=lifespan,
        openapi_url=None,  # `documentation` has it
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=telemetry.CONFIGURATION,
    )
    application.state.chainrule = state
    problems.install(application)
    routes.include(application, settings)
    application.add_middleware(Shortcut, routes=routes.DIRECT)
    application.add_middleware(Gate, authenticator=state.authenticator, settings=settings)
    application.add_middleware(Meter, traffic=state.traffic, lines=lines)
    by_hand = (PredictRequest, ModelFile, InferRequest, InferenceError)
    document = openapi.maker(application.openapi, open_paths(settings), *by_hand)
    application.openapi = document  # type: ignore[method-assign]
    return application


def prepare(settings: Settings, database: Database) -> None:
    """Bring the schema up to date (SQLite), find the second wall (Postgres), and see to an admin key.

    Raises WrongSchema where that is not for us to do.
    """
    if database.is_sqlite:
        before = migration.current(database)
        migration.upgrade(database)
        if before not in (None, migration.head()):
            with database.writing() as session:
                note(session, "server.migrate", None, {"before": before, "after": migration.head()})
    else:
        migration.require(database)
        database.walled_role = wall.role_behind(database)
        if database.walled_role is None:
            log.warning("%s", WITHOUT_WALL)
    configured = None if settings.admin_key is None else settings.admin_key.get_secret_value()
    keys.ensure_admin(database, configured, settings.admin_key_path)


def _state(settings: Settings, database: Database) -> State:
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    disk = Disk(settings.data_dir, settings.disk_reserve_bytes)
    blobs = Blobs(database, settings.data_dir / "blobs")
    limits = Limits(
        memory_bytes=settings.parse_memory_bytes,
        cpu_seconds=int(settings.parse_seconds) + 1,
        wall_seconds=settings.parse_seconds,
        file_bytes=2 * settings.max_upload_bytes,
        max_columns=settings.max_columns,
        max_expanded_bytes=settings.max_upload_bytes,
    )
    settings.incoming_dir.mkdir(parents=True, exist_ok=True)
    jail = Jail(settings.incoming_dir, limits, module="app.predictions.child")
    watch = Watch(database)
    authenticator = keys.Authenticator(database, settings.max_wrong_keys_per_minute)
    following, traffic = Following(database, watch, authenticator, settings), Traffic()
    quotas = projects.by_default(settings)
    uploads = Uploads(blobs, jail, disk, settings.data_dir, quotas)
    admission = Admission(settings.max_parses, settings.max_uploads_per_project)
    warm = WarmModels(database, blobs, settings.warm_model_bytes)
    parts = Parts(settings, database, disk, blobs, jail, authenticator, following, traffic, warm)
    return State(
        settings=settings,
        database=database,
        disk=disk,
        blobs=blobs,
        watch=watch,
        jail=jail,
        uploads=uploads,
        files=Files(settings.data_dir),
        admission=admission,
        readings=Readings(uploads, admission, settings.max_parses),
        authenticator=authenticator,
        warm=warm,
        following=following,
        quotas=quotas,
        traffic=traffic,
        metrics=Metrics(parts, app.__version__),
        exports=Exports(blobs, disk, settings, quotas),
    )
