"""A trained network, and all that it needs but Python (3.10 or newer), whose standard library is enough.

    from model import predict
    predict([{"column": 1.5, ...}])    # rows by column name; None is a missing value
    verify()                           # the rows it was tried on that come out differently here: []

On the command line, ``python model.py rows.csv`` writes the rows with their predictions, and
``python model.py`` alone verifies.
"""

from __future__ import annotations

import array
import base64
import csv
import json
import math
import operator
import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime, timezone
from typing import Any

MODEL: dict[str, Any] = json.loads("{}")

TRUTH = {
    **dict.fromkeys(("true", "yes", "t", "y", "on"), True),
    **dict.fromkeys(("false", "no", "f", "n", "off"), False),
}
TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
MISSING_WORDS = ("", "nan", "na", "n/a", "null", "none", "?")


def sigmoid(z: float) -> float:
    if z >= 0:
        return 1 / (1 + math.exp(-z))
    e = math.exp(z)
    return e / (1 + e)


def softplus(z: float) -> float:
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


def softmax(z: list[float]) -> list[float]:
    largest = max(z)
    powers = [math.exp(each - largest) for each in z]
    return [each / sum(powers) for each in powers]


ACTIVATIONS: dict[str, Callable[[float], float]] = {
    "identity": lambda z: z,
    "sigmoid": sigmoid,
    "tanh": math.tanh,
    "relu": lambda z: max(z, 0.0),
    "leaky_relu": lambda z: max(z, z / 100),
    "elu": lambda z: z if z > 0 else math.expm1(z),
    "softplus": softplus,
    "silu": lambda z: z * sigmoid(z),
    "gelu": lambda z: z * math.erfc(-z / math.sqrt(2)) / 2,
}


def _numbers(text: str) -> list[float]:
    numbers: array.array[float] = array.array(
        "f" if MODEL["dtype"] == "float32" else "d", base64.b64decode(text)
    )
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


def _layers() -> Iterator[tuple[list[list[float]], list[float], str]]:
    """Of each layer the rows of W, b and the activation's name."""
    for layer in MODEL.get("layers", ()):
        b, flat = _numbers(layer["b"]), _numbers(layer["W"])
        width = len(flat) // len(b)
        yield [flat[i : i + width] for i in range(0, len(flat), width)], b, layer["activation"]


LAYERS = list(_layers())


def _number(value: Any, column: dict[str, Any]) -> list[float]:
    if value is None or value != value:
        value = column["missing"]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("it is no number")
    encoded = (value - column["offset"]) / column["scale"]
    if not math.isfinite(encoded):
        raise ValueError("the number is not finite")
    return [encoded]


def _boolean(value: Any, column: dict[str, Any]) -> list[float]:
    if isinstance(value, str):
        word = value.strip().lower()
        value = None if word in MISSING_WORDS else TRUTH.get(word, value)
    if value is not None and not isinstance(value, bool):
        raise ValueError("it is neither True nor False")
    return [float(column["missing"] if value is None else value)]


def _date(value: Any, column: dict[str, Any]) -> list[float]:
    t = None if _is_missing(value, column) else _seconds(value, column["date_format"])
    encoded = [((column["missing"] if t is None else t) - column["offset"]) / column["scale"]]
    for length, shift in column["cycles"]:
        angle = 0.0 if t is None else math.tau * ((t - shift) / length % 1.0)
        encoded += [0.0, 0.0] if t is None else [math.sin(angle), math.cos(angle)]
    return encoded


def _seconds(value: Any, form: str) -> float:
    """Since 1970, of a date, or of text in ISO 8601 or as the dataset wrote it."""
    moment = _moment(value.strip(), form) if isinstance(value, str) else value
    if not isinstance(moment, date):
        raise ValueError("it is no date")
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)
    if moment.tzinfo is not None:
        moment = moment.astimezone(timezone.utc).replace(tzinfo=None)  # noqa: UP017 (UTC: Python 3.11)
    return (moment - datetime(1970, 1, 1)).total_seconds()


def _moment(text: str, form: str) -> Any:
    try:
        text = text.removesuffix(" UTC")
        return datetime.fromisoformat(text[:-1] + "+00:00" if text[-1:] in ("z", "Z") else text)
    except ValueError:
        pass
    for time in TIMES if form != "iso" else ():
        try:
            return datetime.strptime(text, form + time)
        except ValueError:
            continue
    return None


def _category(value: Any, column: dict[str, Any]) -> list[float]:
    encoded = [0.0] * column["own"]
    slot = _slot(value, column)
    if slot is not None:
        encoded[slot] = 1.0
    return encoded


def _slot(value: Any, column: dict[str, Any]) -> int | None:
    slots: dict[str, int] = column["slots"]
    missing: int | None = column["missing"]
    if value is None or value != value:
        return missing
    if not isinstance(value, (str, int, float)):
        raise ValueError("it is no text")
    for spelling in _spellings(value):
        if spelling in slots:
            return slots[spelling]
        if isinstance(value, str) and spelling.lower() in MISSING_WORDS:
            return missing
    if isinstance(value, bool):
        raise ValueError("it is no text")
    unknown: int | None = column["unknown"]
    return unknown


def _is_missing(value: Any, column: dict[str, Any]) -> bool:
    if value is None or value != value:
        return True
    words = _spellings(value) if isinstance(value, str) else ()
    known = any(word in column.get("slots", ()) for word in words)
    return not known and any(word.lower() in MISSING_WORDS for word in words)


def _spellings(value: Any) -> tuple[str, ...]:
    """How a category may have been spelled: 1.0 also as 1, and text without the space around it."""
    if isinstance(value, bool):
        return (str(value).lower(),)
    if isinstance(value, float) and value.is_integer():
        return (repr(value), str(int(value)))
    return (value, value.strip()) if isinstance(value, str) else (repr(value),)


ENCODERS = {"number": _number, "boolean": _boolean, "category": _category, "date": _date}


def encode(row: dict[str, Any]) -> list[float]:
    """The network's inputs x. Raises ValueError naming the column that is absent or of a wrong kind."""
    x: list[float] = []
    for column in MODEL["inputs"]:
        name = column["name"]
        if name not in row:
            raise ValueError(f"column {name!r} is absent: give None where its value is missing")
        try:
            x += ENCODERS[column["type"]](row[name], column)
            if column["indicator"] != "none":
                x.append(float(column["indicator"] == "active" and _is_missing(row[name], column)))
        except (ValueError, OverflowError) as error:
            raise ValueError(f"column {name!r}: {error}") from None
    return x


def forward(x: list[float]) -> list[float]:
    """The network's outputs h(x)."""
    for W, b, name in LAYERS:
        z = [sum(map(operator.mul, weights, x)) + bias for weights, bias in zip(W, b, strict=True)]
        x = softmax(z) if name == "softmax" else [ACTIVATIONS[name](each) for each in z]
    return x


def predict(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each row its "prediction": a class, a number or, of several targets, {name: number}; of a class
    also "probabilities". None: beyond what floating point can say.
    """
    return [_answer(forward(encode(row))) for row in rows]


def _answer(outputs: list[float]) -> dict[str, Any]:
    finite = all(map(math.isfinite, outputs))
    classes = MODEL["classes"]
    if classes is None:
        targets = MODEL["targets"]
        scaled = [out * each["scale"] + each["offset"] for out, each in zip(outputs, targets, strict=True)]
        numbers = [each if math.isfinite(each) else None for each in scaled]
        if len(numbers) == 1:
            return {"prediction": numbers[0]}
        return {"prediction": {each["name"]: n for each, n in zip(targets, numbers, strict=True)}}
    if not finite:
        return {"prediction": None, "probabilities": dict.fromkeys(classes)}
    shares = dict(zip(classes, _shares(outputs), strict=True))
    return {"prediction": classes[outputs.index(max(outputs))], "probabilities": shares}


def _shares(outputs: list[float]) -> list[float]:
    """They add up to 1: those of softmax do, others are clipped and scaled."""
    positive = [max(each, 0.0) for each in outputs]
    total = sum(positive)
    if total <= 0:
        return [1 / len(positive)] * len(positive)
    return [each / total for each in positive] if abs(total - 1) > 1e-4 else positive


def verify() -> list[int]:
    """The numbers of the stored rows whose answers are others than those of the server."""
    wrong = []
    for number, row in enumerate(MODEL["vectors"]["rows"]):
        (found,) = predict([row])
        if MODEL["classes"] is not None:
            numbers = list(found["probabilities"].values())
        else:
            answer = found["prediction"]
            numbers = list(answer.values()) if isinstance(answer, dict) else [answer]
        wanted, tolerance = (MODEL["vectors"][name][number] for name in ("answers", "tolerance"))
        near = all(
            each is not None and abs(each - other) <= most
            for each, other, most in zip(numbers, wanted, tolerance, strict=True)
        )
        if not near:
            wrong.append(number)
    return wrong


def _read(text: str, kind: str) -> Any:
    """A CSV's cell."""
    word = text.strip().lower()
    if word in MISSING_WORDS:
        return None
    if kind == "number":
        try:
            return float(text)
        except ValueError:
            return text
    if kind == "boolean":
        return {"true": True, "false": False, "1": True, "0": False}.get(word, text)
    return text


def main(path: str) -> None:
    """Write the CSV's rows with their predictions."""
    kinds = {column["name"]: column["type"] for column in MODEL["inputs"]}
    writer = csv.writer(sys.stdout)
    with open(path, newline="", encoding="utf-8-sig") as file:
        for number, cells in enumerate(csv.DictReader(file)):
            row = {name: _read(cells[name] or "", kind) for name, kind in kinds.items() if name in cells}
            try:
                (found,) = predict([row])
            except ValueError as error:
                sys.exit(f"row {number + 1}: {error}")
            answer, shares = found["prediction"], found.get("probabilities") or {}
            answers = answer if isinstance(answer, dict) else {"prediction": answer}
            if number == 0:
                writer.writerow([*cells, *answers, *(f"probability_{name}" for name in shares)])
            writer.writerow([*cells.values(), *answers.values(), *shares.values()])


if __name__ == "__main__":
    if len(sys.argv) == 2:
        main(sys.argv[1])
    else:
        wrong = verify()
        sys.stdout.write(f"differs in rows {wrong}\n" if wrong else "every stored row comes out the same\n")
        sys.exit(bool(wrong))
