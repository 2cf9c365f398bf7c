"""Training, validation and test rows, drawn from a seed."""

import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.engine.streams import Purpose, stream

Rows = NDArray[np.int64]


class Split(NamedTuple):
    """Sorted row numbers; together they are the candidates, each once."""

    train: Rows
    validation: Rows
    test: Rows

    def digest(self) -> dict[str, dict[str, int | str]]:
        """Each part's number of rows, and the SHA-256 of their numbers as little-endian int64."""
        parts = self._asdict().items()
        return {
            name: {"rows": len(part), "sha256": hashlib.sha256(part.astype("<i8").tobytes()).hexdigest()}
            for name, part in parts
        }


def split(
    strata: NDArray[np.integer] | None,
    candidates: NDArray[np.integer],
    validation_fraction: float,
    test_fraction: float,
    seed: int,
) -> Split:
    """Splits `candidates` (m,), the row numbers with a known target; depends on nothing but the arguments.

    `strata` (m,), aligned with `candidates`, is the class of each: the parts then hold the classes in
    proportion, by largest remainders. The parts are of round(m · fraction) rows, smaller only where a class
    (without strata: the whole) would be left without a training row.
    """
    candidates = candidates.astype(np.int64)
    classes = np.zeros(len(candidates), dtype=np.int64) if strata is None else strata
    _, codes, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    total = len(candidates)
    tests = _shares(sizes, round(total * test_fraction), sizes - 1)
    validations = _shares(sizes, round(total * validation_fraction), sizes - 1 - tests)

    shuffled = stream(seed, Purpose.SPLIT).permutation(total)
    by_class = shuffled[np.argsort(codes[shuffled], kind="stable")]
    place = np.arange(total) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    test_end = np.repeat(tests, sizes)
    validation_end = test_end + np.repeat(validations, sizes)
    rows = candidates[by_class]
    return Split(
        np.sort(rows[place >= validation_end]),
        np.sort(rows[(place >= test_end) & (place < validation_end)]),
        np.sort(rows[place < test_end]),
    )


def fold(
    strata: NDArray[np.integer] | None,
    candidates: NDArray[np.integer],
    validation_fraction: float,
    index: int,
    count: int,
    seed: int,
) -> Split:
    """The split whose test rows are fold `index` of `count`; all folds of one seed are the whole together.

    As in `split`, of which each class is dealt over the folds in turn: neither the folds' sizes nor a class's
    rows in them differ by more than one. Validation rows are a share of all rows, taken from the other folds.
    """
    candidates = candidates.astype(np.int64)
    classes = np.zeros(len(candidates), dtype=np.int64) if strata is None else strata
    shuffled = stream(seed, Purpose.SPLIT).permutation(len(candidates))
    dealt = shuffled[np.argsort(classes[shuffled], kind="stable")]
    is_test = np.zeros(len(candidates), dtype=bool)
    is_test[dealt[index::count]] = True
    rest = np.flatnonzero(~is_test)
    share = validation_fraction * len(candidates) / max(1, len(rest))
    train, validation, _ = split(
        None if strata is None else strata[rest], candidates[rest], min(1.0, share), 0.0, seed
    )
    return Split(train, validation, np.sort(candidates[is_test]))


def _shares(sizes: Rows, total: int, capacity: Rows) -> Rows:
    """`total` parted over classes like `sizes`, at most `capacity` of each, largest remainders first."""
    quotas = sizes * (total / max(1, sizes.sum()))
    shares: Rows = np.minimum(np.floor(quotas).astype(np.int64), capacity)
    total = min(total, int(capacity.sum()))
    while (lacking := total - int(shares.sum())) > 0:
        order = np.argsort(shares - quotas, kind="stable")
        shares[order[shares[order] < capacity[order]][:lacking]] += 1
    return shares
