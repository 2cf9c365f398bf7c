"""What looks odd about a job's data, as warnings: reckoned once for the same content and columns."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from app.datasets.association import associations, imbalance, suspicions
from app.datasets.table import Table
from app.errors import Fault
from app.jobs import weights

MOST_KNOWN = 256
_known: dict[tuple[Any, ...], list[Fault]] = {}


def of(
    table: Callable[[], Table],
    sha256: str,
    targets: Sequence[str],
    task: str,
    features: Sequence[str],
    training: dict[str, Any],
) -> list[dict[str, Any]]:
    """Suspects of leakage, and classes of very different sizes. ``table`` is called where it is needed."""
    weighted = weights.is_weighted(training)
    parts = 1 + sum(training[name] > 0 for name in ("validation_fraction", "test_fraction"))
    key = (sha256, *targets, task, *features, weighted, parts)
    if key not in _known:
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        _known[key] = _warnings(table(), targets, task, features, weighted, parts)
    return [asdict(each) for each in _known[key]]


def _warnings(
    table: Table, targets: Sequence[str], task: str, features: Sequence[str], weighted: bool, parts: int
) -> list[Fault]:
    warnings = [] if task == "regression" else imbalance(table.columns[targets[0]], weighted, parts)
    for target in targets:
        warnings += suspicions(associations(table, target, task, features), target)
    return warnings
