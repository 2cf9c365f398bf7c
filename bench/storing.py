"""What it costs to store every epoch, and how long a history of a million epochs takes to read.

    python -m bench.storing [--epochs 1000000] [--database-url URL] [--rounds 5]

In turns, and in this process, a trainer trains a job on a real database, and the engine trains the same plan
alone. ``within`` is what the trainer took of its own between two reports of the engine, in one run: the
difference of two runs has the start and the end of the job in it, too, and whatever else the machine was
doing. Then a server answers for the longest history. Prints JSON lines.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import sqlalchemy as sa

from app.worker.pinning import pin_blas

pin_blas()  # as in a trainer, before NumPy is imported

from app.engine import train  # noqa: E402
from app.jobs import queue  # noqa: E402
from app.jobs.queue import Claim  # noqa: E402
from app.storage.database import Database  # noqa: E402
from app.worker import trainer as trainers  # noqa: E402
from app.worker.material import Materials  # noqa: E402
from app.worker.surroundings import Surroundings  # noqa: E402
from app.worker.trainer import Trainer, Wish  # noqa: E402
from bench.service import server, show  # noqa: E402

ROWS = "a,b,c,d,y\n" + "".join(f"{i % 7},{i % 5},{i % 3},{i % 11},{(i % 7) * (i % 3)}\n" for i in range(4096))


NETWORKS: dict[str, tuple[int, dict[str, Any]]] = {
    "tiny": (3, {"batch_size": "full", "test_fraction": 0.99}),
    "half_a_millisecond": (32, {"batch_size": 256, "test_fraction": 0.15}),
}
"""Units of the one hidden layer, and how it is trained. ``tiny`` sees 41 rows."""


class Seconds(NamedTuple):
    """By the wall and of this process: others on the machine disturb the first much more."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> "Seconds":
        return cls(time.perf_counter(), time.process_time())

    def since(self) -> "Seconds":
        now = Seconds.now()
        return Seconds(now.wall - self.wall, now.cpu - self.cpu)


class Bench:
    """A job's way in this process: submitted to a server without workers, claimed and trained here."""

    def __init__(self, client: httpx.Client, database: Database, surroundings: Surroundings) -> None:
        self.client, self.database, self.surroundings = client, database, surroundings
        self.blobs = surroundings.blobs(database)
        self.materials = Materials(database, self.blobs, surroundings.cache)
        answer = client.post("/v1/datasets", content=ROWS, headers={"Content-Type": "text/csv"})
        self.dataset_id = answer.raise_for_status().json()["id"]

    def claim(self, network: str, epochs: int) -> Claim:
        units, training = NETWORKS[network]
        body = {
            "dataset_id": self.dataset_id,
            "target": "y",
            "task": "regression",
            "architecture": {"layers": [{"units": units, "activation": "tanh"}]},
            "training": {"epochs": epochs, "early_stopping": None, "validation_fraction": 0, **training},
        }
        self.client.post("/v1/jobs", json=body).raise_for_status()
        (claim,) = queue.claim(self.database, "wrk_bench", 1, 3600.0)
        return claim

    def alone(self, claim: Claim) -> Seconds:
        """The engine's, from which nobody wants anything but the end."""
        run = self.materials.load(claim)
        start = Seconds.now()
        for _ in train(run.snapshot, run.data, run.plan, run.job.training["threads"]):
            pass
        return start.since()

    def stored(self, claim: Claim) -> tuple[Seconds, float]:
        """The whole job's, with every row, snapshot and event, and the model; and what became of the time in
        between: seconds that the trainer took of its own from one report of the engine to its asking for the
        next."""
        trainer = Trainer(self.database, self.blobs, claim, self.surroundings, lambda: Wish.GO_ON)
        between = 0.0

        def watched(*arguments: Any) -> Iterator[Any]:
            nonlocal between
            clock = time.perf_counter
            for report in train(*arguments):
                start = clock()
                yield report
                between += clock() - start

        trainers.train = watched  # type: ignore[assignment, attr-defined]
        start = Seconds.now()
        word = trainer.run(self.materials)
        took = start.since()
        assert word == "finished", word
        return took, between

    def cost(self, network: str, epochs: int, rounds: int) -> str:
        """Both in turns; the id of the last job."""
        alone, stored, within = [], [], []
        for _ in range(rounds):
            claim = self.claim(network, epochs)
            alone.append(self.alone(claim))
            took, between = self.stored(claim)
            stored.append(took)
            within.append((between, took.wall - between))
        for clock in Seconds._fields:
            pairs = [(getattr(a, clock), getattr(b, clock)) for a, b in zip(alone, stored, strict=True)]
            engine = 1e6 * statistics.median(without for without, _ in pairs) / epochs
            storing = 1e6 * statistics.median(both - without for without, both in pairs) / epochs
            figures = {"engine_us": engine, "storing_us": storing, "percent": 100 * storing / engine}
            show(f"storing_{network}_{clock}", epochs=epochs, **figures)
        outside, inside = (1e6 * statistics.median(each) / epochs for each in zip(*within, strict=True))
        figures = {"engine_us": inside, "storing_us": outside, "percent": 100 * outside / inside}
        show(f"storing_{network}_within", epochs=epochs, **figures)
        return claim.job_id

    def reading(self, job_id: str, epochs: int) -> None:
        """The longest history over HTTP, thinned and a page from its middle; milliseconds."""
        queries = {"thinned": {"max_points": 1000}, "page": {"after_epoch": epochs // 2, "limit": 1000}}
        for name, query in queries.items():
            took = []
            for _ in range(5):
                start = time.perf_counter()
                answer = self.client.get(f"/v1/jobs/{job_id}/epochs", params=query).raise_for_status()
                took.append(1000 * (time.perf_counter() - start))
            rows = answer.json()["data"]
            show(f"read_{name}_ms", rows=len(rows), p50=statistics.median(took), most=max(took))

    def size(self) -> int:
        """Bytes of the database."""
        with self.database.reading() as session:
            if not self.database.is_sqlite:
                return session.scalar(sa.text("SELECT pg_database_size(current_database())")) or 0
            session.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)"))
        assert self.database.path is not None
        return self.database.path.stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--epochs", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--database-url")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        data_dir = Path(name)
        url = asked.database_url or f"sqlite:///{data_dir / 'chainrule.sqlite'}"
        surroundings = Surroundings(url, data_dir, 1, 3600.0, 2.0, None, 2**33)
        with server(0, asked.database_url, data_dir) as (client, _):
            database = surroundings.database()
            bench = Bench(client, database, surroundings)
            bench.cost("half_a_millisecond", max(1, asked.epochs // 50), asked.rounds)
            before = bench.size()
            job_id = bench.cost("tiny", asked.epochs, 1)
            show("bytes_per_epoch", value=(bench.size() - before) / asked.epochs)
            bench.reading(job_id, asked.epochs)
            database.close()


if __name__ == "__main__":
    main()
