"""Stored architectures: reusable by id."""

from sqlalchemy.orm import Session

from app.architectures.schemas import ArchitectureCreate, ArchitectureSpec
from app.errors import Fault, Invalid
from app.keys.service import Principal
from app.projects import quotas
from app.projects.quotas import Quotas
from app.settings import Settings
from app.storage import lookup
from app.storage.columns import new_id, now
from app.storage.tables import Architecture


def create(
    session: Session, settings: Settings, principal: Principal, asked: ArchitectureCreate, default: Quotas
) -> Architecture:
    """Store an architecture. Raises Invalid when it is beyond this server's limits, and QuotaReached.

    ``default`` holds unless the project has limits of its own.
    """
    faults = [
        Fault(f"layers[{index}].units", "out_of_range", f"At most {settings.max_units} units a layer.")
        for index, layer in enumerate(asked.layers)
        if layer.units > settings.max_units
    ]
    if len(asked.layers) > settings.max_hidden_layers:
        faults = [Fault("layers", "out_of_range", f"At most {settings.max_hidden_layers} hidden layers.")]
    if faults:
        raise Invalid(f"{faults[0].param}: {faults[0].message}", *faults)
    held = quotas.of(session, principal.project_id, default, lock=True)
    quotas.admit_one(session, principal.project_id, held, "architectures")
    architecture = Architecture(
        id=new_id("arch"),
        project_id=principal.project_id,
        created_by=principal.key_id,
        created_at=now(),
        name=asked.name,
        labels=asked.metadata,
        layers=[layer.model_dump() for layer in asked.layers],
        output=asked.output.model_dump(),
    )
    session.add(architecture)
    session.flush()
    return architecture


def get(session: Session, principal: Principal, architecture_id: str, *, lock: bool = False) -> Architecture:
    return lookup.get(
        session, Architecture, principal.project_id, architecture_id, "architecture_id", lock=lock
    )


def spec(session: Session, principal: Principal, architecture_id: str) -> ArchitectureSpec:
    """A stored architecture as if it had been sent inline."""
    row = get(session, principal, architecture_id)
    return ArchitectureSpec.model_validate({"layers": row.layers, "output": row.output})


def delete(session: Session, principal: Principal, architecture_id: str) -> None:
    """Delete it; jobs keep a copy of what they use."""
    session.delete(get(session, principal, architecture_id, lock=True))
