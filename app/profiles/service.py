"""A dataset's columns beside a target: from its description, and for the target from its values."""

from dataclasses import asdict
from typing import Any

from app.datasets import content, roles
from app.datasets import service as datasets
from app.datasets.association import associations, imbalance, suspicions
from app.keys.service import Principal
from app.settings import Settings
from app.storage.blobs import Blobs
from app.storage.database import Database


def profile(
    database: Database,
    blobs: Blobs,
    settings: Settings,
    principal: Principal,
    dataset_id: str,
    target: str | None,
) -> dict[str, Any]:
    """The profile as clients see it. Raises NotFound, Gone, and Invalid where the target cannot be one."""
    with database.reading() as session:
        dataset = datasets.get(session, principal, dataset_id)
    found: dict[str, Any] = {
        "dataset_id": dataset.id,
        "row_count": dataset.row_count,
        "target": target,
        "task": None,
        "columns": [{**column, "association": None} for column in dataset.columns],
        "warnings": list(dataset.warnings),
    }
    if target is None:
        return found
    task, warnings = roles.resolve_task(dataset.columns, target)
    table = content.table_of(database, blobs, settings.cache_dir, dataset.id, dataset.sha256)
    names = [name for name in table.columns if name != target]
    related = {each.name: each for each in associations(table, target, task, names)}
    used = [related[c["name"]] for c in dataset.columns if c["used_by_default"] and c["name"] in related]
    warnings += suspicions(used, target)
    if task == "classification":
        warnings += imbalance(table.columns[target], weighted=False, parts=3)
    for column in found["columns"]:
        if (each := related.get(column["name"])) is not None:
            column["association"] = {name: value for name, value in each._asdict().items() if name != "name"}
    return found | {"task": task, "warnings": [*found["warnings"], *(asdict(each) for each in warnings)]}
