"""What it costs to keep the snapshots of all epochs: of each, beside the same job that keeps only its last.

    python -m bench.keeping [--rounds 7] [--database-url URL]

In turns, and in this process, a trainer trains jobs on a real database that keep every epoch, and jobs that
keep the last. Prints JSON lines.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import httpx

from app.worker.pinning import pin_blas

pin_blas()  # as in a trainer, before NumPy is imported

from app.jobs import queue  # noqa: E402
from app.storage.database import Database  # noqa: E402
from app.worker.material import Materials  # noqa: E402
from app.worker.surroundings import Surroundings  # noqa: E402
from app.worker.trainer import Trainer, Wish  # noqa: E402
from bench.service import server, show  # noqa: E402
from bench.storing import ROWS, Seconds  # noqa: E402

NETWORKS: dict[str, tuple[list[int], int]] = {
    "small": ([8], 200),
    "medium": ([128, 128], 100),
    "large": ([1024, 1024], 20),
}
"""Units of the hidden layers, and epochs: with Adam, snapshots of about 3 kB, 200 kB and 13 MB."""


class Bench:
    def __init__(self, client: httpx.Client, database: Database, surroundings: Surroundings) -> None:
        self.client, self.database, self.surroundings = client, database, surroundings
        self.blobs = surroundings.blobs(database)
        self.materials = Materials(database, self.blobs, surroundings.cache)
        answer = client.post("/v1/datasets", content=ROWS, headers={"Content-Type": "text/csv"})
        self.dataset_id = answer.raise_for_status().json()["id"]

    def run(self, network: str, keep: str) -> Seconds:
        units, epochs = NETWORKS[network]
        split = {"validation_fraction": 0, "test_fraction": 0.99, "early_stopping": None}
        body: dict[str, Any] = {
            "dataset_id": self.dataset_id,
            "target": "y",
            "task": "regression",
            "architecture": {"layers": [{"units": each, "activation": "tanh"} for each in units]},
            "training": {**split, "epochs": epochs, "batch_size": 8, "keep_epochs": keep},
        }
        job_id = self.client.post("/v1/jobs", json=body).raise_for_status().json()["id"]
        (claim,) = queue.claim(self.database, "wrk_bench", 1, 3600.0)
        trainer = Trainer(self.database, self.blobs, claim, self.surroundings, lambda: Wish.GO_ON)
        start = Seconds.now()
        word = trainer.run(self.materials)
        took = start.since()
        assert word == "finished", word
        self.client.delete(f"/v1/jobs/{job_id}").raise_for_status()
        return took

    def cost(self, network: str, rounds: int) -> None:
        epochs = NETWORKS[network][1]
        pairs = [(self.run(network, "last"), self.run(network, "all")) for _ in range(rounds)]
        for clock in Seconds._fields:
            seconds = [getattr(kept, clock) - getattr(last, clock) for last, kept in pairs]
            show(f"keeping_{network}_{clock}_us", value=1e6 * statistics.median(seconds) / (epochs - 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--database-url")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        data_dir = Path(name)
        url = asked.database_url or f"sqlite:///{data_dir / 'chainrule.sqlite'}"
        surroundings = Surroundings(url, data_dir, 1, 3600.0, 2.0, None, 2**33)
        with server(0, asked.database_url, data_dir) as (client, _):
            database = surroundings.database()
            bench = Bench(client, database, surroundings)
            for network in NETWORKS:
                bench.cost(network, asked.rounds)
            database.close()


if __name__ == "__main__":
    main()
