"""However much is wrong with a request, its answer is short and soon there."""

import difflib
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from app.datasets import roles
from app.errors import Invalid
from app.gate import body_limit
from app.jobs.schemas import JobCreate
from app.predictions.schemas import PredictRequest
from app.settings import Settings
from app.validation import invalid


def refusal(kind: type, sent: object) -> Invalid:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(sent)
    return invalid(caught.value.errors(include_url=False), sent, ("body",))


def test_the_first_faults_are_told_and_the_others_counted() -> None:
    error = refusal(JobCreate, {"dataset_id": "ds_a", "target": "y", **{f"f{i}": 1 for i in range(1000)}})
    assert [fault.param for fault in error.faults] == [f"f{i}" for i in range(20)]
    assert "19 more in 'errors', and 980 beyond them" in error.detail


def test_a_long_name_is_cut() -> None:
    error = refusal(JobCreate, {"dataset_id": "ds_a", "target": "y", "n" * 100_000: 1, "task": "t" * 100_000})
    assert {len(fault.param) for fault in error.faults} == {4, 255}


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({"rows": [5] * 1000}, "rows[0]"),
        ({"inputs": [["x"] * 1000]}, "inputs[0][0]"),
        ({"inputs": ["x"] * 1000}, "inputs[0]"),
    ],
)
def test_rows_are_read_to_the_first_that_is_none(sent: object, param: str) -> None:
    assert [fault.param for fault in refusal(PredictRequest, sent).faults] == [param]


@pytest.mark.parametrize(("name", "most"), [("features", 5000), ("target", 1000)])
def test_lists_of_columns_have_an_end(name: str, most: int) -> None:
    good = {"dataset_id": "ds_a", "target": "y"}
    names = [f"c{i}" for i in range(most + 1)]
    TypeAdapter(JobCreate).validate_python({**good, name: names[:most]})
    (fault,) = refusal(JobCreate, {**good, name: names}).faults
    assert (fault.param, fault.code) == (name, "out_of_range")


COLUMNS: list[dict[str, Any]] = [
    {"name": f"column{i}", "type": "number", "distinct": 9, "used_by_default": True} for i in range(100)
]


def test_the_nearest_column_is_looked_for_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    find = difflib.get_close_matches

    def counted(word: str, known: Any, **options: Any) -> list[str]:
        compared.append(len(list(known)))
        return find(word, known, **options)

    monkeypatch.setattr(roles, "get_close_matches", counted)
    with pytest.raises(Invalid) as caught:
        roles.resolve_features(COLUMNS, [f"colum{i}" for i in range(1000)], "y")
    hints = [fault.hint for fault in caught.value.faults]
    assert len(hints) == 20
    assert all(hints[:3])
    assert not any(hints[3:])
    assert sum(compared) == 300


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/v1/datasets", 4 * 2**30),
        ("/v1/jobs", 64 * 2**20),
        ("/v1/models/mdl_a/predict", 64 * 2**20),
        ("/v1/models/mdl_a/trace", 64 * 2**20),
        ("/v1/models/mdl_a/evaluate", 2**20),
        ("/v1/architectures", 2**20),
        ("/v1/jobs/job_a", 2**20),
        ("/v1/keys", 2**20),
        ("/livez", 2**20),
    ],
)
def test_only_what_holds_rows_or_parameters_may_be_large(path: str, limit: int) -> None:
    assert body_limit(path, Settings()) == limit


def test_the_setting_lowers_every_limit_of_json() -> None:
    settings = Settings(max_json_bytes=1000)
    assert body_limit("/v1/keys", settings) == body_limit("/v1/jobs", settings) == 1000
