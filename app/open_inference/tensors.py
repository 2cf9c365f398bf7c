"""Tensors: from JSON or bytes to plain values, and answers back. No size is believed before it is checked."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import Fault, Invalid

NUMBERS = {
    "BOOL": "?",
    "FP64": "<f8",
    "FP32": "<f4",
    "FP16": "<f2",
    "INT64": "<i8",
    "INT32": "<i4",
    "INT16": "<i2",
    "INT8": "i1",
    "UINT64": "<u8",
    "UINT32": "<u4",
    "UINT16": "<u2",
    "UINT8": "u1",
}
"""By datatype, NumPy's name for it: little-endian, as the protocol has it."""

KNOWN = (*NUMBERS, "BYTES")
LENGTH_BYTES = 4
"""Of what stands before each value of BYTES."""


def refusal(name: str, code: str, message: str, hint: str | None = None) -> Invalid:
    """About the input of that name."""
    told = name[:255]
    whole = f"inputs: '{told}': {message}" if told else f"inputs: {message}"
    return Invalid(f"{whole} {hint}" if hint else whole, Fault(f"inputs.{told}", code, message, hint))


def from_json(name: str, datatype: str, data: Sequence[Any], rows: int) -> list[Any]:
    """``rows`` values, each in a list of its own or not. Raises Invalid."""
    if any(type(value) is list for value in data):
        if not all(type(value) is list and len(value) == 1 for value in data):
            raise refusal(name, "wrong_shape", "Nested data has one value in each row.")
        data = [value[0] for value in data]
    if len(data) != rows:
        raise refusal(name, "wrong_shape", f"The shape says {rows} rows; data has {len(data)} values.")
    wanted: set[type] = {int, float, bool} if datatype == "BOOL" else {int, float}
    if datatype == "BYTES":
        wanted = {str}
    if not set(map(type, data)) <= wanted | {type(None)}:
        raise refusal(name, "wrong_type", f"Data holds a value that is not {datatype}, nor null.")
    return list(data)


def from_bytes(name: str, datatype: str, data: memoryview, rows: int) -> list[Any]:
    """``rows`` values; NaN is missing, as null is in JSON. Raises Invalid where the sizes do not agree."""
    if datatype == "BYTES":
        return _texts(name, data, rows)
    kind = np.dtype(NUMBERS[datatype])
    if len(data) != rows * kind.itemsize:
        message = f"{rows} rows of {datatype} are {rows * kind.itemsize} bytes, not {len(data)}."
        raise refusal(name, "wrong_shape", message)
    values: list[Any] = np.frombuffer(data, kind).tolist()
    return [None if value != value else value for value in values] if kind.kind == "f" else values


def _texts(name: str, data: memoryview, rows: int) -> list[str]:
    values: list[str] = []
    start = 0
    while start < len(data):
        end = start + LENGTH_BYTES + int.from_bytes(data[start : start + LENGTH_BYTES], "little")
        if end > len(data) or start + LENGTH_BYTES > len(data):
            raise refusal(name, "wrong_shape", "A value of BYTES says that it is longer than its tensor.")
        if len(values) == rows:
            break
        try:
            values.append(str(data[start + LENGTH_BYTES : end], "utf-8"))
        except UnicodeDecodeError:
            raise refusal(name, "not_utf8", f"Row {len(values)} is not UTF-8.") from None
        start = end
    if len(values) != rows or start != len(data):
        raise refusal(name, "wrong_shape", f"The shape says {rows} rows; its bytes hold another number.")
    return values


def plain(values: NDArray[Any] | list[str]) -> list[Any]:
    """Flat, row by row."""
    flat: list[Any] = values if isinstance(values, list) else values.ravel().tolist()
    return flat


def to_bytes(values: NDArray[Any] | list[str]) -> bytes:
    """As `from_bytes` reads them."""
    if not isinstance(values, list):
        return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    encoded = [value.encode() for value in values]
    return b"".join(len(each).to_bytes(LENGTH_BYTES, "little") + each for each in encoded)
