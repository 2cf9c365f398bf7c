"""The application: what it has, what stands in front of it, and its routes."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from pydantic import TypeAdapter

import app
from app import problems, routes
from app.datasets.jail import Jail, Limits
from app.datasets.service import Uploads
from app.dependencies import State
from app.gate import Gate
from app.keys import service as keys
from app.models.warm import WarmModels
from app.predictions.schemas import PredictRequest
from app.schemas import Problem
from app.settings import Settings
from app.storage import migration
from app.storage.blobs import Blobs
from app.storage.changes import Watch
from app.storage.database import Database

DESCRIPTION = "Train neural networks over plain HTTP, and see every number of backpropagation."


def create_app(settings: Settings, database: Database) -> FastAPI:
    """An application on a database that has its schema already; see `prepare`."""
    state = _state(settings, database)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        yield
        state.watch.stop()
        state.watch.close()
        state.jail.close()

    application = FastAPI(
        title="Chainrule",
        version=app.__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    application.state.chainrule = state
    problems.install(application)
    routes.include(application, settings)
    application.add_middleware(Gate, authenticator=state.authenticator, settings=settings)
    _describe(application)
    return application


def prepare(settings: Settings, database: Database) -> None:
    """Bring the schema up to date (SQLite), and see to it that there is an admin key."""
    if database.is_sqlite:
        migration.upgrade(database)
    configured = None if settings.admin_key is None else settings.admin_key.get_secret_value()
    keys.ensure_admin(database, configured, settings.admin_key_path)


def _state(settings: Settings, database: Database) -> State:
    blobs = Blobs(database, settings.data_dir / "blobs")
    limits = Limits(
        memory_bytes=settings.parse_memory_bytes,
        cpu_seconds=int(settings.parse_seconds) + 1,
        wall_seconds=settings.parse_seconds,
        file_bytes=2 * settings.max_upload_bytes,
        max_columns=settings.max_columns,
        max_expanded_bytes=settings.max_upload_bytes,
    )
    jail = Jail(limits)
    return State(
        settings=settings,
        database=database,
        blobs=blobs,
        watch=Watch(database),
        jail=jail,
        uploads=Uploads(database, blobs, jail, settings.data_dir),
        authenticator=keys.Authenticator(database),
        warm=WarmModels(database, blobs),
    )


def _describe(application: FastAPI) -> None:
    """Add to OpenAPI what no signature says: the key, the problem document, bodies read by hand."""
    document: dict[str, Any] = application.openapi()
    components = document["components"]
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for model in (Problem, PredictRequest):
        schema = TypeAdapter(model).json_schema(ref_template="#/components/schemas/{model}")
        components["schemas"].update(schema.pop("$defs", {}))
        components["schemas"][model.__name__] = schema
    components["schemas"].pop("HTTPValidationError", None)
    components["schemas"].pop("ValidationError", None)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            operation["responses"].pop("422", None)
            if path not in ("/livez", "/readyz"):
                operation["security"] = [{"key": []}]
