"""Rows to answers, through a model's encoding and its network."""

import numpy as np
from pydantic_core import to_json

from app.datasets.features import Floats
from app.engine import Array
from app.errors import Fault, Invalid, TooLarge
from app.models.service import matrix
from app.models.warm import Loaded
from app.predictions.outputs import compute, shares
from app.predictions.schemas import PredictRequest

MOST_OUTPUTS = 5_000_000
"""Numbers a^(n) of one answer."""

NOT_FINITE = "With these values an output is beyond the range of the model's dtype: it has no prediction."

WAY_OUT = "A file of rows that is sent to /predict, as CSV or Parquet, may have any number."

OUTPUT_WORK = 50
"""Multiplications that take as long as putting one output into JSON does."""


def work(model: Loaded, asked: PredictRequest) -> int:
    """About how many multiplications the answer takes, or what takes as long."""
    return work_of(model, len(asked.rows or asked.inputs or ()))


def work_of(model: Loaded, rows: int) -> int:
    """The same for so many rows, however they came."""
    return rows * (model.parameters.flat.size + OUTPUT_WORK * model.architecture.s[model.architecture.n])


def predict(model: Loaded, asked: PredictRequest, most_rows: int) -> bytes:
    """The answer as JSON. Raises Invalid, naming row and column, or TooLarge."""
    x, warnings = _encoded(model, asked, most_rows)
    outputs = compute(model, x)
    predictions = model.encoding.decode_outputs(outputs)
    finite = np.isfinite(outputs)
    for row in () if finite.all() else np.flatnonzero(~finite.all(axis=1)).tolist():
        if model.encoding.classes is not None:
            predictions[row] = None  # the greatest of what is no number is no class
        param = f"{'rows' if asked.inputs is None else 'inputs'}[{row}]"
        warnings.append({"row": row, "param": param, "code": "not_finite", "message": NOT_FINITE})
    answer = {
        "model_id": model.id,
        "predictions": predictions,
        "probabilities": _by_class(model, outputs),
        "outputs": outputs.tolist(),
        "warnings": warnings,
    }
    return to_json(answer, inf_nan_mode="null")  # float32 ends where a target's units may not


def check_count(model: Loaded, rows: int, most_rows: int) -> None:
    """Raise TooLarge for more rows than one answer may have."""
    if rows > most_rows:
        raise TooLarge(f"At most {most_rows} rows at once. {WAY_OUT}")
    width = model.architecture.s[model.architecture.n]
    if rows * width > MOST_OUTPUTS:
        raise TooLarge(
            f"{rows} rows with {width} outputs each are {rows * width} numbers; "
            f"one answer holds at most {MOST_OUTPUTS}. Send at most {MOST_OUTPUTS // width} rows at once. "
            + WAY_OUT
        )


def _encoded(model: Loaded, asked: PredictRequest, most_rows: int) -> tuple[Floats, list[dict[str, object]]]:
    rows = asked.rows if asked.rows is not None else asked.inputs
    if rows is None or (asked.rows is not None and asked.inputs is not None):
        message = "Give either rows or inputs."
        raise Invalid(message, Fault("rows", "missing_field", message, '{"rows": [{"column": value}]}'))
    check_count(model, len(rows), most_rows)
    if asked.inputs is not None:
        return matrix(asked.inputs, model.architecture.s[1], "inputs"), []
    x, warnings = model.encoding.encode_rows(asked.rows or [])
    return x, [each._asdict() for each in warnings]


def _by_class(model: Loaded, outputs: Array) -> list[dict[str, float]] | None:
    classes = model.encoding.classes
    if classes is None:
        return None
    return [dict(zip(classes, row, strict=True)) for row in shares(model, outputs).tolist()]
