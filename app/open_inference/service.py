"""Tensors to tensors: the columns become named rows, and go the way that rows of a prediction go."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from app import strict_json
from app.datasets.features import Feature
from app.errors import Fault, Invalid, MalformedRequest, NotFound
from app.models.warm import Loaded
from app.open_inference import tensors
from app.open_inference.schemas import InferRequest, SentTensor, WantedTensor
from app.open_inference.tensors import refusal
from app.predictions import service as predictions
from app.predictions.outputs import compute, shares
from app.validation import invalid

VERSION = "1"
"""Of every model: it never changes."""

TRUTH = {"true": True, "false": False, "": None}

_body = TypeAdapter(InferRequest)


class Output(NamedTuple):
    """``values``: an array (k, width), or k texts."""

    name: str
    datatype: str
    width: int
    values: NDArray[Any] | list[str]


class Asked(NamedTuple):
    """A request, and its tensors as named rows of plain values."""

    request: InferRequest
    rows: list[dict[str, Any]]


class Answered(NamedTuple):
    """An answer: its JSON is ``header_size`` bytes long where binary tensors follow it, else None."""

    content: bytes
    header_size: int | None


def check_version(version: str) -> None:
    """Raise NotFound for any but the one that there is."""
    if version != VERSION:
        raise NotFound(f"A model has the version {VERSION}, and no other.")


def metadata(model: Loaded) -> dict[str, Any]:
    """What the model takes and makes, without asking it for anything."""
    made = _outputs(model, np.empty((0, model.architecture.s[model.architecture.n])))
    return {
        "name": model.id,
        "versions": [VERSION],
        "platform": "chainrule",
        "inputs": [_tensor(each.name, _datatype(each), 1) for each in model.encoding.features],
        "outputs": [_tensor(each.name, each.datatype, each.width) for each in made],
    }


def read(model: Loaded, body: bytes, header_size: int | None, most_rows: int) -> Asked:
    """``header_size``: the length of the JSON before binary tensors. Raises Invalid, or TooLarge."""
    if header_size is not None and header_size > len(body):
        raise MalformedRequest("Inference-Header-Content-Length says more bytes than the body has.")
    sent = strict_json.loads(body if header_size is None else body[:header_size])
    try:
        request = _body.validate_python(sent)
    except ValidationError as error:
        raise invalid(error.errors(include_url=False), sent, ("body",)) from None
    rest = memoryview(b"" if header_size is None else body)[header_size or 0 :]
    return Asked(request, _rows(model, request.inputs, rest, most_rows))


def answer(model: Loaded, asked: Asked) -> Answered:
    """Raises Invalid where the rows do not fit the model, or for an output that it does not have."""
    x, _ = model.encoding.encode_rows(asked.rows)
    return _told(model, asked.request, _outputs(model, compute(model, x)))


def _tensor(name: str, datatype: str, width: int) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [-1, width]}


def _datatype(feature: Feature) -> str:
    return "FP64" if feature.type == "number" else "BYTES"


def _rows(
    model: Loaded, sent: Sequence[SentTensor], rest: memoryview, most_rows: int
) -> list[dict[str, Any]]:
    """Named rows of plain values, from tensors in JSON or from those bytes, in the order of the tensors."""
    columns: dict[str, list[Any]] = {}
    known = {each.name: each for each in model.encoding.features}
    others = frozenset(model.encoding.other_columns)
    count = sent[0].shape[0] if sent and sent[0].shape else 0
    predictions.check_count(model, count, most_rows)
    for each in sent:
        values, rest = _values(each, count, rest)
        if each.name in columns:
            raise refusal(each.name, "invalid", "It is there twice.", "Send it once.")
        if each.name in known:
            columns[each.name] = _as_rows_have_them(known[each.name], each, values)
        elif each.name not in others:
            near = get_close_matches(each.name, sorted({*known, *others}), n=1, cutoff=0.5)
            hint = f"Did you mean '{near[0]}'?" if near else None
            raise refusal(each.name, "unknown_column", "The model has no such input.", hint)
    if len(rest):
        raise Invalid(f"{len(rest)} bytes are left behind the tensors that the JSON describes.")
    if absent := [name for name in known if name not in columns]:
        told = ", ".join(f"'{name}'" for name in absent[:10])
        message = f"The model's inputs {told} are absent."
        hint = "Send null, NaN or an empty text for a missing value."
        raise Invalid(
            f"{message} {hint}",
            *(Fault(f"inputs.{each}", "missing_column", message, hint) for each in absent[:20]),
        )
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _values(each: SentTensor, count: int, rest: memoryview) -> tuple[list[Any], memoryview]:
    """The tensor's values, and the bytes that belong to those behind it."""
    if each.datatype not in tensors.KNOWN:
        raise refusal(each.name, "not_allowed", f"The datatypes are {', '.join(tensors.KNOWN)}.")
    if each.shape != [count, 1]:
        message = "The shape is [rows, 1], with as many rows in every input."
        raise refusal(each.name, "wrong_shape", message)
    size = (each.parameters or {}).get("binary_data_size")
    if size is None:
        if each.data is None:
            raise refusal(each.name, "missing_field", "It has neither data nor a binary_data_size.")
        return tensors.from_json(each.name, each.datatype, each.data, count), rest
    if type(size) is not int or not 0 <= size <= len(rest):
        message = f"binary_data_size is not a number of bytes that are there; {len(rest)} are left."
        raise refusal(each.name, "wrong_shape", message)
    return tensors.from_bytes(each.name, each.datatype, rest[:size], count), rest[size:]


def _as_rows_have_them(feature: Feature, sent: SentTensor, values: list[Any]) -> list[Any]:
    """Booleans as such, and no text where a number belongs; the rest the encoding sees to."""
    if feature.type == "boolean" and sent.datatype == "BYTES":
        return [TRUTH.get(value.strip().lower(), value) if value is not None else None for value in values]
    if (feature.type == "number") != (sent.datatype != "BYTES") and feature.type != "boolean":
        message = f"Expected {_datatype(feature)}, got {sent.datatype}."
        raise refusal(sent.name, "wrong_type", message)
    return values


def _outputs(model: Loaded, outputs: NDArray[Any]) -> list[Output]:
    """A label is empty where an output is not finite, and so has no class."""
    encoding = model.encoding
    if encoding.classes is None:
        return [Output("predictions", "FP64", len(encoding.targets), encoding.unscale(outputs))]
    probabilities = shares(model, outputs).astype(np.float32)
    finite = np.isfinite(outputs).all(axis=1).tolist()
    answers = encoding.decode_outputs(outputs)
    labels = [label if fine else "" for label, fine in zip(answers, finite, strict=True)]
    return [
        Output("probabilities", "FP32", len(encoding.classes), probabilities),
        Output("label", "BYTES", 1, labels),
    ]


def _told(model: Loaded, asked: InferRequest, made: list[Output]) -> Answered:
    by_name = {each.name: each for each in made}
    wanted = asked.outputs or [WantedTensor(name=each.name) for each in made]
    in_binary = (asked.parameters or {}).get("binary_data_output") is True
    described, blocks = [], []
    for each in wanted:
        found = by_name.get(each.name)
        if found is None:
            message = f"The model's outputs are {', '.join(by_name)}."
            raise Invalid(f"outputs: {message}", Fault("outputs", "unknown_column", message))
        told = {**_tensor(found.name, found.datatype, found.width)}
        told["shape"] = [len(found.values), found.width]
        if (each.parameters or {}).get("binary_data", in_binary) is True:
            blocks.append(tensors.to_bytes(found.values))
            told["parameters"] = {"binary_data_size": len(blocks[-1])}
        else:
            told["data"] = tensors.plain(found.values)
        described.append(told)
    answer: dict[str, Any] = {"model_name": model.id, "model_version": VERSION, "outputs": described}
    if asked.id is not None:
        answer["id"] = asked.id
    header = to_json(answer, inf_nan_mode="null")
    return Answered(b"".join([header, *blocks]), len(header) if blocks else None)
