"""Points to draw: who is taken for a class at each threshold, and how often a probability is right."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Json = dict[str, Any]

MOST_POINTS = 101
MOST_CLASSES = 20
"""With a curve each."""

BINS = 10


def roc(classes: tuple[str, ...], shares: Floats, labels: NDArray[np.int64]) -> list[Json] | None:
    """Of two classes the second's curve, of more each against the rest; those without rows have none.

    None for more than `MOST_CLASSES`.
    """
    if len(classes) > MOST_CLASSES:
        return None
    places = range(len(classes)) if len(classes) > 2 else range(len(classes) - 1, len(classes))
    curves = [(classes[k], _points(shares[:, k], labels == k)) for k in places]
    return [{"class": name, "points": points} for name, points in curves if points]


def _points(score: Floats, positive: NDArray[np.bool_]) -> list[Json]:
    """From (0, 0) to (1, 1), thinned evenly along both axes together; [] where a side has no rows."""
    order = np.argsort(-score, kind="stable")
    score, right = score[order], positive[order]
    hits, others = np.cumsum(right), np.cumsum(~right)
    if not len(score) or not hits[-1] or not others[-1]:
        return []
    last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)  # of each group of equal scores
    tpr, fpr = np.append(0.0, hits[last] / hits[-1]), np.append(0.0, others[last] / others[-1])
    thresholds = [None, *score[last].tolist()]
    wanted = np.linspace(0, 2, MOST_POINTS)
    kept = np.unique(np.searchsorted(tpr + fpr, wanted).clip(0, len(tpr) - 1))
    kept = np.unique([0, *kept, len(tpr) - 1])
    return [
        {
            "threshold": thresholds[i],
            "false_positive_rate": float(fpr[i]),
            "true_positive_rate": float(tpr[i]),
        }
        for i in kept.tolist()
    ]


def calibration(shares: Floats, labels: NDArray[np.int64]) -> Json:
    """How often the class that is given is right, by the probability that it was given with."""
    chosen = shares.argmax(axis=1)
    sure, right = shares.max(axis=1), chosen == labels
    places = np.minimum((sure * BINS).astype(np.int64), BINS - 1)
    points = []
    for place in np.unique(places).tolist():
        here = places == place
        points.append(
            {
                "from": place / BINS,
                "to": (place + 1) / BINS,
                "row_count": int(here.sum()),
                "probability": float(sure[here].mean()),
                "accuracy": float(right[here].mean()),
            }
        )
    gaps = [each["row_count"] * abs(each["probability"] - each["accuracy"]) for each in points]
    return {"points": points, "expected_error": float(sum(gaps) / len(labels))}
