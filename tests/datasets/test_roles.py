from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from app.datasets.encoding import fit
from app.datasets.layout import input_width
from app.datasets.roles import output_width, resolve_features, resolve_task
from app.errors import Invalid

Read = Callable[..., Any]


@pytest.fixture
def upload(read: Read) -> Any:
    lines = ["id,kind,ok,few,many,real,same,empty,note,gaps"]
    for i in range(60):
        few, many = i % 10, i % 11
        lines.append(
            f"{i + 5},{'abc'[i % 3]},{i % 2 == 0},{few},{many},{i * 0.5},1,,note {i},{'' if i < 4 else i % 2}"
        )
    return read("\n".join(lines))


@pytest.mark.parametrize(
    ("target", "requested", "task", "warned"),
    [
        ("kind", "auto", "classification", []),
        ("ok", "auto", "classification", []),
        ("few", "auto", "classification", ["guessed_classification"]),
        ("few", "classification", "classification", []),
        ("few", "regression", "regression", []),
        ("many", "auto", "regression", []),
        ("many", "classification", "classification", []),
        ("real", "auto", "regression", []),
        (["real"], "auto", "regression", []),
        (["real", "few"], "regression", "regression", []),
        ("gaps", "classification", "classification", ["missing_target"]),
    ],
)
def test_the_task_follows_from_the_target(
    upload: Any, target: str | list[str], requested: str, task: str, warned: list[str]
) -> None:
    found, warnings = resolve_task(upload.found["columns"], target, requested)
    assert found == task
    assert [warning.code for warning in warnings] == warned


def test_missing_targets_are_counted(upload: Any) -> None:
    _, warnings = resolve_task(upload.found["columns"], "gaps", "regression")
    assert warnings[0].message.startswith("4 rows have no target value")


@pytest.mark.parametrize(
    ("target", "requested", "code"),
    [
        ("kinds", "auto", "unknown_column"),
        ("note", "auto", "text_column"),
        ("same", "auto", "constant_target"),
        ("empty", "auto", "empty_column"),
        ("kind", "regression", "wrong_type"),
        (["kind", "real"], "auto", "wrong_type"),
        (["few", "real"], "classification", "wrong_task"),
        ("real", "classification", "not_classes"),
        ([], "auto", "invalid_target"),
        (["real", "real"], "auto", "invalid_target"),
    ],
)
def test_a_target_that_cannot_be_is_refused(
    upload: Any, target: str | list[str], requested: str, code: str
) -> None:
    with pytest.raises(Invalid) as caught:
        resolve_task(upload.found["columns"], target, requested)
    assert caught.value.faults[0].code == code


def test_features_are_what_is_used_by_default(upload: Any) -> None:
    columns = upload.found["columns"]
    assert resolve_features(columns, None, "kind") == ["ok", "few", "many", "real", "gaps"]
    assert resolve_features(columns, None, ["real", "few"], "gaps", None) == ["kind", "ok", "many"]
    assert resolve_features(columns, ["id", "kind"], "real") == ["id", "kind"]


@pytest.mark.parametrize(
    ("features", "code"),
    [
        (["kin"], "unknown_column"),
        (["note"], "text_column"),
        (["empty"], "empty_column"),
        (["real"], "target_in_features"),
        (["few", "few"], "duplicate_feature"),
        ([], "no_features"),
    ],
)
def test_features_that_cannot_be_are_refused(upload: Any, features: list[str], code: str) -> None:
    with pytest.raises(Invalid) as caught:
        resolve_features(upload.found["columns"], features, "real")
    assert caught.value.faults[0].code == code


@pytest.mark.parametrize(
    ("target", "task"),
    [("kind", "classification"), ("ok", "classification"), ("few", "classification"), ("real", "regression")],
)
def test_widths_are_known_before_the_split(upload: Any, target: str, task: Any) -> None:
    columns = upload.found["columns"]
    features = resolve_features(columns, None, target)
    encoding = fit(upload.table, features, target, task, np.arange(2), True)
    assert input_width(columns, features, {}, 60) == encoding.input_width
    assert output_width(columns, target, task) == encoding.output_width
    assert encoding.encode_inputs(upload.table, np.arange(60)).shape == (60, encoding.input_width)
    assert encoding.encode_targets(upload.table, np.arange(60)).shape == (60, encoding.output_width)
