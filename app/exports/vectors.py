"""Rows that an export is tried on: drawn from a model's encoding, some values missing or unknown."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.datasets.encoding import Encoding
from app.engine import Architecture, Parameters
from app.exports.recipe import BooleanInput, CategoryInput, DateInput, Input, NumberInput, inputs_of
from app.models.evaluation import outputs_of, probabilities

Json = dict[str, Any]
Floats = NDArray[np.float64]

MOST_ROWS = 64
LEAST_ROWS = 6
MOST_CELLS = 50_000
ODD = 0.15
"""How often a value is missing, or of no known category."""

RELATIVE = 1e-6
OWN_ROUNDINGS = 4.0
"""How many times our own error of rounding an export may be away, where that is more."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """Raw rows, and what the model answers to them.

    ``answers`` (k, s_n) are probabilities, or predictions in the targets' units; so are ``tolerance``, what
    an export may differ from them, and its labels only where two classes are that close.
    """

    rows: list[Json]
    labels: list[str] | None
    answers: Floats
    tolerance: Floats


@dataclass(frozen=True, slots=True)
class Network:
    """What a row goes through."""

    encoding: Encoding
    architecture: Architecture
    parameters: Parameters


def draw(network: Network, seed: int) -> Vectors:
    """As many rows as are of use, by nothing but the arguments. Rows without an answer are left out."""
    inputs = inputs_of(network.encoding)
    random = np.random.default_rng(seed)
    count = max(LEAST_ROWS, min(MOST_ROWS, MOST_CELLS // max(1, len(inputs))))
    rows: list[Json] = [
        dict.fromkeys(each.name for each in inputs),
        {each.name: _mean(each) for each in inputs},
    ]
    while len(rows) < count:
        rows.append({each.name: _value(each, random) for each in inputs})
    x, _ = network.encoding.encode_rows(rows)
    answers, exact = (_answers(network, x, parameters) for parameters in _both(network.parameters))
    known = [bool(np.isfinite(row).all()) for row in np.hstack([answers, exact])]
    rows = [row for row, fine in zip(rows, known, strict=True) if fine]
    answers, exact = answers[known], exact[known]
    labels = None
    if network.encoding.classes is not None:
        labels = [network.encoding.classes[place] for place in answers.argmax(axis=1)]
    return Vectors(rows, labels, answers, _tolerance(network.encoding, answers, exact))


class Answers(NamedTuple):
    """What an export answers to k rows: labels, if it has any, and numbers (k, s_n)."""

    labels: list[str | None] | None
    numbers: Floats


def differing(vectors: Vectors, found: Answers) -> list[int]:
    """The rows in which an export answers something else."""
    labels, answers = found
    with np.errstate(invalid="ignore"):
        wrong = ~(np.abs(answers - vectors.answers) <= vectors.tolerance).all(axis=1)
    if vectors.labels is not None:
        best = np.sort(vectors.answers, axis=1)
        is_sure = (best[:, -1] - best[:, -2] > 2 * vectors.tolerance[:, -1]) if best.shape[1] > 1 else True
        other = [ours != theirs for ours, theirs in zip(vectors.labels, labels or [], strict=True)]
        wrong |= np.array(other, dtype=bool) & is_sure
    return [int(row) for row in np.flatnonzero(wrong)]


def _both(parameters: Parameters) -> tuple[Parameters, Parameters]:
    return parameters, parameters.astype(np.float64)


def _answers(network: Network, x: Floats, parameters: Parameters) -> Floats:
    with np.errstate(all="ignore"):
        outputs = outputs_of(network.architecture, parameters, x.astype(parameters.flat.dtype))
        if network.encoding.classes is None:
            return network.encoding.unscale(outputs)
        shares = probabilities(outputs)
    shares[~np.isfinite(outputs).all(axis=1)] = np.nan
    return shares


def _tolerance(encoding: Encoding, answers: Floats, exact: Floats) -> Floats:
    """A millionth of a probability's 1, or of the target's spread or the answer itself, whichever is more."""
    own = OWN_ROUNDINGS * np.abs(answers - exact).max(axis=0, initial=0.0)
    size = np.ones_like(answers)
    if encoding.classes is None:
        size = np.maximum(np.abs(answers), [abs(target.scale) for target in encoding.targets])
    tolerance: Floats = np.maximum(RELATIVE * size, own)
    return tolerance


def _mean(each: Input) -> object:
    match each:
        case NumberInput():
            return each.missing
        case BooleanInput():
            return bool(each.missing)
        case CategoryInput():
            return next(iter(each.slots), None)
        case DateInput():
            return _moment(each.missing)


def _value(each: Input, random: np.random.Generator) -> object:
    odd = random.random() < ODD
    match each:
        case NumberInput():
            value = each.missing + abs(each.scale) * float(random.standard_normal())
            short = float(f"{value:.6g}")
            return None if odd else short if math.isfinite(short) else each.missing
        case BooleanInput():
            return None if odd else bool(random.integers(2))
        case DateInput():
            return None if odd else _moment(each.missing + each.scale * float(random.standard_normal()))
        case CategoryInput():
            if odd or not each.slots:
                return None if random.random() < 0.5 else "no such category"
            return list(each.slots)[int(random.integers(len(each.slots)))]


def _moment(seconds: float) -> str:
    """A whole second of the years 1000 to 9000, as ISO 8601."""
    whole = round(min(max(seconds, -30e9), 220e9))
    return (datetime(1970, 1, 1) + timedelta(seconds=whole)).isoformat()
