"""NPY in, NPY out, in the API process: a header whose every field is checked, and plain numbers behind it."""

import math
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.datasets.encoding import Encoding
from app.datasets.features import NumberFeature
from app.datasets.table import Column, Table
from app.errors import Fault, Invalid
from app.models.warm import Loaded
from app.predictions.outputs import compute, values
from app.predictions.service import MOST_OUTPUTS

HEADER_BYTES = 4096
"""NumPy's own headers of matrices have 128; a longer one is never parsed."""

BLOCK_CELLS = 131_072
"""So many numbers are encoded and answered at once: a megabyte, which stays near the processor."""

MOST_FEW_ROWS = 64
"""As many rows at least."""

KINDS = {"<f8", "<f4", "<f2", "<i8", "<i4", "<i2", "|i1", "<u8", "<u4", "<u2", "|u1", "|b1"}


def answer(model: Loaded, body: bytes) -> bytes | None:
    """``body``: one row a row, one column for each of the model's inputs, in their order; NaN is missing.

    Answers probabilities (k, classes) in the model's dtype, or predictions (k, targets) in float64; None
    where these are more than `MOST_OUTPUTS` numbers, which a child may answer. Raises Invalid.
    """
    raw = read(body)
    features = model.encoding.features
    if any(each.type != "number" for each in features):
        message = "A matrix holds numbers only, and the model has other inputs."
        raise _no_matrix("wrong_type", message, "Send CSV, JSON Lines, Parquet or Arrow.")
    if raw.shape[1] != len(features):
        message = f"The model has {len(features)} inputs; the matrix has {raw.shape[1]} columns."
        raise _no_matrix("wrong_shape", message)
    if len(raw) * model.encoding.output_width > MOST_OUTPUTS:
        return None
    size = max(MOST_FEW_ROWS, BLOCK_CELLS // max(1, len(features)))
    blocks = [
        values(model, compute(model, _encoded(model.encoding, raw[start : start + size], start)))
        for start in range(0, max(1, len(raw)), size)
    ]
    buffer = BytesIO()
    np.lib.format.write_array(buffer, np.concatenate(blocks), allow_pickle=False)
    return buffer.getvalue()


def read(body: bytes) -> NDArray[Any]:
    """The matrix (k, d) that the bytes are, without a copy. Raises Invalid for anything else."""
    stream = BytesIO(body[: HEADER_BYTES + 16])
    try:
        version = np.lib.format.read_magic(stream)
        size = int.from_bytes(body[8:10] if version == (1, 0) else body[8:12], "little")
        if version not in ((1, 0), (2, 0)) or size > HEADER_BYTES:
            raise ValueError("a header of another kind")
        read_header = np.lib.format.read_array_header_1_0
        if version == (2, 0):
            read_header = np.lib.format.read_array_header_2_0
        shape, by_columns, dtype = read_header(stream, max_header_size=HEADER_BYTES)
    except Exception:
        raise _no_matrix("unreadable_file", "The body is no NPY, or its header is not NumPy's own.") from None
    if dtype.str not in KINDS:
        raise _no_matrix("wrong_type", "The matrix holds something else than little-endian numbers.")
    if len(shape) != 2 or min(shape) < 0:
        raise _no_matrix("wrong_shape", "Expected a matrix: rows and columns.")
    begin = stream.tell()
    if math.prod(shape) * dtype.itemsize != len(body) - begin:
        raise _no_matrix("wrong_shape", "The header's shape and the number of bytes behind it do not agree.")
    order = "F" if by_columns else "C"
    return np.frombuffer(body, dtype, offset=begin).reshape(shape, order=order)  # type: ignore[call-overload,no-any-return]


def _encoded(encoding: Encoding, raw: NDArray[Any], first: int) -> NDArray[np.float64]:
    """x (k, s_1) of raw values (k, d), whose first row has the number ``first``."""
    x = _standardised(encoding, raw)
    if x is None:
        names = [each.name for each in encoding.features]
        columns = {name: Column(name, "number", raw[:, i].astype(np.float64)) for i, name in enumerate(names)}
        x = encoding.encode_inputs(Table(len(raw), columns), np.arange(len(raw)))
    if not np.isfinite(x).all():
        row = int(np.argmin(np.isfinite(x).all(axis=1)))
        raise _no_matrix(
            "infinite_number", f"Row {first + row} holds a number that is infinite, or too large."
        )
    return x


def _standardised(encoding: Encoding, raw: NDArray[Any]) -> NDArray[np.float64] | None:
    """The same, of all columns at once; None where a value is missing, or a feature is more than a number."""
    features = [each for each in encoding.features if type(each) is NumberFeature and each.width == 1]
    if len(features) < len(encoding.features):
        return None
    x = raw.astype(np.float64)
    x -= np.array([each.offset for each in features])
    x /= np.array([each.scale for each in features])
    return None if np.isnan(x).any() else x


def _no_matrix(code: str, message: str, hint: str | None = None) -> Invalid:
    return Invalid(f"body: {message}", Fault("body", code, message, hint))
