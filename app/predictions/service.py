"""Rows to answers, through a model's encoding and its network."""

import numpy as np
from pydantic_core import to_json

from app.datasets.features import Floats
from app.engine import Array
from app.engine import predict as forward
from app.errors import Fault, Invalid, TooLarge
from app.models.evaluation import probabilities
from app.models.service import matrix
from app.models.warm import Loaded
from app.predictions.schemas import PredictRequest


def predict(model: Loaded, asked: PredictRequest, most_rows: int) -> bytes:
    """The answer as JSON. Raises Invalid, naming row and column, or TooLarge beyond ``most_rows``."""
    x, warnings = _encoded(model, asked, most_rows)
    with np.errstate(all="ignore"):
        outputs = forward(model.architecture, model.parameters, x.astype(model.parameters.flat.dtype))
    answer = {
        "model_id": model.id,
        "predictions": model.encoding.decode_outputs(outputs),
        "probabilities": _by_class(model, outputs),
        "outputs": outputs.tolist(),
        "warnings": warnings,
    }
    return to_json(answer, inf_nan_mode="null")  # float32 ends where a target's units may not


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
