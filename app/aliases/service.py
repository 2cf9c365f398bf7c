"""What an alias stands for, and the setting of it. Models are looked up by what `meant` makes of a name."""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.audit.recording import note
from app.errors import Fault, NotFound
from app.keys.service import Principal
from app.projects import quotas
from app.projects.quotas import Quotas
from app.storage import lookup
from app.storage.columns import now
from app.storage.paging import Window
from app.storage.tables import Alias, Model


def is_alias(reference: str) -> bool:
    """Whether the name can be an alias: every id has an underscore, and no alias has one."""
    return "_" not in reference


def meant(project_id: str, reference: str) -> str | sa.ScalarSelect[str]:
    """The model's id that ``reference``, an id or an alias, stands for.

    An alias is looked up within the statement that looks for its model: in two, it could be moved and the
    model deleted between them, and would seem to lead nowhere.
    """
    if not is_alias(reference):
        return reference
    statement = sa.select(Alias.model_id).where(Alias.project_id == project_id, Alias.name == reference)
    return statement.scalar_subquery()


def names_of(session: Session, project_id: str, model_ids: Collection[str]) -> dict[str, list[str]]:
    """The aliases of each of these models, by name; nothing for a model that has none."""
    statement = sa.select(Alias.model_id, Alias.name).order_by(Alias.name)
    named: dict[str, list[str]] = {}
    for model_id, name in session.execute(
        statement.where(Alias.project_id == project_id, Alias.model_id.in_(model_ids))
    ):
        named.setdefault(model_id, []).append(name)
    return named


def get(session: Session, principal: Principal, name: str, *, lock: bool = False) -> Alias:
    """Raises NotFound."""
    alias = session.get(Alias, (principal.project_id, name), with_for_update=lock or None)
    if alias is None:
        fault = Fault("alias", "not_found", "No alias of this project has this name.")
        raise NotFound("There is no such alias.", fault)
    return alias


def listing(session: Session, principal: Principal, window: Window) -> tuple[Sequence[Alias], bool]:
    """A page of the project's aliases, by name; and whether there are more behind it."""
    upward = window.order == "asc"
    statement = sa.select(Alias).where(Alias.project_id == principal.project_id)
    if window.after is not None:
        statement = statement.where(Alias.name > window.after if upward else Alias.name < window.after)
    statement = statement.order_by(Alias.name if upward else Alias.name.desc())
    rows = session.scalars(statement.limit(window.limit + 1)).all()
    return rows[: window.limit], len(rows) > window.limit


def put(
    session: Session, principal: Principal, name: str, reference: str, default: Quotas
) -> tuple[Alias, bool]:
    """Let the alias stand for a model from now on; True where there was none of that name.

    ``reference`` may be another alias: what is kept is the model that it stands for now. Raises NotFound, and
    QuotaReached where the name is new; ``default`` holds unless the project has limits of its own.
    """
    project_id = principal.project_id
    # Locked: whoever deletes the model sees the alias, or is seen to have deleted it.
    model = lookup.get(session, Model, project_id, meant(project_id, reference), "model_id", lock=True)
    before = session.get(Alias, (project_id, name), with_for_update=True)
    if before is None:
        held = quotas.of(session, project_id, default, lock=True)
        before = session.get(Alias, (project_id, name))  # somebody may just have been faster
    if before is None:
        quotas.admit_one(session, project_id, held, "aliases")
    if before is None or before.model_id != model.id:
        moment = now()
        insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
        statement = insert(Alias).values(
            project_id=project_id,
            name=name,
            model_id=model.id,
            created_at=moment,
            created_by=principal.key_id,
            updated_at=moment,
        )
        moved = {"model_id": statement.excluded.model_id, "updated_at": statement.excluded.updated_at}
        session.execute(statement.on_conflict_do_update(index_elements=["project_id", "name"], set_=moved))
        note(session, "alias.set", name, {"model_id": model.id}, project_id)
    alias = session.get_one(Alias, (project_id, name), populate_existing=True)
    return alias, before is None


def delete(session: Session, principal: Principal, name: str) -> None:
    """Delete the alias; its model stays. Raises NotFound."""
    session.delete(get(session, principal, name, lock=True))


def answer(alias: Alias) -> dict[str, Any]:
    """The alias as clients see it."""
    return {
        "id": alias.name,
        "created_at": alias.created_at,
        "created_by": alias.created_by,
        "updated_at": alias.updated_at,
        "model_id": alias.model_id,
    }
