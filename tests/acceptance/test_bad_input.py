"""No input gives a 500: every line is refused with the whole problem document, and leaves nothing behind."""

import gzip
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from app.storage.tables import Architecture, Blob, Dataset, Event, Job, Key, Model
from tests.support.problems import assert_problem
from tests.support.server import Server
from tests.support.training import XOR, Json, train, upload

TABLES = (Dataset, Architecture, Job, Model, Event, Blob, Key)
UPLOAD_LIMIT, JSON_LIMIT = 400_000, 100_000
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def server(new_server: Callable[..., Server]) -> Server:
    """One with small limits."""
    return new_server(
        workers=1,
        max_upload_bytes=UPLOAD_LIMIT,
        max_json_bytes=JSON_LIMIT,
        max_parameters=100_000,
        max_threads=3,
        lease_seconds=5,
    )


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    return server.client("write", "bad")


@pytest.fixture(scope="module")
def known(client: httpx.Client) -> Json:
    """Ids that are right: of a dataset, a job and a model."""
    data = upload(client, XOR)
    whole = {"epochs": 1, "validation_fraction": 0.0, "test_fraction": 0.0, "early_stopping": None}
    training = {**whole, "preset": "paper"}
    architecture = {"layers": [{"units": 3}], "output": {"activation": "sigmoid"}}
    job = train(client, dataset_id=data["id"], target="y", architecture=architecture, training=training)
    return {"dataset": data["id"], "job": job["id"], "model": job["model_id"]}


@pytest.fixture(scope="module")
def counted(server: Server, known: Json) -> Iterator[Callable[[], list[int]]]:
    """How many rows there are of everything that a request could make."""
    statement = sa.select(
        *(sa.select(sa.func.count()).select_from(each).scalar_subquery() for each in TABLES)
    )
    with server.database() as database:

        def count() -> list[int]:
            with database.reading() as session:
                return list(session.execute(statement).one())

        yield count


@pytest.fixture(scope="module")
def at_first(counted: Callable[[], list[int]]) -> list[int]:
    return counted()


@pytest.fixture
def unchanged(counted: Callable[[], list[int]], at_first: list[int]) -> Iterator[None]:
    """What was refused has left nothing."""
    yield
    assert counted() == at_first


pytestmark = pytest.mark.usefixtures("unchanged")

NESTED = b"[" * 100_000
MALFORMED = {
    "not JSON": b"{",
    "two documents": b"{} {}",
    "trailing comma": b'{"layers": [],}',
    "single quotes": b"{'layers': []}",
    "duplicate name": b'{"layers": [], "layers": []}',
    "duplicate name within": b'{"layers": [{"units": 1, "units": 2}]}',
    "latin-1": '{"layers": [], "name": "\u00e9"}'.encode("latin-1"),
    "UTF-16": '{"layers": []}'.encode("utf-16"),
    "deep": NESTED[:99_990],
}
VALUES = {
    "NaN": b'{"layers": [], "x": NaN}',
    "Infinity": b'{"layers": [], "x": -Infinity}',
    "1e999": b'{"layers": [], "x": 1e999}',
    "5,000 digits": b'{"layers": [], "x": ' + b"9" * 5000 + b"}",
    "lone surrogate": b'{"layers": [], "name": "\\ud800"}',
    "lone surrogate in a name": b'{"layers": [], "\\udc00": 1}',
}
"""JSON but for one value that cannot be."""


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
@pytest.mark.parametrize("path", ["/v1/architectures", "/v1/jobs", "/v1/models/{model}/predict"])
def test_what_is_no_json_is_malformed(client: httpx.Client, known: Json, path: str, body: bytes) -> None:
    response = client.post(path.format(**known), content=body, headers=JSON)
    problem = assert_problem(response, 400, "malformed_request")
    assert "9999" not in response.text  # the input is not repeated
    assert problem["errors"][0]["code"] == "malformed_json"


@pytest.mark.parametrize("body", VALUES.values(), ids=VALUES.keys())
@pytest.mark.parametrize("path", ["/v1/architectures", "/v1/jobs", "/v1/models/{model}/predict"])
def test_a_value_that_cannot_be_is_invalid(client: httpx.Client, known: Json, path: str, body: bytes) -> None:
    response = client.post(path.format(**known), content=body, headers=JSON)
    problem = assert_problem(response, 422, "invalid")
    assert "9999" not in response.text  # the input is not repeated
    assert problem["errors"][0]["hint"]


@pytest.mark.parametrize(
    "kind", [None, "text/html", "application/xml", "multipart/form-data", "json", "\xff"]
)
@pytest.mark.parametrize("path", ["/v1/architectures", "/v1/jobs", "/v1/models/{model}/predict"])
def test_a_body_that_is_no_json_by_its_type(
    client: httpx.Client, known: Json, path: str, kind: str | None
) -> None:
    headers = [] if kind is None else [("Content-Type", kind.encode("latin-1"))]
    response = client.post(path.format(**known), content=b'{"layers": []}', headers=headers)  # type: ignore[arg-type]
    assert_problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize("path", ["/v1/architectures", "/v1/models/{model}/predict"])
def test_a_body_that_is_compressed_is_no_json(client: httpx.Client, known: Json, path: str) -> None:
    for content, encoding in ((gzip.compress(b'{"layers": []}'), "gzip"), (b'{"layers": []}', "br")):
        headers = {**JSON, "Content-Encoding": encoding}
        response = client.post(path.format(**known), content=content, headers=headers)
        problem = assert_problem(response, 415, "unsupported_media_type")
        assert "Content-Encoding" in problem["detail"]


def test_the_detail_says_what_is_wrong_first(client: httpx.Client) -> None:
    problem = assert_problem(client.post("/v1/datasets", json={"generate": {"kind": "xo"}}), 422)
    assert problem["detail"].startswith("generate.kind: Expected one of ")


def architecture(**layer: object) -> Json:
    return {"architecture": {"layers": [{"units": 3, **layer}]}}


def training(**options: object) -> Json:
    return {"training": options}


JOBS: dict[str, tuple[Json, str]] = {
    "no dataset": ({"dataset_id": None}, "dataset_id"),
    "a dataset that is none": ({"dataset_id": 5}, "dataset_id"),
    "an endless id": ({"dataset_id": "d" * 10_000}, "dataset_id"),
    "a NUL in an id": ({"dataset_id": "ds_\0"}, "dataset_id"),
    "no target": ({"target": None}, "target"),
    "no targets": ({"target": []}, "target"),
    "an unknown target": ({"target": "z"}, "target"),
    "a NUL in the target": ({"target": "\0"}, "target"),
    "the same target twice": ({"target": ["y", "y"]}, "target"),
    "an unknown feature": ({"features": ["x1", "z"]}, "features[1]"),
    "no feature": ({"features": []}, "features"),
    "the target as a feature": ({"features": ["y"]}, "features[0]"),
    "a feature twice": ({"features": ["x1", "x1"]}, "features[1]"),
    "an unknown task": ({"task": "clustering"}, "task"),
    "an unknown field": ({"epochs": 5}, "epochs"),
    "a number as a name": ({"name": 5}, "name"),
    "a NUL in a name": ({"name": "a\0b"}, "name"),
    "an empty name": ({"name": ""}, "name"),
    "an endless name": ({"name": "n" * 256}, "name"),
    "too much metadata": ({"metadata": {str(i): "" for i in range(17)}}, "metadata"),
    "metadata that is no text": ({"metadata": {"k": 1}}, "metadata.k"),
    "priority out of range": ({"priority": 101}, "priority"),
    "an unknown preset": (training(preset="book"), "training.preset"),
    "an unknown cost": (training(cost="hinge"), "training.cost"),
    "an unknown option": (training(momentum=0.9), "training.momentum"),
    "an unknown optimizer": (training(optimizer={"name": "adagrad"}), "training.optimizer.name"),
    "another's option": (
        training(optimizer={"name": "gradient_descent", "beta1": 0.9}),
        "training.optimizer.beta1",
    ),
    "a learning rate of 0": (training(optimizer={"learning_rate": 0}), "training.optimizer.learning_rate"),
    "true as a number": (training(epochs=True), "training.epochs"),
    "text as a number": (training(epochs="5"), "training.epochs"),
    "text as a rate": (
        training(optimizer={"learning_rate": "0.1"}),
        "training.optimizer.learning_rate",
    ),
    "a number as a switch": (training(shuffle=1), "training.shuffle"),
    "a fraction as a count": (training(epochs=1.5), "training.epochs"),
    "no epochs": (training(epochs=0), "training.epochs"),
    "10^300 epochs": (training(epochs=10**299), "training.epochs"),
    "a batch of 0": (training(batch_size=0), "training.batch_size"),
    "a batch of true": (training(batch_size=True), "training.batch_size"),
    "a batch of words": (training(batch_size="some"), "training.batch_size"),
    "a negative seed": (training(seed=-1), "training.seed"),
    "a seed of 2^63": (training(seed=2**63), "training.seed"),
    "a fraction of 1": (training(validation_fraction=1.0), "training.validation_fraction"),
    "nothing left to train on": (
        training(validation_fraction=0.5, test_fraction=0.5),
        "training.validation_fraction",
    ),
    "negative decay": (training(weight_decay=-0.1), "training.weight_decay"),
    "float16": (training(dtype="float16"), "training.dtype"),
    "impatience": (training(early_stopping={"patience": 0}), "training.early_stopping.patience"),
    "stopping early by nothing": (
        training(early_stopping={}, validation_fraction=0.0),
        "training.early_stopping",
    ),
    "an unknown name within": (
        training(early_stopping={"waiting": 1}),
        "training.early_stopping.waiting",
    ),
    "cross_entropy with regression": (
        {"task": "regression", **training(cost="cross_entropy")},
        "training.cost",
    ),
    "no units": (architecture(units=0), "architecture.layers[0].units"),
    "10^9 units": (architecture(units=10**9), "architecture.layers[0].units"),
    "units in words": (architecture(units="3"), "architecture.layers[0].units"),
    "true units": (architecture(units=True), "architecture.layers[0].units"),
    "softmax in a hidden layer": (architecture(activation="softmax"), "architecture.layers[0].activation"),
    "an unknown activation": (architecture(activation="step"), "architecture.layers[0].activation"),
    "an unknown field of a layer": (architecture(size=3), "architecture.layers[0].size"),
    "10,000 layers": ({"architecture": {"layers": [{"units": 1}] * 4_000}}, "architecture.layers"),
    "more parameters than allowed": (
        {"architecture": {"layers": [{"units": 500}] * 3}},
        "architecture.layers",
    ),
    "an architecture that is a number": ({"architecture": 5}, "architecture"),
    "an architecture that is a word": ({"architecture": "deep"}, "architecture"),
    "softmax without cross_entropy": (
        {
            "architecture": {"layers": [], "output": {"activation": "softmax"}},
            **training(cost="squared_error"),
        },
        "architecture.output.activation",
    ),
    "cross_entropy without probabilities": (
        {"architecture": {"layers": [], "output": {"activation": "tanh"}}},
        "architecture.output.activation",
    ),
    "an unknown schedule": (
        training(learning_rate_schedule={"name": "triangle"}),
        "training.learning_rate_schedule.name",
    ),
    "another schedule's option": (
        training(learning_rate_schedule={"name": "cosine", "factor": 0.5}),
        "training.learning_rate_schedule.factor",
    ),
    "an option of no schedule": (
        training(learning_rate_schedule={"factor": 0.5}),
        "training.learning_rate_schedule.factor",
    ),
    "a step of no length": (
        training(learning_rate_schedule={"name": "step", "every": 0}),
        "training.learning_rate_schedule.every",
    ),
    "steps at no time": (
        training(learning_rate_schedule={"name": "step"}),
        "training.learning_rate_schedule.every",
    ),
    "a rate that grows": (
        training(learning_rate_schedule={"name": "exponential", "factor": 1.5}),
        "training.learning_rate_schedule.factor",
    ),
    "a cosine that rises": (
        training(learning_rate_schedule={"name": "cosine", "final_learning_rate": 0.5}),
        "training.learning_rate_schedule.final_learning_rate",
    ),
    "a plateau that changes nothing": (
        training(learning_rate_schedule={"name": "plateau", "factor": 1.0}),
        "training.learning_rate_schedule.factor",
    ),
    "a warm-up beyond the end": (
        training(learning_rate_schedule={"warmup_epochs": 3}, epochs=2),
        "training.learning_rate_schedule.warmup_epochs",
    ),
    "a schedule of a number": (
        training(learning_rate_schedule=0.1),
        "training.learning_rate_schedule",
    ),
    "lbfgs with minibatches": (
        training(optimizer={"name": "lbfgs"}, batch_size=2),
        "training.batch_size",
    ),
    "lbfgs with a learning rate": (
        training(optimizer={"name": "lbfgs", "learning_rate": 0.1}),
        "training.optimizer.learning_rate",
    ),
    "lbfgs with a schedule": (
        training(optimizer={"name": "lbfgs"}, learning_rate_schedule={"name": "cosine"}),
        "training.learning_rate_schedule",
    ),
    "lbfgs with a warm-up": (
        training(optimizer={"name": "lbfgs"}, learning_rate_schedule={"warmup_epochs": 1}),
        "training.learning_rate_schedule",
    ),
    "lbfgs with clipping": (
        training(optimizer={"name": "lbfgs"}, gradient_clip_norm=1.0),
        "training.gradient_clip_norm",
    ),
    "lbfgs with dropout": (
        {**architecture(dropout=0.5), **training(optimizer={"name": "lbfgs"})},
        "architecture.layers[0].dropout",
    ),
    "no memory": (training(optimizer={"name": "lbfgs", "memory": 0}), "training.optimizer.memory"),
    "a clip of 0": (training(gradient_clip_norm=0), "training.gradient_clip_norm"),
    "no time": (training(time_budget_seconds=0), "training.time_budget_seconds"),
    "no threads": (training(threads=0), "training.threads"),
    "more threads than there can be": (training(threads=257), "training.threads"),
    "more threads than this server gives": (training(threads=4), "training.threads"),
    "no epoch to keep": (training(keep_epochs=[]), "training.keep_epochs"),
    "an epoch 0 to keep": (training(keep_epochs=[1, 0]), "training.keep_epochs[1]"),
    "an epoch to keep that is no number": (training(keep_epochs=["1"]), "training.keep_epochs[0]"),
    "an epoch to keep beyond the last": (training(epochs=5, keep_epochs=[6]), "training.keep_epochs"),
    "too many epochs to keep": (training(keep_epochs=[1] * 1001), "training.keep_epochs"),
    "epochs to keep in other words": (training(keep_epochs="some"), "training.keep_epochs"),
    "more snapshots than there is room for": (
        training(epochs=10_000_000, keep_epochs="all"),
        "training.keep_epochs",
    ),
    "threads in words": (training(threads="many"), "training.threads"),
    "all dropped": (architecture(dropout=1.0), "architecture.layers[0].dropout"),
    "less than nothing dropped": (architecture(dropout=-0.1), "architecture.layers[0].dropout"),
    "dropout of the output": (
        {"architecture": {"layers": [], "output": {"dropout": 0.5}}},
        "architecture.output.dropout",
    ),
    "softmax with huber": (
        {"architecture": {"layers": [], "output": {"activation": "softmax"}}, **training(cost="huber")},
        "architecture.output.activation",
    ),
    "class weights in words": (training(class_weight="even"), "training.class_weight"),
    "class weights as a list": (training(class_weight=[1, 2]), "training.class_weight"),
    "a negative class weight": (training(class_weight={"0": -1}), "training.class_weight.0"),
    "a class weight in words": (training(class_weight={"0": "1"}), "training.class_weight.0"),
    "a weight of no class": (training(class_weight={"2": 1}), "training.class_weight.2"),
    "no weight for any class": (training(class_weight={"0": 0, "1": 0}), "training.class_weight"),
    "class weights of a regression": (
        {"task": "regression", **training(class_weight={"0": 2})},
        "training.class_weight",
    ),
    "an unknown column of weights": (
        training(sample_weight_column="w"),
        "training.sample_weight_column",
    ),
    "the target as weights": (training(sample_weight_column="y"), "training.sample_weight_column"),
    "weights as a feature": (
        {"features": ["x1", "x2"], **training(sample_weight_column="x2")},
        "features[1]",
    ),
    "a number as a column of weights": (
        training(sample_weight_column=1),
        "training.sample_weight_column",
    ),
    "an initial model that is none": ({"initial_model_id": 5}, "initial_model_id"),
    "an endless model id": ({"initial_model_id": "m" * 100}, "initial_model_id"),
    "the paper without an activation": (training(preset="paper"), "architecture.output.activation"),
}


@pytest.mark.parametrize(("more", "param"), JOBS.values(), ids=JOBS.keys())
def test_jobs_that_cannot_be(client: httpx.Client, known: Json, more: Json, param: str) -> None:
    body = {"dataset_id": known["dataset"], "target": "y", **more}
    body = {name: value for name, value in body.items() if value is not None}
    assert_problem(client.post("/v1/jobs", json=body), 422, param=param)


@pytest.mark.parametrize("document", ["", "[]", "5", '"text"', "null", "true"])
def test_a_job_that_is_no_object(client: httpx.Client, document: str) -> None:
    assert_problem(client.post("/v1/jobs", content=document, headers=JSON), 422)


def test_the_rejected_input_is_not_repeated(client: httpx.Client, known: Json) -> None:
    for more in (training(optimizer={"name": "SECRET"}), training(cost="SECRET"), {"priority": "SECRET"}):
        body = {"dataset_id": known["dataset"], "target": "y", **more}
        response = client.post("/v1/jobs", json=body)
        assert_problem(response, 422)
        assert "SECRET" not in response.text


def test_all_faults_are_told_at_once(client: httpx.Client, known: Json) -> None:
    body = {"dataset_id": known["dataset"], "target": "y", "task": "x", **training(epochs=0, cost="mse")}
    problem = assert_problem(client.post("/v1/jobs", json=body), 422)
    assert {fault["param"] for fault in problem["errors"]} == {"task", "training.epochs", "training.cost"}


HINTS: dict[str, tuple[Json, str, str]] = {
    "lr": (training(optimizer={"lr": 0.1}), "training.optimizer.lr", "learning_rate"),
    "loss": (training(loss="mse"), "training.loss", "training.cost"),
    "max_iter": (training(max_iter=100), "training.max_iter", "training.epochs"),
    "alpha": (training(alpha=0.1), "training.alpha", "weight_decay"),
    "random_state": (training(random_state=1), "training.random_state", "training.seed"),
    "hidden_layer_sizes": ({"hidden_layer_sizes": [3]}, "hidden_layer_sizes", "architecture.layers"),
    "sgd": (training(optimizer={"name": "sgd"}), "training.optimizer.name", "gradient_descent"),
    "mse": (training(cost="mse"), "training.cost", "squared_error"),
    "linear": (architecture(activation="linear"), "architecture.layers[0].activation", "identity"),
    "softmax": (architecture(activation="softmax"), "architecture.layers[0].activation", "output"),
    "mae": (training(cost="mae"), "training.cost", "absolute_error"),
    "smooth_l1": (training(cost="smooth_l1"), "training.cost", "huber"),
    "swish": (architecture(activation="swish"), "architecture.layers[0].activation", "silu"),
    "LeakyReLU": (architecture(activation="LeakyReLU"), "architecture.layers[0].activation", "leaky_relu"),
    "l-bfgs": (training(optimizer={"name": "l-bfgs"}), "training.optimizer.name", "lbfgs"),
    "clipnorm": (training(clipnorm=1.0), "training.clipnorm", "gradient_clip_norm"),
    "max_grad_norm": (training(max_grad_norm=1.0), "training.max_grad_norm", "gradient_clip_norm"),
    "sample_weight": (training(sample_weight="w"), "training.sample_weight", "sample_weight_column"),
    "lr_scheduler": (training(lr_scheduler="step"), "training.lr_scheduler", "learning_rate_schedule"),
    "dropout_rate": (architecture(dropout_rate=0.5), "architecture.layers[0].dropout_rate", "dropout"),
    "StepLR": (
        training(learning_rate_schedule={"name": "StepLR"}),
        "training.learning_rate_schedule.name",
        "step",
    ),
    "T_max": (
        training(learning_rate_schedule={"name": "cosine", "T_max": 10}),
        "training.learning_rate_schedule.T_max",
        "training.epochs",
    ),
    "gamma": (
        training(learning_rate_schedule={"name": "exponential", "gamma": 0.9}),
        "training.learning_rate_schedule.gamma",
        "factor",
    ),
    "n_jobs": (training(n_jobs=2), "training.n_jobs", "training.threads"),
    "a class's nearest name": (
        training(class_weight={"01": 1}),
        "training.class_weight.01",
        "Did you mean",
    ),
    "a slip": (architecture(activation="tahn"), "architecture.layers[0].activation", "tanh"),
}


@pytest.mark.parametrize(("more", "param", "word"), HINTS.values(), ids=HINTS.keys())
def test_hints_know_other_libraries_words(
    client: httpx.Client, known: Json, more: Json, param: str, word: str
) -> None:
    body = {"dataset_id": known["dataset"], "target": "y", **more}
    problem = assert_problem(client.post("/v1/jobs", json=body), 422, param=param)
    hints = [fault["hint"] for fault in problem["errors"] if fault["param"] == param]
    assert word in str(hints[0])


EYE = {"W": [[1.0, 0.0], [0.0, 1.0]], "b": [0.0, 0.0]}
OUT = {"W": [[1.0, 1.0]], "b": [0.0]}
STARTS: dict[str, tuple[Any, str]] = {
    "too few layers": ([EYE], "initial_parameters"),
    "too many layers": ([EYE, OUT, OUT], "initial_parameters"),
    "rows for columns": ([{**EYE, "W": [[1.0, 0.0, 0.0]]}, OUT], "initial_parameters[0].W"),
    "ragged rows": ([{**EYE, "W": [[1.0], [0.0, 1.0]]}, OUT], "initial_parameters[0].W"),
    "short biases": ([EYE, {**OUT, "b": []}], "initial_parameters[1].b"),
    "a bias as a column": ([{**EYE, "b": [[0.0], [0.0]]}, OUT], "initial_parameters[0].b[0]"),
    "text": ([{**EYE, "b": ["0", 0.0]}, OUT], "initial_parameters[0].b[0]"),
    "true": ([{**EYE, "b": [True, 0.0]}, OUT], "initial_parameters[0].b[0]"),
    "null": ([{**EYE, "b": [None, 0.0]}, OUT], "initial_parameters[0].b[0]"),
    "no biases": ([{"W": EYE["W"]}, OUT], "initial_parameters[0].b"),
    "no list": (5, "initial_parameters"),
    "beyond float32": ([EYE, {**OUT, "b": [1e39]}], "initial_parameters"),
}


@pytest.mark.parametrize(("start", "param"), STARTS.values(), ids=STARTS.keys())
def test_parameters_of_another_shape(client: httpx.Client, known: Json, start: object, param: str) -> None:
    body = {
        "dataset_id": known["dataset"],
        "target": "y",
        "architecture": {"layers": [{"units": 2}], "output": {"activation": "sigmoid"}},
        "training": {"preset": "paper", "dtype": "float32"},
        "initial_parameters": start,
    }
    assert_problem(client.post("/v1/jobs", json=body), 422, param=param)


CSV = {"Content-Type": "text/csv"}


@pytest.mark.parametrize("kind", [None, "text/html", "image/png", "csv", ""])
def test_an_upload_of_an_unknown_type(client: httpx.Client, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    response = client.post("/v1/datasets", content=XOR.encode(), headers=headers)
    assert_problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize("charset", ["undefined", "punycode", "idna", "unicode_escape", "none-such", '""'])
def test_a_form_in_no_charset(client: httpx.Client, charset: str) -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\na-b\xff\r\n--x--\r\n'
    headers = {"Content-Type": f"multipart/form-data; boundary=x; charset={charset}"}
    assert_problem(client.post("/v1/datasets", content=form, headers=headers), 400, "malformed_request")


CORRECTIONS = {
    "deep": '{"a":' * 50_000,
    "deep and whole": '{"a":' * 900 + "1" + "}" * 900,
    "NaN": '{"x1": NaN}',
    "half of a surrogate pair": r'{"x1": {"type": "\ud800"}}',
    "half of one in a name": r'{"\ud800": {"type": "number"}}',
    "a name twice": '{"x1": {}, "x1": {}}',
    "5,000 digits": '{"x1": ' + "9" * 5000 + "}",
}


@pytest.mark.parametrize("columns", CORRECTIONS.values(), ids=CORRECTIONS.keys())
def test_corrections_that_are_none(client: httpx.Client, columns: str) -> None:
    response = client.post("/v1/datasets", files={"file": XOR.encode()}, data={"columns": columns})
    problem = assert_problem(response, 422)
    assert problem["errors"][0]["param"].startswith("columns")


def test_targets_that_cannot_be(client: httpx.Client) -> None:
    rows = "".join(f"{i % 3},5,unique {i} text,\n" for i in range(300))
    data = upload(client, f"x,constant,text,empty\n{rows}")
    try:
        for target, code in (
            ("constant", "constant_target"),
            ("text", "text_column"),
            ("empty", "empty_column"),
        ):
            response = client.post("/v1/jobs", json={"dataset_id": data["id"], "target": target})
            assert_problem(response, 422, code, "target")
    finally:
        client.delete(f"/v1/datasets/{data['id']}")


def test_bodies_over_the_limit(client: httpx.Client, known: Json) -> None:
    body = json.dumps({"layers": [], "name": "x" * JSON_LIMIT}).encode()

    def chunks() -> Iterator[bytes]:
        yield from (body[start : start + 8192] for start in range(0, len(body), 8192))

    for path in ("/v1/architectures", f"/v1/models/{known['model']}/predict"):
        assert_problem(client.post(path, content=body, headers=JSON), 413, "too_large")
        assert_problem(client.post(path, content=chunks(), headers=JSON), 413, "too_large")
    big = XOR.encode() * 20_000
    assert_problem(client.post("/v1/datasets", content=iter([big]), headers=CSV), 413, "too_large")


PREDICTIONS: dict[str, tuple[Any, int, str | None]] = {
    "nothing": ({}, 422, "rows"),
    "both": ({"rows": [], "inputs": []}, 422, "rows"),
    "rows that are no list": ({"rows": {}}, 422, "rows"),
    "a row that is none": ({"rows": [5]}, 422, "rows[0]"),
    "text for a number": ({"rows": [{"x1": "1", "x2": 0}]}, 422, "rows[0].x1"),
    "true for a number": ({"rows": [{"x1": True, "x2": 0}]}, 422, "rows[0].x1"),
    "a list for a number": ({"rows": [{"x1": [], "x2": 0}]}, 422, "rows[0].x1"),
    "an integer of 300 digits": ({"rows": [{"x1": 10**299, "x2": 0}]}, 200, None),
    "an absent column": ({"rows": [{"x1": 0}]}, 422, "rows[0].x2"),
    "an unknown column": ({"rows": [{"x1": 0, "x2": 0, "x3": 0}]}, 422, "rows[0].x3"),
    "inputs that are too short": ({"inputs": [[0, 0], [0]]}, 422, "inputs[1]"),
    "inputs of text": ({"inputs": [["0", 0]]}, 422, "inputs[0][0]"),
    "inputs of true": ({"inputs": [[True, 0]]}, 422, "inputs[0][0]"),
    "inputs beyond float64": ({"inputs": [[10**299 * 10**15, 0]]}, 422, "inputs[0][0]"),
    "an unknown field": ({"rows": [], "instances": []}, 422, "instances"),
    "a list": ([], 422, None),
}


@pytest.mark.parametrize(("body", "status", "param"), PREDICTIONS.values(), ids=PREDICTIONS.keys())
def test_rows_that_are_none(
    client: httpx.Client, known: Json, body: object, status: int, param: str | None
) -> None:
    response = client.post(f"/v1/models/{known['model']}/predict", json=body)
    if status == 200:
        assert response.status_code == 200
        json.loads(response.text, parse_constant=lambda word: pytest.fail(word))
    else:
        assert_problem(response, status, param=param)


TRACES: dict[str, tuple[Json, str]] = {
    "nothing": ({}, "rows"),
    "no rows": ({"rows": []}, "rows"),
    "inputs alone": ({"inputs": [[0, 0]]}, "rows"),
    "unequal numbers": ({"inputs": [[0, 0]], "targets": [[0], [0]]}, "targets"),
    "a wide target": ({"inputs": [[0, 0]], "targets": [[0, 1]]}, "targets[0]"),
    "no target": ({"rows": [{"x1": 0, "x2": 0}]}, "rows[0].y"),
    "a target that is text": ({"rows": [{"x1": 0, "x2": 0, "y": "a"}]}, "rows[0].y"),
    "a learning rate of 0": ({"inputs": [[0, 0]], "targets": [[0]], "learning_rate": 0}, "learning_rate"),
    "too many": ({"inputs": [[0, 0]] * 101, "targets": [[0]] * 101}, "inputs"),
}


@pytest.mark.parametrize(("body", "param"), TRACES.values(), ids=TRACES.keys())
def test_traces_that_cannot_be(client: httpx.Client, known: Json, body: Json, param: str) -> None:
    assert_problem(client.post(f"/v1/models/{known['model']}/trace", json=body), 422, param=param)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/datasets", {"GET", "POST"}),
        ("DELETE", "/v1/jobs", {"GET", "POST"}),
        ("POST", "/v1/datasets/ds_0", {"GET", "PATCH", "DELETE"}),
        ("PUT", "/v1/jobs/job_0", {"GET", "PATCH", "DELETE"}),
        ("GET", "/v1/jobs/job_0/cancel", {"POST"}),
        ("GET", "/v1/models/mdl_0/predict", {"POST"}),
        ("PATCH", "/v1/keys/key_0", {"GET", "DELETE"}),
        ("POST", "/livez", {"GET"}),
        ("TRACE", "/v1", {"GET"}),
    ],
)
def test_methods_that_are_not_taken(client: httpx.Client, method: str, path: str, allowed: set[str]) -> None:
    response = client.request(method, path)
    assert_problem(response, 405, "method_not_allowed")
    more = {"HEAD"} if "GET" in allowed else set[str]()
    assert set(response.headers["allow"].split(", ")) == allowed | more


@pytest.mark.parametrize(
    "path",
    [
        "/v1/nothing",
        "/v1/datasets/",
        "/v3",
        "/",
        "/v1/datasets/ds_0/rows/1",
        "/v1/datasets/%00",
        "/v1/datasets/%FF%FE",
        "/v1/datasets/..%2F..%2Fetc%2Fpasswd",
        "/v1/jobs/ds_0",
        "/v1/models/%F0%9F%90%A7",
    ],
)
def test_paths_that_lead_nowhere(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code in (400, 404, 422)
    assert response.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "code", "errors"} <= response.json().keys()


QUERIES = [
    ("/v1/datasets/{dataset}/rows?after=-2", "after"),
    ("/v1/datasets/{dataset}/rows?limit=1001", "limit"),
    ("/v1/datasets/{dataset}/rows?after=99999999999999999999", "after"),
    ("/v1/jobs/{job}/epochs?after_epoch=-1", "after_epoch"),
    ("/v1/jobs/{job}/epochs?after_epoch=1e3", "after_epoch"),
    ("/v1/jobs/{job}/epochs?limit=0", "limit"),
    ("/v1/jobs/{job}/epochs?max_points=1", "max_points"),
    ("/v1/jobs/{job}/events?after=-1", "after"),
    ("/v1/jobs/{job}/events?after=9223372036854775808", "after"),
    ("/v1/jobs/{job}?wait_for=ever", "wait_for"),
    ("/v1/models?job_id=" + "x" * 65, "job_id"),
    ("/v1/jobs?status=" + "x" * 33, "status"),
]


@pytest.mark.parametrize(("path", "param"), QUERIES)
def test_queries_out_of_range(client: httpx.Client, known: Json, path: str, param: str) -> None:
    assert_problem(client.get(path.format(**known)), 422, param=param)


@pytest.mark.parametrize(
    "query",
    [
        "name=%00",
        "metadata[%00]=x",
        "metadata[a]=%00",
        "name=%ED%A0%80",
        "metadata[%22]=x",
        "metadata[]=x",
        "metadata[a.b[0]]=x",
        "metadata[%27]=%27",
        "metadata[%5C]=x",
        "metadata[$]=x",
        "metadata[%F0%9F%90%A7]=x",
    ],
)
def test_odd_characters_in_a_filter_find_nothing(client: httpx.Client, query: str) -> None:
    response = client.get(f"/v1/datasets?{query}")
    if response.status_code == 200:
        assert response.json()["data"] == []
    else:
        assert_problem(response, 400)


def test_a_filter_by_too_many_notes(client: httpx.Client) -> None:
    names = [f"metadata[n{i}]" for i in range(1200)]
    assert client.get("/v1/datasets", params=dict.fromkeys(names[:16], "x")).status_code == 200
    response = client.get("/v1/datasets", params=dict.fromkeys(names, "x"))
    assert_problem(response, 422, "out_of_range", "metadata")


KEYS: dict[str, tuple[Json, str]] = {
    "no name": ({"role": "read"}, "name"),
    "an unknown role": ({"name": "a", "role": "root"}, "role"),
    "no time": ({"name": "a", "expires_at": "soon"}, "expires_at"),
    "a time without a zone": ({"name": "a", "expires_at": "2030-01-01T00:00:00"}, "expires_at"),
    "a NUL in a project": ({"name": "a", "project": "a\0"}, "project"),
    "an own secret": ({"name": "a", "secret": "mine"}, "secret"),
    "before every date": ({"name": "a", "expires_at": "0001-01-01T00:00:00+14:00"}, "expires_at"),
    "after every date": ({"name": "a", "expires_at": "9999-12-31T23:59:59-14:00"}, "expires_at"),
}


@pytest.mark.parametrize(("body", "param"), KEYS.values(), ids=KEYS.keys())
def test_keys_that_cannot_be(server: Server, body: Json, param: str) -> None:
    assert_problem(server.client().post("/v1/keys", json=body), 422, param=param)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"GET /livez" + b"a" * 100_000,
    ],
)
def test_what_is_no_http_harms_nobody(server: Server, client: httpx.Client, request_: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(request_)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(65_536)
    assert not answer.startswith(b"HTTP/1.1 5")
    assert client.get("/livez").status_code == 200


def test_nothing_of_this_was_unexpected(server: Server) -> None:
    log = server.log.read_text()
    assert "unexpected error" not in log
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:3000]
