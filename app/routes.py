"""Every route of the product on one page."""

from fastapi import FastAPI

from app import operations
from app.aliases import router as aliases
from app.architectures import router as architectures
from app.audit import router as audit
from app.batches import router as batches
from app.cross_validations import router as cross_validations
from app.datasets import router as datasets
from app.documentation import router as documentation
from app.evaluations import router as evaluations
from app.exports import router as exports
from app.following import router as following
from app.jobs import router as jobs
from app.keys import router as keys
from app.metrics import router as metrics
from app.models import router as models
from app.open_inference import router as open_inference
from app.predictions import router as predictions
from app.profiles import router as profiles
from app.projects import router as projects
from app.provenance import router as provenance
from app.rows import router as rows
from app.settings import Settings
from app.splits import router as splits
from app.uploads import router as uploads
from app.webhooks import router as webhooks

ROUTERS = (
    operations.probes,
    operations.routes,
    metrics.routes,
    datasets.routes,
    profiles.routes,
    splits.routes,
    rows.routes,
    uploads.routes,
    architectures.routes,
    following.routes,
    jobs.routes,
    cross_validations.routes,
    provenance.routes,
    models.routes,
    models.metadata_routes,
    models.reading_routes,
    exports.routes,
    evaluations.routes,
    exports.import_routes,
    open_inference.routes,
    batches.routes,
    aliases.routes,
    webhooks.routes,
    keys.routes,
    projects.routes,
    projects.own_routes,
    audit.routes,
)
LARGE = (datasets.routes, uploads.routes)


DIRECT = [each for each in predictions.routes.routes if isinstance(each, predictions.DirectRoute)]
"""Routes that need nothing of FastAPI's: see `shortcut`."""
LARGE = (datasets.routes, exports.import_routes)
"""Whose bodies are files."""


def include(application: FastAPI, settings: Settings) -> None:
    """Add them all; uploads may be larger than any other body."""
    # Itself and first: an included router matches twice, and so does every one before it.
    application.router.routes.extend(predictions.routes.routes)
    application.router.routes.extend(following.polled_routes.routes)
    application.router.routes.extend(documentation.routes)
    for each in ROUTERS:
        limit = settings.max_upload_bytes if each in LARGE else settings.max_json_bytes
        application.include_router(each, max_body_size=limit)
