"""Ten real data sets with nothing said but the target, through HTTP and beside scikit-learn's defaults.

    python -m examples.auto [--seeds 5] [--figure docs/auto.svg] [only these titles ...]

A job holds rows out, drawn from its seed. scikit-learn's MLPClassifier or MLPRegressor has its defaults, on
the same columns, imputed, one-hot and standardised, and is judged on the same held-out rows. It trains on the
rows that the job trains on; and, in the stricter comparison, on those that steer early stopping too.
"""

import argparse
import time
import warnings
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import httpx
import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from examples.dots import dots
from examples.server import answer, running_server
from examples.tables import DataSet, Row, ten

MISSING = ("", "NA", None)
RARE = 5
"""Categories with fewer rows share an input, as they do in a job."""


class Outcome(NamedTuple):
    """Accuracy, or R², on the held-out rows, and the seconds that training took."""

    ours: float
    same_rows: float
    more_rows: float
    our_seconds: float
    their_seconds: float


class Compared(NamedTuple):
    """One data set over the seeds."""

    title: str
    figure: str
    outcomes: list[Outcome]

    def mean(self, name: str) -> float:
        return fmean(getattr(each, name) for each in self.outcomes)


def compare(client: httpx.Client, data: DataSet, seeds: Sequence[int]) -> Compared:
    """The same data set with each seed, which draws the rows and all else."""
    sent: Any = {"content": data.csv().encode(), "headers": {"Content-Type": "text/csv"}}
    dataset = answer(client.post("/v1/datasets", **sent))
    while dataset["status"] == "processing":
        dataset = answer(client.get(f"/v1/datasets/{dataset['id']}", params={"wait": 30}))
    kinds = {column["name"]: column["type"] for column in dataset["columns"]}
    task, outcomes = "", []
    for seed in seeds:
        start = time.perf_counter()
        body = {"dataset_id": dataset["id"], "target": data.target, "training": {"seed": seed}}
        job = answer(client.post("/v1/jobs", json=body))
        while job["status"] in ("queued", "running"):
            job = answer(client.get(f"/v1/jobs/{job['id']}", params={"wait": 30, "wait_for": "terminal"}))
        if job["status"] != "succeeded":
            raise SystemExit(f"{data.title}: the job ended as {job['status']}: {job['error']}")
        seconds, task = time.perf_counter() - start, job["task"]
        model = f"/v1/models/{job['model_id']}"
        metrics = answer(client.post(f"{model}/evaluate", json={"split": "test"}))["metrics"]
        split = answer(client.get(f"/v1/jobs/{job['id']}/split"))
        both = sorted(split["train"] + split["validation"])
        took: list[float] = []
        theirs = [
            peer(data, job["features"], kinds, task, rows, split["test"], seed, took)
            for rows in (split["train"], both)
        ]
        ours = metrics["accuracy" if task == "classification" else "r2"]
        outcomes.append(Outcome(ours, theirs[0], theirs[1], seconds, took[0]))
    return Compared(data.title, "accuracy" if task == "classification" else "R²", outcomes)


def peer(
    data: DataSet,
    features: Sequence[str],
    kinds: dict[str, str],
    task: str,
    train: list[int],
    test: list[int],
    seed: int,
    took: list[float],
) -> float:
    """scikit-learn's score on the test rows; the seconds of `fit` are added to ``took``."""
    numbers = [name for name in features if kinds[name] != "category"]
    x = np.array([list(_cells(row, features, kinds)) for row in data.rows], dtype=object)
    widths = [len(list(_cells(data.rows[0], [name], kinds))) for name in features]
    places = np.repeat(features, widths)
    is_number = np.isin(places, numbers)
    encode = make_column_transformer(
        (SimpleImputer(add_indicator=True), np.flatnonzero(is_number)),
        (
            make_pipeline(
                SimpleImputer(missing_values=None, strategy="most_frequent"),
                OneHotEncoder(min_frequency=RARE, handle_unknown="infrequent_if_exist", sparse_output=False),
            ),
            np.flatnonzero(~is_number),
        ),
    )
    targets = [row[data.target] for row in data.rows]
    y = np.array(targets, dtype=str if task == "classification" else np.float64)
    kind = MLPClassifier if task == "classification" else MLPRegressor
    model = make_pipeline(encode, StandardScaler(), kind(random_state=seed))
    with threadpool_limits(1), warnings.catch_warnings():  # a core, as our trainer has
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)  # of categories that are met later
        start = time.perf_counter()
        model.fit(x[train], y[train])
        took.append(time.perf_counter() - start)
        return float(model.score(x[test], y[test]))


def _cells(row: Row, features: Sequence[str], kinds: dict[str, str]) -> Iterator[Any]:
    """What scikit-learn is given of a row: numbers, categories in text, a date as numbers."""
    for name in features:
        value, kind = row[name], kinds[name]
        if kind == "date":
            day = date.fromisoformat(str(value).replace("/", "-")[:10])
            yield from (day.toordinal(), day.month, day.day, day.weekday())
        elif value in MISSING:
            yield None if kind == "category" else np.nan
        elif kind == "number":
            yield float(value)
        elif kind == "boolean":
            yield float(str(value).lower() == "true")
        else:
            yield str(value)


def show(found: Sequence[Compared]) -> None:
    print("| data | figure | Chainrule | scikit-learn | and validation rows | seconds | scikit-learn's |")
    print("|---|---|---|---|---|---|---|")
    for each in found:
        figures = [f"{each.mean(name):.3f}" for name in ("ours", "same_rows", "more_rows")]
        seconds = [f"{each.mean(name):.2f}" for name in ("our_seconds", "their_seconds")]
        print(f"| {' | '.join([each.title, each.figure, *figures, *seconds])} |", flush=True)
    for name, rows in (("same_rows", "the same training rows"), ("more_rows", "the validation rows as well")):
        gaps = [each.mean("ours") - each.mean(name) for each in found]
        above = sum(gap >= 0 for gap in gaps)
        print(
            f"scikit-learn on {rows}: at or above on {above} of {len(gaps)}; the most below: {min(gaps):+.4f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 0; a seed also draws the rows")
    parser.add_argument("--figure", type=Path, help="where to draw what came out, as SVG")
    parser.add_argument("titles", nargs="*", help="only these data sets")
    asked = parser.parse_args()
    found = []
    with running_server() as client:
        for data in ten():
            if not asked.titles or data.title in asked.titles:
                found.append(compare(client, data, range(asked.seeds)))
                print(f"{found[-1].title}: {found[-1].mean('ours'):.3f}", flush=True)
    show(found)
    if asked.figure is not None:
        rows = [(f"{e.title} ({e.figure})", e.mean("ours"), e.mean("same_rows")) for e in found]
        asked.figure.write_text(dots(rows, "Chainrule, with nothing but a target", "scikit-learn's defaults"))


if __name__ == "__main__":
    main()
