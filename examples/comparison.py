"""Real data through the API, beside scikit-learn: the same network, training rows and held-out rows.

A job holds rows out, drawn from its seed; scikit-learn is given the row numbers that the server answers.
"""

import argparse
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal, NamedTuple

import httpx
import numpy as np
from numpy.typing import NDArray
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from examples.server import answer, running_server

OURS = "chainrule"
AS_OURS = "scikit-learn, as ours"


@dataclass(frozen=True)
class Example:
    """Data, one hidden layer, and how to train it. ``x`` is (m, s_1), ``y`` (m,): whole numbers are classes.

    ``training`` are the job's training options, with ``epochs`` and ``weight_decay`` among them; the seed
    comes from outside. ``dropout`` is the hidden layer's, which scikit-learn has not.
    ``seconds`` is the limit for upload, training and prediction together, with the first seed.
    """

    title: str
    columns: Sequence[str]
    x: NDArray[np.float64]
    y: NDArray[Any]
    task: Literal["classification", "regression"]
    units: int
    activation: Literal["relu", "tanh"]
    training: dict[str, Any]
    seconds: float
    dropout: float = 0.0


class Score(NamedTuple):
    """Accuracy, or R² of a regression, on the held-out rows; ``seconds`` are those of training."""

    who: str
    seed: int
    value: float
    seconds: float


class Outcome(NamedTuple):
    """``network`` as in "64-128-10"; ``seconds``: upload, training and prediction with the first seed."""

    network: str
    scores: list[Score]
    seconds: float


def run(example: Example, arguments: Sequence[str]) -> Outcome:
    """Measure on a server of our own, and print a table. ``arguments`` are the command line's."""
    parser = argparse.ArgumentParser(description=example.title)
    parser.add_argument("--seeds", type=int, default=1, help="how many, from 0; a seed also draws the rows")
    seeds = range(parser.parse_args(arguments).seeds)
    with running_server() as client:
        outcome = measure(client, example, seeds)
    show(example, outcome)
    return outcome


def measure(client: httpx.Client, example: Example, seeds: Sequence[int]) -> Outcome:
    scores, network = [], ""
    start = time.perf_counter()
    dataset = upload(client, example)
    uploaded = time.perf_counter() - start
    elapsed = []
    for seed in seeds:
        start = time.perf_counter()
        job = train(client, example, dataset, seed)
        trained = time.perf_counter() - start
        rows = answer(client.get(f"/v1/jobs/{job['id']}/split"))
        predictions = predict(client, example, job["model_id"], rows["test"])
        elapsed.append(uploaded + time.perf_counter() - start)
        shape = job["architecture"]
        sizes = [shape["inputs"], *(layer["units"] for layer in shape["layers"]), shape["output"]["units"]]
        network = "-".join(map(str, sizes))
        scores.append(Score(OURS, seed, score(example, rows["test"], predictions), trained))
        scores += peers(example, rows["train"], rows["test"], seed, job["training"]["batch_size"])
    return Outcome(network, scores, elapsed[0])


def upload(client: httpx.Client, example: Example) -> str:
    """The id of the dataset, which is ready."""
    lines = [",".join([*example.columns, "target"])]
    for row, target in zip(example.x.tolist(), example.y.tolist(), strict=True):
        lines.append(",".join(map(repr, [*row, target])))
    content, headers = "\n".join(lines) + "\n", {"Content-Type": "text/csv"}
    dataset = answer(client.post("/v1/datasets", content=content, headers=headers))
    while dataset["status"] == "processing":
        dataset = answer(client.get(f"/v1/datasets/{dataset['id']}", params={"wait": 30}))
    if dataset["status"] != "ready":
        raise SystemExit(f"The upload failed: {dataset}")
    return str(dataset["id"])


def train(client: httpx.Client, example: Example, dataset_id: str, seed: int) -> dict[str, Any]:
    """The job, once it has succeeded."""
    layer = {"units": example.units, "activation": example.activation, "dropout": example.dropout}
    body = {
        "dataset_id": dataset_id,
        "target": "target",
        "task": example.task,
        "features": example.columns,  # all: by default, pixels that are the same in every image are left out
        "architecture": {"layers": [layer]},
        "training": {**example.training, "seed": seed},
    }
    job = answer(client.post("/v1/jobs", json=body))
    while job["status"] in ("queued", "running"):
        job = answer(client.get(f"/v1/jobs/{job['id']}", params={"wait": 30, "wait_for": "terminal"}))
    if job["status"] != "succeeded":
        raise SystemExit(f"The job ended as {job['status']}: {job['error']}")
    return dict(job)


def predict(client: httpx.Client, example: Example, model_id: str, rows: list[int]) -> list[Any]:
    """The model's answers for those rows, raw and by name; the target is not among what is sent."""
    named = [dict(zip(example.columns, row, strict=True)) for row in example.x[rows].tolist()]
    found = answer(client.post(f"/v1/models/{model_id}/predict", json={"rows": named}))
    return [int(each) if example.task == "classification" else each for each in found["predictions"]]


def score(example: Example, rows: list[int], predictions: Any) -> float:
    judge = accuracy_score if example.task == "classification" else r2_score
    return float(judge(example.y[rows], predictions))


def peers(
    example: Example, train_rows: list[int], test_rows: list[int], seed: int, batch_size: int
) -> Iterator[Score]:
    """scikit-learn, its defaults on standardised inputs; and with our scaling, weight decay and minibatch."""
    for who, model in networks(example, seed, batch_size).items():
        start = time.perf_counter()
        with threadpool_limits(1), warnings.catch_warnings():  # a job has one core; the epochs are meant
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(example.x[train_rows], example.y[train_rows])
        seconds = time.perf_counter() - start
        yield Score(who, seed, score(example, test_rows, model.predict(example.x[test_rows])), seconds)


def networks(example: Example, seed: int, batch_size: int) -> dict[str, Any]:
    kind = MLPClassifier if example.task == "classification" else MLPRegressor
    options = {
        "hidden_layer_sizes": (example.units,),
        "activation": example.activation,
        "max_iter": example.training["epochs"],
        "random_state": seed,
    }
    # scikit-learn divides its alpha by the size of the minibatch.
    ours = kind(**options, alpha=example.training["weight_decay"] * batch_size, batch_size=batch_size)
    if example.training.get("standardize", True):
        ours = make_pipeline(StandardScaler(), ours)
        if example.task == "regression":  # a job standardises a regression's target too
            ours = TransformedTargetRegressor(ours, transformer=StandardScaler())
    return {"scikit-learn": make_pipeline(StandardScaler(), kind(**options)), AS_OURS: ours}


def show(example: Example, outcome: Outcome) -> None:
    seeds = sorted({each.seed for each in outcome.scores})
    figure = "accuracy" if example.task == "classification" else "R²"
    print(f"{example.title}: network {outcome.network}, {figure} on the held-out rows, seeds {seeds}")
    first = f"seed {seeds[0]}"
    print(f"  {'':28}  {first:>7}  {'mean':>7}  {'worst':>7}  {'seconds':>7}")
    for who in dict.fromkeys(each.who for each in outcome.scores):
        values = [each.value for each in outcome.scores if each.who == who]
        seconds = fmean(each.seconds for each in outcome.scores if each.who == who)
        print(f"  {who:28}  {values[0]:7.4f}  {fmean(values):7.4f}  {min(values):7.4f}  {seconds:7.2f}")
    each = "  ".join(f"{score.value:.3f}" for score in outcome.scores if score.who == OURS)
    print(f"  {OURS}, seed by seed: {each}")
    took = f"{outcome.seconds:.1f} s (limit {example.seconds:.0f} s)"
    print(f"  upload, training and prediction over HTTP: {took}")
