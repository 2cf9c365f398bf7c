"""An ONNX model run on raw rows, as a program of a user's would."""

from datetime import datetime
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from app.exports.recipe import DateInput, Input, NumberInput
from app.exports.vectors import Answers

Json = dict[str, Any]


def run(model: bytes, inputs: tuple[Input, ...], rows: list[Json]) -> Answers:
    """What it answers."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
    columns = {each.name: _column(each, rows) for each in inputs}
    *labels, numbers = session.run(None, columns)
    names = [label or None for label in labels[0][:, 0].tolist()] if labels else None
    return Answers(names, numbers.astype(np.float64))


def _column(each: Input, rows: list[Json]) -> NDArray[Any]:
    values = [row[each.name] for row in rows]
    if isinstance(each, NumberInput):
        return np.array([[np.nan if value is None else value] for value in values], np.float64)
    if isinstance(each, DateInput):
        return np.array([[_seconds(value)] for value in values], np.float64)
    return np.array([[_word(value)] for value in values], object)


def _word(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _seconds(value: str | None) -> float:
    if value is None:
        return np.nan
    return (datetime.fromisoformat(value) - datetime(1970, 1, 1)).total_seconds()
