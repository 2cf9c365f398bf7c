"""Rows to answers, through a model's encoding and its network."""

import numpy as np

from app.datasets.features import Floats
from app.engine import Array
from app.engine import predict as forward
from app.errors import Fault, Invalid, TooLarge
from app.models.evaluation import probabilities
from app.models.service import matrix
from app.models.warm import Loaded
from app.predictions.schemas import PredictRequest
from app.storage.columns import to_json


def predict(model: Loaded, asked: PredictRequest, most_rows: int) -> bytes:
    """The answer as JSON. Raises Invalid, naming row and column, or TooLarge beyond ``most_rows``."""
    x, warnings = _encoded(model, asked, most_rows)
    with np.errstate(all="ignore"):
        outputs = forward(model.architecture, model.parameters, x.astype(model.parameters.flat.dtype))
    return to_json(
        {
            "model_id": model.id,
            "predictions": _finite(model.encoding.decode_outputs(outputs)),
            "probabilities": _by_class(model, outputs),
            "outputs": _finite(outputs.tolist()),
            "warnings": warnings,
        }
    ).encode()


def _encoded(model: Loaded, asked: PredictRequest, most_rows: int) -> tuple[Floats, list[dict[str, object]]]:
    rows = asked.rows if asked.rows is not None else asked.inputs
    if rows is None or (asked.rows is not None and asked.inputs is not None):
        message = "Give either rows or inputs."
        raise Invalid(message, Fault("rows", "missing_field", message, '{"rows": [{"column": value}]}'))
    if len(rows) > most_rows:
        raise TooLarge(f"At most {most_rows} rows at once.")
    if asked.inputs is not None:
        return matrix(asked.inputs, model.architecture.s[1], "inputs"), []
    x, warnings = model.encoding.encode_rows(asked.rows or [])
    return x, [each._asdict() for each in warnings]


def _by_class(model: Loaded, outputs: Array) -> list[dict[str, float]] | None:
    classes = model.encoding.classes
    if classes is None:
        return None
    shares: Array = outputs
    if model.architecture.layers[-1].activation != "softmax":
        shares = probabilities(outputs)
    return [dict(zip(classes, row, strict=True)) for row in shares.tolist()]


def _finite(value: object) -> object:
    """What is not finite, as float32 beyond its range, becomes null."""
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, list):
        return [_finite(each) for each in value]
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    return value
