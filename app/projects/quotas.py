"""How much a project may have, have under way and compute in a day, and what of that it has used.

Datasets and models count as they are stored. A job counts with all that it may keep until it has ended, so
that nothing grows beyond a quota later on, and then with what it keeps.
"""

from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.errors import DailyQuotaReached, QuotaReached
from app.storage.columns import now
from app.storage.declaring import core
from app.storage.tables import Alias, Architecture, Dataset, Job, Model, Project, Usage

MOST_MULTIPLY_ADDS = 2**60
"""What one job counts with at most, so that the day's sum is a number that databases have."""

MOST_OF_A_DAY = 2**62

LESS = "Train fewer epochs, a smaller network, or on fewer rows."

UNDER_WAY = ("running", "pausing", "cancelling")


@dataclass(frozen=True, slots=True)
class Quotas:
    """The most of a project; None: no limit. Named as the columns of `Project`."""

    max_running: int | None = None
    max_queued: int | None = None
    max_datasets: int | None = None
    max_architectures: int | None = None
    max_aliases: int | None = None
    max_bytes: int | None = None
    max_multiply_adds_per_day: int | None = None


NAMES = tuple(each.name for each in fields(Quotas))

# Built once: the first three run with every job that is submitted.
_projects, _datasets, _jobs, _models = core(Project), core(Dataset), core(Job), core(Model)
_usage = core(Usage)
OWN = sa.select(*(_projects.c[name] for name in NAMES)).where(_projects.c.id == sa.bindparam("project"))
LOCKED = OWN.with_for_update(key_share=True)


def _add(insert: Any) -> Any:
    add = insert(_usage)
    both = _usage.c.multiply_adds + add.excluded.multiply_adds
    total = sa.case((_usage.c.multiply_adds < MOST_OF_A_DAY - MOST_MULTIPLY_ADDS, both), else_=MOST_OF_A_DAY)
    upsert = add.on_conflict_do_update(index_elements=("project_id", "day"), set_={"multiply_adds": total})
    return upsert.returning(_usage.c.multiply_adds)


ADD = {"sqlite": _add(sqlite.insert), "postgresql": _add(postgresql.insert)}
_less = _usage.c.multiply_adds - sa.bindparam("less", type_=sa.BigInteger())
TAKE_OFF = (
    sa.update(_usage)
    .where(_usage.c.project_id == sa.bindparam("project"), _usage.c.day == sa.bindparam("on"))
    .values(multiply_adds=sa.case((_less > 0, _less), else_=0))
)
_of = sa.bindparam("project", type_=sa.String())


def _sum(table: sa.Table, column: str) -> sa.ScalarSelect[int]:
    summed = sa.cast(sa.func.coalesce(sa.func.sum(table.c[column]), 0), sa.BigInteger)
    return sa.select(summed).where(table.c.project_id == _of).scalar_subquery()


def _count(table: sa.Table, *conditions: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    counted = sa.select(sa.func.count()).select_from(table)
    return counted.where(table.c.project_id == _of, *conditions).scalar_subquery()


BYTES = (_sum(_datasets, "size_bytes"), _sum(_models, "size_bytes"), _sum(_jobs, "kept_bytes"))
STORED = sa.select(BYTES[0] + BYTES[1] + BYTES[2])
COUNTED = {"datasets": _datasets, "architectures": core(Architecture), "aliases": core(Alias)}
"""What a project may have so many of, whatever their sizes."""

COUNTS = {kind: sa.select(_count(table)) for kind, table in COUNTED.items()}
USED = sa.select(
    _count(_jobs, _jobs.c.status.in_(UNDER_WAY)).label("running"),
    _count(_jobs, _jobs.c.status == "queued").label("queued"),
    *(_count(table).label(kind) for kind, table in COUNTED.items()),
    *(
        each.label(name)
        for name, each in zip(("dataset_bytes", "model_bytes", "job_bytes"), BYTES, strict=True)
    ),
    sa.func.coalesce(
        sa.select(_usage.c.multiply_adds)
        .where(_usage.c.project_id == _of, _usage.c.day == sa.bindparam("on", type_=sa.String()))
        .scalar_subquery(),
        0,
    ).label("multiply_adds_today"),
)


def of(session: Session, project_id: str, default: Quotas, *, lock: bool = False) -> Quotas:
    """The limits as they hold: the project's own, or those by default.

    With ``lock`` nobody else counts for this project until the transaction ends: call it behind every other
    lock. SQLite's writers come one after the other anyway.
    """
    own = session.execute(LOCKED if lock else OWN, {"project": project_id}).one()._mapping
    return replace(default, **{name: own[name] for name in NAMES if own[name] is not None})


def admit_one(session: Session, project_id: str, quotas: Quotas, kind: str) -> None:
    """Raise QuotaReached unless one more of this kind, one of `COUNTED`, may be there."""
    quota = f"max_{kind}"
    most: int | None = getattr(quotas, quota)
    if most is None:
        return
    count: int = session.execute(COUNTS[kind], {"project": project_id}).scalar_one()
    if count >= most:
        detail = f"This project may have {most} {kind}, and has {count}. Delete some first."
        raise QuotaReached(detail, quota=quota, limit=most, used=count)


def admit_dataset(session: Session, project_id: str, quotas: Quotas, size: int) -> None:
    """Raise QuotaReached unless one more dataset of that many bytes may be there."""
    admit_one(session, project_id, quotas, "datasets")
    admit_bytes(session, project_id, quotas, size)


def admit_bytes(session: Session, project_id: str, quotas: Quotas, more: int) -> None:
    """Raise QuotaReached unless so many more may be stored."""
    most = quotas.max_bytes
    if most is None or more <= 0:
        return
    used: int = session.execute(STORED, {"project": project_id}).scalar_one()
    if used + more > most:
        detail = (
            f"This project may store {most} bytes and has {used}; this needs {more}. Delete datasets, models "
            "or jobs that have ended first."
        )
        raise QuotaReached(detail, quota="max_bytes", limit=most, used=used)


def charge(
    session: Session, project_id: str, quotas: Quotas, day: str, multiply_adds: int, instead: str = LESS
) -> None:
    """Let them count for that day. Raises QuotaReached where no day has as many, else DailyQuotaReached.

    ``instead``: what to do where no day has as many.
    """
    most = quotas.max_multiply_adds_per_day
    more = min(multiply_adds, MOST_MULTIPLY_ADDS)
    row = {"project_id": project_id, "day": day, "multiply_adds": more}
    total: int = session.execute(ADD[session.get_bind().dialect.name], row).scalar_one()
    if most is None or total <= most:
        return
    quota, used = "max_multiply_adds_per_day", total - more
    needs = f"This takes {more} multiply-adds; this project may have {most} computed in a day (UTC)"
    if more > most:
        detail = f"{needs}. {instead}"
        raise QuotaReached(detail, quota=quota, limit=most, used=used)
    detail = f"{needs} and has asked for {used}."
    raise DailyQuotaReached(detail, quota=quota, limit=most, used=used, retry_after=seconds_left(now()))


def give_back(session: Session, project_id: str, day: str, multiply_adds: int) -> None:
    """Let them count no more."""
    less = min(multiply_adds, MOST_MULTIPLY_ADDS)
    if less > 0:
        session.execute(TAKE_OFF, {"project": project_id, "on": day, "less": less})


def used(session: Session, project_id: str) -> dict[str, int]:
    """What counts now, by name."""
    row = session.execute(USED, {"project": project_id, "on": day_of(now())}).one()._mapping
    found: dict[str, int] = dict(row)
    return found | {"bytes": sum(found[f"{kind}_bytes"] for kind in ("dataset", "model", "job"))}


def day_of(moment: datetime) -> str:
    """Its day, by UTC."""
    return moment.astimezone(UTC).date().isoformat()


def seconds_left(moment: datetime) -> int:
    """Whole seconds until the next day begins, by UTC; one at least."""
    midnight = datetime.combine(moment.astimezone(UTC).date() + timedelta(days=1), time(), UTC)
    return max(1, -int((moment - midnight).total_seconds() // 1))
