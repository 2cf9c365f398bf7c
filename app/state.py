"""What one running application has, and who asks it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Request

from app.datasets.admission import Admission
from app.datasets.jail import Jail
from app.datasets.readings import Readings
from app.datasets.storing import Uploads
from app.exports.service import Exports
from app.following.service import Following
from app.keys.service import Authenticator, Principal
from app.metrics.service import Metrics
from app.metrics.traffic import Traffic
from app.projects.quotas import Quotas
from app.settings import Settings
from app.storage.blobs import Blobs
from app.storage.changes import Watch
from app.storage.database import Database
from app.storage.disk import Disk
from app.uploads.service import Files


@dataclass(frozen=True, slots=True)
class State:
    """What one running application has."""

    settings: Settings
    database: Database
    disk: Disk
    blobs: Blobs
    watch: Watch
    jail: Jail
    uploads: Uploads
    files: Files
    admission: Admission
    readings: Readings
    authenticator: Authenticator
    warm: Any
    following: Following
    quotas: Quotas
    traffic: Traffic
    metrics: Metrics
    exports: Exports
    in_flight: set[tuple[str, str, str]] = field(default_factory=set)

    @property
    def cache(self) -> Path:
        return self.settings.cache_dir

    def waits(self, principal: Principal, seconds: float) -> tuple[float, Callable[[], Any]]:
        """For how long a ?wait= may, and the place that it takes meanwhile."""
        place = partial(self.following.places.taken, principal.key_id)
        return min(seconds, self.settings.max_wait_seconds), place


def state_of(request: Request) -> State:
    state: State = request.app.state.chainrule
    return state


def principal_of(request: Request) -> Principal:
    principal: Principal = request.scope["state"]["principal"]
    return principal


StateDep = Annotated[State, Depends(state_of)]
PrincipalDep = Annotated[Principal, Depends(principal_of)]
