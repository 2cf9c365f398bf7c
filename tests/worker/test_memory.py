"""A job that takes more memory than it may have fails alone, and its trainer goes on."""

import errno
import os
import resource
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.jobs import queue
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.tables import Job
from app.worker import material
from app.worker.material import Materials
from app.worker.surroundings import Surroundings, limit_memory
from app.worker.trainer import Trainer, Wish
from tests.support.rows import ARCHITECTURE, TRAINING, add_job, event_types, job_row

MIB = 2**20
LARGE = {**ARCHITECTURE, "layers": [{"units": 6000, "activation": "tanh", "initialization": "auto"}] * 2}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits address space")


def run(
    database: Database, blobs: Blobs, materials: Materials, surroundings: Surroundings, **values: Any
) -> Job:
    add_job(database, **values)
    (taken,) = queue.claim(database, "wrk_a", 1, 30.0)
    trainer = Trainer(database, blobs, taken, surroundings, lambda: Wish.GO_ON)
    assert trainer.run(materials) == "finished"
    return job_row(database, taken.job_id)


def test_the_limit_counts_from_here_and_goes_with_its_block() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with limit_memory(64 * MIB):
        np.ones(64 * MIB, np.uint8)
        with pytest.raises(MemoryError):
            np.ones(512 * MIB, np.uint8)
        with limit_memory(2**50), pytest.raises(MemoryError):  # no way to get more
            np.ones(512 * MIB, np.uint8)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    np.ones(512 * MIB, np.uint8)


@pytest.mark.parametrize("threads", [1, 2])
def test_only_the_job_that_is_too_large_fails(
    threads: int, database: Database, blobs: Blobs, materials: Materials, surroundings: Surroundings
) -> None:
    small = replace(surroundings, memory_bytes=100 * MIB)
    training = {**TRAINING, "epochs": 2, "batch_size": 2, "threads": threads, "leaves": 2}
    failed = run(database, blobs, materials, small, architecture=LARGE, training=training)
    assert (failed.status, failed.crashes) == ("failed", 0)
    assert failed.error is not None
    assert failed.error["code"] == "out_of_memory"
    assert str(100 * MIB) in failed.error["message"]
    assert event_types(database, failed.id)[-1] == "job.failed"
    after = run(database, blobs, materials, small, training=training)
    assert after.status == "succeeded"


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))])
def test_each_word_for_it_is_known(
    error: Exception,
    database: Database,
    blobs: Blobs,
    materials: Materials,
    surroundings: Surroundings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fit(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(material, "fit", fit)
    job = run(database, blobs, materials, surroundings)
    assert job.error is not None
    assert (job.status, job.error["code"]) == ("failed", "out_of_memory")
