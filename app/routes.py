"""Every route of the product on one page."""

from fastapi import FastAPI

from app import operations
from app.architectures import router as architectures
from app.datasets import router as datasets
from app.jobs import router as jobs
from app.keys import router as keys
from app.models import router as models
from app.predictions import router as predictions

ROUTERS = (
    operations.probes,
    operations.routes,
    datasets.routes,
    architectures.routes,
    jobs.routes,
    models.routes,
    models.metadata_routes,
    models.reading_routes,
    predictions.routes,
    keys.routes,
)


def include(application: FastAPI) -> None:
    for each in ROUTERS:
        application.include_router(each)
