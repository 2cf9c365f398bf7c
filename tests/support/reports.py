"""What a run reports, so that two runs can be compared, and how its snapshots are kept."""

import json

import numpy as np

from app import engine

Report = engine.Progress | engine.Epoch | engine.Finished


def facts(report: Report) -> object:
    """Everything but the time it took, and the way to take a snapshot."""
    if isinstance(report, engine.Finished):
        return (report.stop_reason, report.best_epoch, report.cost, report.validation_cost,
                report.parameters.sha256())  # fmt: skip
    return type(report), {k: v for k, v in report._asdict().items() if k not in ("seconds", "snapshot")}


def stored(snapshot: engine.Snapshot, plan: engine.Plan) -> engine.Snapshot:
    """Through bytes and JSON, as a database would have it."""
    arrays, scalars = snapshot.to_parts()
    arrays = {
        name: np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)
        for name, array in arrays.items()
    }
    return engine.Snapshot.from_parts(plan, arrays, json.loads(json.dumps(scalars, allow_nan=False)))
