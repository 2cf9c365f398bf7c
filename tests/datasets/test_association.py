"""What a column says about a target, beside SciPy's and scikit-learn's figures and by hand."""

import numpy as np
import pytest
from scipy.stats.contingency import association as scipy_association  # type: ignore[import-untyped]

from app.datasets import association
from app.datasets.association import associations, imbalance, suspicions
from app.datasets.table import BOOLEAN_CATEGORIES, Column, Table

NAN = float("nan")
RNG = np.random.default_rng(0)
M = 400
X = RNG.normal(size=M)
K = RNG.integers(0, 3, M).astype(np.int32)
NOISY = np.where(RNG.random(M) < 0.3, RNG.integers(0, 3, M), K).astype(np.int32)


def number(name: str, values: object) -> Column:
    return Column(name, "number", np.asarray(values, dtype=np.float64))


def category(name: str, codes: object, count: int = 3) -> Column:
    return Column(name, "category", np.asarray(codes, dtype=np.int32), tuple("abcdefgh"[:count]))


def table(*columns: Column) -> Table:
    return Table(len(columns[0].values), {column.name: column for column in columns})


def test_two_numbers_have_pearsons_r() -> None:
    y = X + RNG.normal(size=M)
    gaps = np.where(np.arange(M) % 7 == 0, NAN, X)
    found = associations(
        table(number("y", y), number("x", X), number("gaps", gaps)), "y", "regression", ["x", "gaps"]
    )
    assert [each.measure for each in found] == ["pearson"] * 2
    assert found[0].value == pytest.approx(np.corrcoef(X, y)[0, 1])
    known = ~np.isnan(gaps)
    assert found[1].value == pytest.approx(np.corrcoef(gaps[known], y[known])[0, 1])
    assert not any(each.suspect for each in found)


def test_two_categories_have_cramers_v() -> None:
    (found,) = associations(table(category("y", K), category("k", NOISY)), "y", "classification", ["k"])
    counts = np.zeros((3, 3), dtype=int)
    np.add.at(counts, (NOISY, K), 1)
    assert found.measure == "cramers_v"
    assert found.value == pytest.approx(scipy_association(counts, method="cramer"))


def test_a_number_and_a_category_have_a_correlation_ratio_either_way() -> None:
    data = table(category("k", K), number("x", X + K))
    one = associations(data, "k", "classification", ["x"])[0]
    other = associations(data, "x", "regression", ["k"])[0]
    x = X + K
    between = sum(np.sum(k == K) * (x[k == K].mean() - x.mean()) ** 2 for k in range(3))
    expected = np.sqrt(between / ((x - x.mean()) ** 2).sum())
    assert (one.measure, other.measure) == ("correlation_ratio",) * 2
    assert one.value == pytest.approx(expected)
    assert other.value == pytest.approx(expected)


def test_copies_of_the_target_are_suspects_and_what_is_merely_good_is_not() -> None:
    later = K * 10.0 + RNG.normal(scale=0.1, size=M)
    names = ["copy", "later", "noisy", "x"]
    data = table(
        category("y", K),
        category("copy", (K + 1) % 3),
        number("later", later),
        category("noisy", NOISY),
        number("x", X),
    )
    found = associations(data, "y", "classification", names)
    assert [each.suspect for each in found] == [True, True, False, False]
    warnings = suspicions(found, "y")
    assert [each.param for each in warnings] == ["features.copy", "features.later"]
    assert suspicions(found[:1], "y") == []  # all that there is to learn from
    data = table(
        number("y", X), number("copy", X * -2 + 1), number("near", X + RNG.normal(scale=0.1, size=M))
    )
    assert [each.suspect for each in associations(data, "y", "regression", ["copy", "near"])] == [True, False]


def test_a_column_with_nearly_a_category_a_row_is_no_suspect() -> None:
    """It tells every class apart, as any name would."""
    names = Column("name", "category", np.arange(M, dtype=np.int32) // 2, tuple(map(str, range(M // 2))))
    (found,) = associations(
        table(category("y", K[np.arange(M) // 2]), names), "y", "classification", ["name"]
    )
    assert found.value == pytest.approx(1.0)
    assert not found.suspect


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_what_cannot_be_known_is_none(task: str) -> None:
    data = table(
        number("y", [1.0, 2.0, 1.0]),
        number("none", [NAN] * 3),
        number("same", [1.0] * 3),
        category("none of them", [-1] * 3),
        category("one", [0] * 3),
    )
    names = ["none", "same", "none of them", "one"]
    found = associations(data, "y", "classification" if task == "classification" else "regression", names)
    assert [each.value or 0.0 for each in found] == pytest.approx([0.0] * 4, abs=1e-12)


def test_classes_of_very_different_sizes_are_told() -> None:
    rare = Column("y", "boolean", np.array([0] * 40 + [1] * 4, np.int32), BOOLEAN_CATEGORIES)
    assert [each.code for each in imbalance(rare, weighted=False, parts=3)] == ["imbalanced_classes"]
    assert imbalance(rare, weighted=True, parts=3) == []
    few = category("y", [0] * 9 + [1] * 2 + [2] * 9)
    assert [each.code for each in imbalance(few, weighted=False, parts=3)] == ["small_classes"]
    assert imbalance(few, weighted=False, parts=2) == []
    assert imbalance(category("y", K), weighted=False, parts=3) == []


def test_large_tables_are_looked_at_in_blocks_of_all_of_their_rows() -> None:
    count = association.LARGE + 12_345
    rng = np.random.default_rng(1)
    x, codes = rng.normal(size=count), rng.integers(0, 3, count).astype(np.int32)
    data = table(number("x", x), number("y", x + rng.normal(size=count)), category("k", codes))
    found = {each.name: each for each in associations(data, "k", "classification", ["x", "y"])}
    assert not any(each.suspect for each in found.values())
    (near,) = associations(data, "y", "regression", ["x"])
    assert near.value == pytest.approx(np.sqrt(0.5), abs=0.02)
    rows = association._looked_at(count, 3)
    assert (len(np.unique(rows)), rows[0], rows[-1]) == (association.MOST_ROWS, 0, count - 1)


def test_classes_are_counted_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(association, "CHUNK", 7)
    wholes = number("y", [3.0] * 40 + [NAN] + [1.0] * 2)
    assert [each.code for each in imbalance(wholes, weighted=False, parts=3)] == [
        "imbalanced_classes",
        "small_classes",
    ]
    assert imbalance(category("y", K), weighted=False, parts=3) == []
