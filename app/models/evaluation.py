"""How good a model's outputs are, against the targets: the measures of classification and regression."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.datasets.encoding import Encoding
from app.engine import COSTS, Architecture, Parameters
from app.engine.backprop import predict

Floats = NDArray[np.floating[Any]]
Counts = NDArray[np.int64]

BLOCK = 8192
ROUNDING = 1e-4


def outputs_of(architecture: Architecture, parameters: Parameters, x: Floats) -> Floats:
    """h(x) of (4) for the rows of x (k, s_1), as (k, s_n), in blocks that fit the cache."""
    blocks = [
        predict(architecture, parameters, x[start : start + BLOCK]) for start in range(0, len(x), BLOCK)
    ]
    return np.concatenate(blocks) if blocks else np.empty((0, architecture.s[architecture.n]), x.dtype)


def mean_cost(
    architecture: Architecture,
    cost: str,
    outputs: Floats,
    y: Floats,
    v: NDArray[np.float64] | None = None,
) -> float | None:
    """The first term of (6), rows weighted by v (k,) if given; None if not finite or there are no rows."""
    if not len(y):
        return None
    form = COSTS[cost][architecture.layers[-1].activation]
    if v is not None:
        return _finite(v @ form.examples(outputs.T, y.T) / v.sum())
    return _finite(form.total(outputs.T, y.T) / len(y))


def summary(encoding: Encoding, outputs: Floats, y: Floats) -> dict[str, float | None] | None:
    """The measures in brief. Classification: accuracy, log_loss. Regression: rmse, mae, r2, raw units.

    outputs and y are (k, s_n) as the network has them; None when there are no rows.
    """
    if not len(y):
        return None
    if encoding.classes is None:
        return _regression(encoding.unscale(outputs), encoding.unscale(y))
    labels, chosen = y.argmax(axis=1), outputs.argmax(axis=1)
    return {
        "accuracy": float((labels == chosen).mean()),
        "log_loss": _finite(_log_loss(probabilities(outputs), labels)),
    }


def full(encoding: Encoding, outputs: Floats, y: Floats) -> dict[str, Any]:
    """`summary`, and for classification macro F1, per class figures, confusion matrix and ROC AUC."""
    brief: dict[str, Any] = summary(encoding, outputs, y) or {}
    if encoding.classes is None or not brief:
        return brief
    labels, chosen = y.argmax(axis=1), outputs.argmax(axis=1)
    size = len(encoding.classes)
    confusion = np.bincount(labels * size + chosen, minlength=size * size).reshape(size, size)
    per_class = _per_class(encoding.classes, confusion)
    return {
        **brief,
        "macro_f1": float(np.mean([each["f1"] for each in per_class if each["support"]])),
        "classes": per_class,
        "confusion_matrix": {
            "labels": list(encoding.classes),
            "rows_are": "true",
            "counts": confusion.tolist(),
        },
        "roc_auc": _roc_auc(probabilities(outputs), labels),
    }


def probabilities(outputs: Floats) -> NDArray[np.float64]:
    """Rows that add up to 1: softmax outputs as they are; sigmoid ones, or others, clipped and scaled."""
    positive = np.clip(outputs.astype(np.float64), 0.0, None)
    total = positive.sum(axis=1, keepdims=True)
    shares = np.where(total > 0, positive, 1.0 / positive.shape[1])
    scaled = (total > 0) & (np.abs(total - 1.0) > ROUNDING)  # scaling what is 1 already would part ties
    np.divide(positive, total, out=shares, where=scaled)
    return shares


def _log_loss(probability: NDArray[np.float64], labels: Counts) -> float:
    right = probability[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(right, np.finfo(np.float64).eps)).mean())


def _regression(answers: NDArray[np.float64], truth: NDArray[np.float64]) -> dict[str, float | None]:
    with np.errstate(all="ignore"):
        errors = answers - truth
        spread = ((truth - truth.mean(axis=0)) ** 2).sum(axis=0)
        explained = 1.0 - (errors**2).sum(axis=0) / spread
        return {
            "rmse": _finite(np.sqrt((errors**2).mean())),
            "mae": _finite(np.abs(errors).mean()),
            "r2": _finite(explained.mean()) if (spread > 0).all() else None,
        }


def _per_class(classes: tuple[str, ...], confusion: Counts) -> list[dict[str, Any]]:
    hits, truth, chosen = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    rows = []
    for name, hit, support, said in zip(classes, hits.tolist(), truth.tolist(), chosen.tolist(), strict=True):
        precision, recall = hit / said if said else 0.0, hit / support if support else 0.0
        f1 = 2 * hit / (said + support) if said + support else 0.0
        rows.append({"class": name, "precision": precision, "recall": recall, "f1": f1, "support": support})
    return rows


def _roc_auc(probability: NDArray[np.float64], labels: Counts) -> float | None:
    """Of two classes, the second's; of more, the mean over the classes, each against the rest."""
    size = probability.shape[1]
    areas = [
        _area(probability[:, k], labels == k) for k in (range(size) if size > 2 else range(size - 1, size))
    ]
    known = [area for area in areas if area is not None]
    return float(np.mean(known)) if known and len(known) == len(areas) else None


def _area(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float | None:
    """The chance that a positive scores above a negative, ties counting half (Mann-Whitney)."""
    wins, n = int(positive.sum()), len(positive)
    if wins in (0, n):
        return None
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[positive].sum() - wins * (wins + 1) / 2) / (wins * (n - wins)))


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None
