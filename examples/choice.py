"""How an example's options are chosen: by validation, on the training rows of the default seed alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from statistics import fmean
from typing import Any

import httpx

from examples.comparison import Example, train, upload
from examples.server import answer, running_server

DEFAULT_SEED = 0
VALIDATION_FRACTION = 0.25


def choose(example: Example, choices: Mapping[str, Sequence[Any]], seeds: int) -> None:
    """Print each combination's mean score over ``seeds`` draws of validation rows, the best first.

    The names in ``choices`` are fields of an Example or training options. What the default seed holds out is
    not uploaded to the server that judges.
    """
    combinations = [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]
    with running_server() as client:
        rows = training_rows(client, example)
    trained_on = replace(example, x=example.x[rows], y=example.y[rows])
    ranking = []
    with running_server() as client:
        dataset = upload(client, trained_on)
        for chosen in combinations:
            candidate = with_options(trained_on, chosen)
            ranking.append((fmean(validated(client, candidate, dataset, seeds)), chosen))
    ranking.sort(key=lambda each: -each[0])
    print(f"{example.title}: mean of {seeds} draws of validation rows, out of {len(rows)} training rows")
    for score, chosen in ranking:
        print(f"  {score:.4f}  {chosen}")


def training_rows(client: httpx.Client, example: Example) -> list[int]:
    """The rows that the default seed does not hold out."""
    quick = replace(example, training={**example.training, "epochs": 1})
    job = train(client, quick, upload(client, quick), DEFAULT_SEED)
    return list(answer(client.get(f"/v1/jobs/{job['id']}/split"))["train"])


def with_options(example: Example, chosen: Mapping[str, Any]) -> Example:
    """The example with other options, judged on validation rows. No early stopping: it would see them too."""
    fields = {name: value for name, value in chosen.items() if name in Example.__dataclass_fields__}
    options = {name: value for name, value in chosen.items() if name not in fields}
    split = {"test_fraction": 0.0, "validation_fraction": VALIDATION_FRACTION, "early_stopping": None}
    return replace(example, **fields, training={**example.training, **options, **split})


def validated(client: httpx.Client, example: Example, dataset: str, seeds: int) -> Iterator[float]:
    figure = "accuracy" if example.task == "classification" else "r2"
    for seed in range(seeds):
        job = train(client, example, dataset, seed)
        yield job["result"]["metrics"]["validation"][figure]
