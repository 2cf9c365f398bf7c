"""Jobs of many shapes, and the most memory that a real trainer takes for each."""

import multiprocessing
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from app.architectures.network import to_engine
from app.datasets import content, table
from app.datasets.table import Column, Table
from app.engine import leaves_for
from app.jobs import queue
from app.jobs.memory import Load
from app.storage import migration
from app.storage.blobs import Blobs
from app.storage.columns import now
from app.storage.tables import Dataset
from app.worker.material import Materials
from app.worker.surroundings import Surroundings
from app.worker.trainer import Trainer, Wish
from tests.support.rows import TRAINING, add_job, principal

STOPPING = {
    "monitor": "validation_cost",
    "min_delta": 0.0,
    "patience": 20,
    "restore_best_weights": True,
    "start_from_epoch": 0,
}
LBFGS = {"name": "lbfgs", "memory": 10, "tolerance": 1e-9}
DESCENT = {"name": "gradient_descent", "learning_rate": 1e-4}
SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {"rows": 150, "inputs": 4, "classes": 3, "layers": [32, 16], "batch_size": 32, "epochs": 100},
    "wide": {"rows": 2000, "inputs": 500, "classes": 10, "layers": [2000, 2000], "early_stopping": STOPPING},
    "float64": {"rows": 2000, "inputs": 500, "classes": 10, "layers": [1500, 1500], "dtype": "float64"},
    "deep": {"rows": 5000, "inputs": 50, "layers": [256] * 20, "batch_size": 32},
    "tall": {"rows": 500_000, "inputs": 50, "layers": [16], "batch_size": 256, "epochs": 1},
    "full": {"rows": 300_000, "inputs": 40, "layers": [64, 32], "batch_size": "full"},
    "large batch": {"rows": 6000, "inputs": 100, "layers": [2048, 1024], "batch_size": 4000},
    "lbfgs": {"rows": 3000, "inputs": 300, "layers": [800, 400], "batch_size": "full", "optimizer": LBFGS},
    "one by one": {"rows": 300, "inputs": 1000, "layers": [2000], "batch_size": 1, "optimizer": DESCENT},
    "many classes": {"rows": 100_000, "inputs": 10, "classes": 200, "layers": [64], "epochs": 1},
    "dropout": {"rows": 20_000, "inputs": 100, "classes": 10, "layers": [1024, 1024], "dropout": 0.5},
    "two cores": {"rows": 2000, "inputs": 500, "classes": 10, "layers": [2000, 2000], "threads": 2},
}


def described(shape: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], Load]:
    """Network, training options and load of a shape; a seventh is held out twice."""
    classes, rows = shape.get("classes"), shape["rows"]
    hidden = {"activation": "relu", "initialization": "auto", "dropout": shape.get("dropout", 0.0)}
    out = {
        "units": classes or 1,
        "activation": "softmax" if classes else "identity",
        "initialization": "auto",
    }
    layers = [{**hidden, "units": units} for units in shape["layers"]]
    network = {"inputs": shape["inputs"], "layers": layers, "output": out}
    own = {name: value for name, value in shape.items() if name in TRAINING}
    held = round(rows * 0.15)
    training = {
        **TRAINING,
        "cost": "cross_entropy" if classes else "squared_error",
        "validation_fraction": 0.15,
        "test_fraction": 0.15,
        "batch_size": 128,
        "epochs": 2,
        **own,
    }
    trained = rows - 2 * held
    batch = trained if training["batch_size"] == "full" else min(training["batch_size"], trained)
    training["leaves"] = leaves_for(to_engine(network), batch)
    return network, training, Load(trained, held, held, rows * (8 * shape["inputs"] + (4 if classes else 8)))


def make(directory: Path, shape: dict[str, Any]) -> Surroundings:
    """A database with the shape's dataset and one queued job."""
    url = f"sqlite:///{directory / 'chainrule.sqlite'}"
    surroundings = Surroundings(url, directory, 1, 30.0, 0.05, 0, 2**40)
    database = surroundings.database()
    migration.upgrade(database)
    network, training, _ = described(shape)
    rng, rows, classes = np.random.default_rng(0), shape["rows"], shape.get("classes")
    names = [f"x{i}" for i in range(shape["inputs"])]
    columns = {name: Column(name, "number", rng.normal(size=rows)) for name in names}
    columns["y"] = Column("y", "number", rng.normal(size=rows))
    if classes:
        values = rng.integers(0, classes, rows).astype(np.int32)
        columns["y"] = Column("y", "category", values, tuple(f"c{k:04}" for k in range(classes)))
    table.save(Table(rows, columns), directory / "table")
    content.keep_table(directory / "table", surroundings.cache, "0" * 64)
    owner, blobs = principal(database), surroundings.blobs(database)
    with database.writing() as session:
        staged = blobs.stage(b"its Parquet")
        blobs.attach(session, staged)
        row: dict[str, Any] = {
            "id": "ds_of_a_test",
            "project_id": owner.project_id,
            "created_by": owner.key_id,
        }
        row |= {"created_at": now(), "labels": {}, "status": "ready", "sha256": "0" * 64, "size_bytes": 1}
        listed = [{"name": name, "type": "number", "missing": 0} for name in columns]
        row |= {"row_count": rows, "columns": listed, "warnings": []}
        session.execute(sa.insert(Dataset).values({**row, "content": staged.sha256}))
    task = "classification" if classes else "regression"
    add_job(database, task=task, features=names, architecture=network, training=training)
    database.close()
    return surroundings


def peak(surroundings: Surroundings, answer: Any) -> None:
    """A trainer's life with one job: what it takes at most, its lanes with it, in bytes."""
    database = surroundings.database()
    blobs = Blobs(database, surroundings.data_dir / "blobs")
    materials = Materials(database, blobs, surroundings.cache)
    (taken,) = queue.claim(database, "wrk_a", 1, 3000.0)
    over, seen = threading.Event(), [0]
    watching = threading.Thread(target=_watch, args=(over, seen))
    watching.start()
    word = Trainer(database, blobs, taken, surroundings, lambda: Wish.GO_ON).run(materials)
    over.set()
    watching.join()
    status = Path("/proc/self/status").read_text().splitlines()
    alone = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
    answer.send((word, max(alone, seen[0])))


def _watch(over: threading.Event, seen: list[int]) -> None:
    """Σ of the proportional shares of this process and those that it forks."""
    own = os.getpid()
    while not over.wait(0.02):
        children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        seen[0] = max(seen[0], sum(_share(pid) for pid in (str(own), *children)) if children else 0)


def _share(pid: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def measured(directory: Path, shape: dict[str, Any]) -> int:
    directory.mkdir()
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=peak, args=(make(directory, shape), theirs))
    process.start()
    theirs.close()
    word, size = ours.recv()
    process.join()
    ours.close()
    assert word == "finished"
    return int(size)
