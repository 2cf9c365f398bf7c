"""Models as clients see them: description, parameters, trace, deletion."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from app.aliases import service as aliases
from app.datasets.encoding import Encoding
from app.datasets.features import Floats
from app.engine import trace as engine_trace
from app.errors import Conflict, Fault, Invalid
from app.keys.service import Principal
from app.models.tracing import TraceRequest
from app.models.warm import Loaded
from app.storage import lookup
from app.storage.blobs import Blobs
from app.storage.tables import Job, Model

EQUATIONS = {
    "z": "(2)",
    "a": "(3)",
    "cost.examples": "(5)",
    "cost.overall": "(6)",
    "f_prime": "(15)",
    "delta": "(14)-(18)",
    "gradients.W": "(9), (11), (13)",
    "gradients.b": "(10), (12)",
    "update.parameters.W": "(7)",
    "update.parameters.b": "(8)",
}

MOST_TOLD = 10
"""Aliases that a refusal names."""

_EXTENSIONS = {
    "cross_entropy": {"cost.examples": "-sum y ln a, in place of (5)"},
    "absolute_error": {
        "cost.examples": "sum |a - y|, in place of (5)",
        "delta": "(14)-(18), with sign(a - y) in place of (17)",
    },
    "huber": {
        "cost.examples": "sum of e^2/2 where |e| <= 1, else |e| - 1/2, with e = a - y, in place of (5)",
        "delta": "(14)-(18), with a - y cut to [-1, 1] in place of (17)",
    },
}


def get(
    session: Session, principal: Principal, reference: str, *, param: str = "model_id", lock: bool = False
) -> Model:
    """The model of that id, or that the alias stands for. Raises NotFound naming ``param``."""
    model_id = aliases.meant(principal.project_id, reference)
    return lookup.get(session, Model, principal.project_id, model_id, param, lock=lock)


def delete(session: Session, blobs: Blobs, principal: Principal, model_id: str) -> None:
    """Delete a model; the job that made it stays, and names it no more. Raises Conflict if it has aliases."""
    model = get(session, principal, model_id, lock=True)
    if names := aliases.names_of(session, model.project_id, [model.id]).get(model.id):
        told = ", ".join(f"'{each}'" for each in names[:MOST_TOLD])
        more = f" and {len(names) - MOST_TOLD} more" if len(names) > MOST_TOLD else ""
        message = f"The model has the aliases {told}{more}. Delete them first, or set them to another model."
        raise Conflict(message, allowed=("read",))
    job = session.get(Job, model.job_id) if model.job_id else None
    if job is not None and job.model_id == model.id:
        job.model_id = None
    session.delete(model)
    session.flush()
    blobs.release(session, model.parameters)


def answers(session: Session, rows: Sequence[Model]) -> list[dict[str, Any]]:
    """Models of one project as clients see them."""
    if not rows:
        return []
    named = aliases.names_of(session, rows[0].project_id, [row.id for row in rows])
    return [_answer(row, named.get(row.id, [])) for row in rows]


def answer(session: Session, model: Model) -> dict[str, Any]:
    """The model as clients see it."""
    return answers(session, [model])[0]


def _answer(model: Model, names: list[str]) -> dict[str, Any]:
    return {
        "id": model.id,
        "created_at": model.created_at,
        "created_by": model.created_by,
        "name": model.name,
        "metadata": model.labels,
        "aliases": names,
        "job_id": model.job_id,
        "epoch": model.epoch,
        "dataset_id": model.dataset_id,
        "dataset_sha256": model.dataset_sha256,
        "task": model.task,
        "architecture": model.architecture,
        "parameter_count": model.parameter_count,
        **described(model),
        "cost": model.cost,
        "metrics": model.metrics,
        "sha256": model.sha256,
    }


def described(model: Model) -> dict[str, Any]:
    """What goes in and what comes out."""
    encoding = Encoding.from_json(model.encoding)
    return {
        "inputs": [
            {
                "name": each.name,
                "type": each.type,
                "categories": None if each.type == "number" or each.type == "date" else list(each.categories),
            }
            for each in encoding.features
        ],
        "outputs": _outputs(encoding),
        "classes": None if encoding.classes is None else list(encoding.classes),
    }


def _outputs(encoding: Encoding) -> list[dict[str, Any]]:
    if encoding.classes is None:
        return [{"name": target.name, "type": "number"} for target in encoding.targets]
    return [{"name": encoding.targets[0].name, "type": "category", "classes": list(encoding.classes)}]


def parameters(model: Loaded) -> dict[str, Any]:
    """W^(l) and b^(l), unrounded: float32 values are given as the float64 that equals them."""
    pairs = model.parameters.pairs()
    return {"data": [{"W": W.tolist(), "b": b.tolist()} for W, b in pairs]}


def trace(model: Loaded, asked: TraceRequest) -> dict[str, Any]:
    """Every number of one iteration of gradient descent over the given examples, in float64."""
    x, y = _examples(model, asked)
    decay = model.training["weight_decay"] if asked.weight_decay is None else asked.weight_decay
    found = engine_trace(
        model.architecture, model.parameters, x, y, model.training["cost"], asked.learning_rate, decay
    )
    n = model.architecture.n
    layers: list[dict[str, Any]] = [{"l": 1, "a": _plain(found.a[1])}]
    for l in range(2, n + 1):
        slope = found.f_prime[l]
        layers.append(
            {
                "l": l,
                "activation": model.architecture.layers[l - 2].activation,
                "z": _plain(found.z[l]),
                "a": _plain(found.a[l]),
                "f_prime": None if slope is None else _plain(slope),
                "delta": _plain(found.delta[l]),
            }
        )
    nabla = found.nabla.pairs()
    return {
        "model_id": model.id,
        "s": list(model.architecture.s.values()),
        "cost": {"examples": _plain(found.costs), "overall": _plain(np.array(found.cost))},
        "layers": layers,
        "gradients": [{"l": l, "W": _plain(W), "b": _plain(b)} for l, (W, b) in enumerate(nabla, 1)],
        "update": {
            "alpha": asked.learning_rate,
            "lambda": decay,
            "parameters": [{"W": _plain(W), "b": _plain(b)} for W, b in found.updated.pairs()],
        },
        "equations": EQUATIONS | _EXTENSIONS.get(model.training["cost"], {}),
    }


def _plain(array: NDArray[np.floating[Any]]) -> Any:
    """Nested lists; what is not finite is null."""
    finite = np.isfinite(array)
    if finite.all():
        return array.tolist()
    plain = array.astype(object)
    plain[~finite] = None
    return plain.tolist()


def _examples(model: Loaded, asked: TraceRequest) -> tuple[Floats, Floats]:
    if asked.rows is not None:
        if asked.inputs is not None or asked.targets is not None:
            message = "Give rows, or inputs and targets, not both."
            raise Invalid(message, Fault("rows", "not_allowed", message))
        x, _ = model.encoding.encode_rows(asked.rows)
        return x, _targets(model.encoding, asked.rows)
    if asked.inputs is None or asked.targets is None:
        message = "Give rows with their target, or inputs and targets."
        raise Invalid(message, Fault("rows", "missing_field", message))
    s, n = model.architecture.s, model.architecture.n
    x, y = matrix(asked.inputs, s[1], "inputs"), matrix(asked.targets, s[n], "targets")
    if len(x) != len(y):
        message = f"There are {len(x)} inputs and {len(y)} targets."
        raise Invalid(message, Fault("targets", "wrong_shape", message))
    return x, y


def _targets(encoding: Encoding, rows: list[dict[str, Any]]) -> Floats:
    """y (k, s_n) of named rows. Raises Invalid where a target is missing or is no class of the model."""
    y = np.zeros((len(rows), encoding.output_width))
    for index, row in enumerate(rows):
        for place, target in enumerate(encoding.targets):
            value = row.get(target.name)
            param = f"rows[{index}].{target.name}"
            if value is None:
                message = "A trace needs the target's value."
                raise Invalid(f"{param}: {message}", Fault(param, "missing_target", message))
            if encoding.classes is not None:
                spelled = json.dumps(value) if isinstance(value, bool | int) else str(value)
                if spelled not in encoding.classes:
                    message = "The model has no such class."
                    raise Invalid(f"{param}: {message}", Fault(param, "unknown_class", message))
                y[index, encoding.classes.index(spelled)] = 1.0
            elif isinstance(value, bool) or not isinstance(value, int | float):
                message = "Expected a number."
                raise Invalid(f"{param}: {message}", Fault(param, "wrong_type", message))
            else:
                y[index, place] = (value - target.offset) / target.scale
    return y


def matrix(rows: list[list[float]], width: int, param: str) -> Floats:
    """(k, width) float64. Raises Invalid naming the first row of another length."""
    for index, row in enumerate(rows):
        if len(row) != width:
            message = f"Expected {width} numbers, got {len(row)}."
            fault = Fault(f"{param}[{index}]", "wrong_shape", message)
            raise Invalid(f"{fault.param}: {message}", fault)
    return np.array(rows, dtype=np.float64).reshape(len(rows), width)
