"""How many rows importance is measured on, and what it says of columns that do, or do not, matter."""

import numpy as np
import pytest

from app.datasets.encoding import Encoding, Target
from app.datasets.features import NumberFeature
from app.datasets.table import Column, Table
from app.engine import Architecture, Layer, Parameters
from app.errors import Invalid
from app.evaluations import importance
from app.evaluations.schemas import ImportanceRequest
from app.exports.vectors import Network
from app.models.evaluating import MOST_WORK, Rows
from tests.support.portable import loaded, network_of


def test_rows_are_fewer_where_the_network_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(network_of())
    assert importance.row_count(model, 300, 5) == 300
    assert importance.row_count(model, 10**9, 5) == importance.MOST_ROWS
    work = model.architecture.parameter_count * (len(model.encoding.features) * 100 + 1)
    monkeypatch.setattr(importance, "MOST_WORK", 60 * work)
    assert importance.row_count(model, 10**9, 100) == 60
    monkeypatch.setattr(importance, "MOST_WORK", 40 * work)
    assert importance.row_count(model, 30, 100) == 30
    with pytest.raises(Invalid, match="100 times each"):
        importance.row_count(model, 10**9, 100)
    assert MOST_WORK > 10**9


def test_a_column_without_weight_is_worth_nothing() -> None:
    features = tuple(NumberFeature(name, 0.0, 0.0, 1.0) for name in ("all", "nothing"))
    encoding = Encoding("regression", features, (Target("y"),), None, ())
    architecture = Architecture(2, (Layer(1, "identity"),))
    parameters = Parameters.of(architecture, [([[2.0, 0.0]], [0.0])], "float64")
    random = np.random.default_rng(0)
    x, z = random.standard_normal((2, 200))
    columns = {name: Column(name, "number", values) for name, values in (("all", x), ("nothing", z))}
    rows = Rows("ds_x", None, Table(200, columns), np.arange(200), 2.0 * x[:, None])
    model = loaded(Network(encoding, architecture, parameters), "squared_error")
    found = importance.importance(model, rows, ImportanceRequest(repeats=20, seed=1))
    everything, nothing = found["columns"]
    assert nothing["cost_increase"] == {"mean": 0.0, "std": 0.0}
    assert nothing["r2_decrease"] == {"mean": 0.0, "std": 0.0}
    # Dealt out anew, the difference of two draws has twice the variance: J grows by 4 Var x, r2 falls by 2.
    assert everything["cost_increase"]["mean"] == pytest.approx(4 * x.var(), rel=0.1)
    assert everything["r2_decrease"]["mean"] == pytest.approx(2.0, rel=0.1)
    assert everything["r2_decrease"]["std"] > 0
    again, other = (
        importance.importance(model, rows, ImportanceRequest(repeats=20, seed=seed))["columns"][0]
        for seed in (1, 2)
    )
    assert again == everything
    assert other["cost_increase"]["mean"] != everything["cost_increase"]["mean"]
