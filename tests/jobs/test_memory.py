"""What a job is reckoned to need, and what real trainers take."""

import itertools
import json
import resource
import sys
import time
from pathlib import Path

import pytest

from app.jobs import memory
from app.jobs.memory import Need, estimate
from tests.support.peaks import SHAPES, STOPPING, described, measured

MIB = 2**20
NAMES = [pytest.param(name, marks=() if name == "tiny" else pytest.mark.slow) for name in SHAPES]


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
@pytest.mark.parametrize("name", NAMES)
def test_no_trainer_takes_more_than_was_reckoned_nor_much_less(name: str, tmp_path: Path) -> None:
    need = estimate(*described(SHAPES[name]))
    start = time.monotonic()
    found = measured(tmp_path / "data", SHAPES[name])
    ratio = need.total / found
    print(f"{name}: {found / MIB:.0f} MiB, reckoned {need.total / MIB:.0f}, {ratio:.2f} times as much;"
          f" {time.monotonic() - start:.1f} s; {json.dumps(need.to_json())}")  # fmt: skip
    assert 1.0 <= ratio <= 2.0


def test_absurd_jobs_are_reckoned_at_once_and_without_memory() -> None:
    absurd = {"rows": 10**12, "inputs": 10**6, "classes": 10**5, "layers": [10**9] * 3, "batch_size": 10**11}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    assert estimate(*described(absurd)).total > 2**66
    assert time.monotonic() - start < 0.5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 * 1024


def test_more_of_anything_is_never_less_memory() -> None:
    plain = {"rows": 1000, "inputs": 20, "layers": [50], "batch_size": 64}
    for name, values in {
        "rows": (1000, 5000, 20_000, 10**6),
        "inputs": (20, 200, 2000),
        "layers": ([50], [500], [500, 500], [5000, 5000]),
        "classes": (None, 2, 200),
        "dtype": ("float32", "float64"),
        "early_stopping": (None, STOPPING),
        "threads": (1, 2, 4),
        "dropout": (0.0, 0.5),
    }.items():
        sizes = [estimate(*described({**plain, name: value})).total for value in values]
        assert all(small <= large for small, large in itertools.pairwise(sizes)), (name, sizes)


@pytest.mark.parametrize(
    ("largest", "param"),
    [
        ("parameters", "architecture.layers"),
        ("snapshots", "architecture.layers"),
        ("activations", "training.batch_size"),
        ("data", "features"),
    ],
)
def test_the_fault_is_at_the_option_that_helps_most(largest: str, param: str) -> None:
    parts = dict.fromkeys(("process", "data", "encoding", "parameters", "optimizer", "snapshots"), 10)
    need = Need(**{**parts, "activations": 10, largest: 1000})
    assert memory.fault(need, need.total) is None
    fault = memory.fault(need, need.total - 1)
    assert fault is not None
    assert (fault.param, fault.code) == (param, "too_large_for_memory")
    assert f"{need.total} bytes" in fault.message
    assert f"gives a job {need.total - 1}" in fault.message
