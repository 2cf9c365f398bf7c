"""What a trainer is given: arrays with their weights, kept by what decides them, and where they come from."""

from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from app.engine import Parameters, Snapshot, fingerprint
from app.jobs import history, queue, snapshots
from app.jobs.ledger import Place
from app.jobs.queue import Claim
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.tables import Job
from app.worker.material import Materials, Run
from tests.support.rows import TRAINING, add_job
from tests.worker.conftest import VALUES, WEIGHTS


def claimed(database: Database, **training: Any) -> Claim:
    add_job(database, training={**TRAINING, "standardize": False, "dtype": "float64", **training})
    (taken,) = queue.claim(database, "wrk_a", 1, 30.0)
    return taken


def loaded(database: Database, materials: Materials, **training: Any) -> Run:
    return materials.load(claimed(database, **training))


def test_rows_have_the_weights_of_their_column(database: Database, materials: Materials) -> None:
    whole = loaded(database, materials, sample_weight_column="v").data
    assert whole.weights is not None
    assert whole.weights.tolist() == WEIGHTS
    assert whole.weights.dtype == np.float64
    assert whole.validation_weights is None
    run = loaded(database, materials, sample_weight_column="v", validation_fraction=0.4)
    for part, rows in (
        (run.data.weights, run.arrays.split.train),
        (run.data.validation_weights, run.arrays.split.validation),
    ):
        assert part is not None
        assert part.tolist() == [WEIGHTS[row] for row in rows]


def test_arrays_are_kept_by_all_that_decides_them(database: Database, materials: Materials) -> None:
    plain = loaded(database, materials)
    assert plain.data.weights is None
    assert loaded(database, materials, sample_weight_column="v").data.weights is not None
    assert loaded(database, materials, epochs=3).arrays is plain.arrays


def test_costs_are_weighted(database: Database, materials: Materials) -> None:
    run = loaded(database, materials, sample_weight_column="v", weight_decay=0.5)
    theta = Parameters.zeros(run.plan.architecture, "float64")
    theta.W[1][0, 0] = 2.0
    squares = [0.5 * value * value for value in VALUES["y"]]  # h = 0
    data_cost = np.dot(squares, WEIGHTS) / sum(WEIGHTS)
    found = run.costs(theta)
    assert found["data_cost"] == pytest.approx(data_cost, rel=1e-14)
    assert found["cost"] == pytest.approx(data_cost + 0.5 * 0.5 * 4.0, rel=1e-14)
    assert found["validation_cost"] is None


@pytest.mark.parametrize("there", [{}, {"numpy": "1.0"}])
def test_a_run_knows_whether_its_snapshot_is_from_elsewhere(
    database: Database, blobs: Blobs, materials: Materials, there: dict[str, str]
) -> None:
    claim = claimed(database)
    before = {**fingerprint(), **there}
    run = materials.load(claim)
    assert not run.moved
    with database.writing() as session:
        session.execute(sa.update(Job).where(Job.id == claim.job_id).values(fingerprint=before))
    assert not materials.load(claim).moved  # it begins anew here
    snapshot = snapshots.dump(Snapshot.start(run.plan), claim.job_id, claim.fence)
    with database.writing() as session:
        history.record(session, blobs, claim, places=[Place(0, 0, blobs.stage(snapshot), "f" * 64)])
    assert materials.load(claim).moved is bool(there)
