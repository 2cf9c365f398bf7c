"""Jobs of every kind of training, a few seconds long each, for tests that do them harm while they run."""

import httpx

from tests.support.training import Json, upload


def _rows(count: int) -> str:
    return "a,b,c,y\n" + "".join(f"{i % 97},{i % 89},{i % 83},{(i % 97) * (i % 7)}\n" for i in range(count))


WIDE = {"layers": [{"units": 96, "activation": "relu"}, {"units": 96, "activation": "relu"}]}
SMALL = {"layers": [{"units": 8, "activation": "tanh"}]}
DROPPING = {"layers": [{"units": 64, "activation": "relu", "dropout": 0.3}]}

KINDS: dict[str, Json] = {
    "minibatch": {
        "architecture": WIDE,
        "training": {"epochs": 80, "batch_size": 32, "early_stopping": None},
    },
    "full batch": {
        "architecture": SMALL,
        "training": {"epochs": 1_500, "batch_size": "full", "early_stopping": None},
    },
    "bursts": {
        "architecture": {"layers": [{"units": 64, "activation": "tanh"}]},
        "training": {
            "epochs": 20_000, "batch_size": "full", "early_stopping": None,
            "validation_fraction": 0, "test_fraction": 0,
        },
    },
    "lbfgs": {
        "architecture": SMALL,
        "training": {
            "epochs": 4_000, "batch_size": "full", "optimizer": {"name": "lbfgs", "tolerance": 0.0},
            "early_stopping": None,
        },
    },
    "long epochs": {
        "architecture": WIDE,
        "training": {"epochs": 3, "batch_size": 1, "early_stopping": None},
    },
    "dropout": {
        "architecture": DROPPING,
        "training": {"epochs": 500, "batch_size": 64, "early_stopping": None, "weight_decay": 1e-4},
    },
    "early stopping": {
        "architecture": SMALL,
        "training": {
            "epochs": 2_000, "batch_size": 64,
            "learning_rate_schedule": {"name": "plateau", "factor": 0.5, "patience": 300},
            "early_stopping": {"patience": 900},
        },
    },
    "two cores": {
        "architecture": {"layers": [{"units": 256, "activation": "relu"}] * 2},
        "training": {"epochs": 100, "batch_size": 1024, "threads": 2, "early_stopping": None},
    },
}  # fmt: skip


class Kinds:
    """The requests of these jobs, on datasets of one server; ``two cores`` needs max_threads of 2 there.

    ``share`` of 0.1 makes them a tenth as long.
    """

    def __init__(self, client: httpx.Client, share: float = 1.0) -> None:
        self._share = share
        self._many = upload(client, _rows(12_000), "many")["id"]
        self._few = upload(client, _rows(150), "few")["id"]

    def body(self, kind: str) -> Json:
        training = KINDS[kind]["training"]
        epochs = max(2, round(self._share * training["epochs"]))
        return {
            "dataset_id": self._few if kind == "bursts" else self._many,
            "target": "y",
            "task": "regression",
            "architecture": KINDS[kind]["architecture"],
            "training": {**training, "epochs": epochs},
        }
