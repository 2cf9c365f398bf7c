"""How much memory a job will take, by reckoning: nothing is allocated to find out.

The engine's arrays are counted as it makes them, at the moment when most of them are there together, which is
when a snapshot is written or the end measured. Measured peaks of real trainers lie below, by a third at most
for jobs that are large enough to matter: see `tests/jobs/test_memory.py`.
"""

from dataclasses import dataclass, fields
from typing import Any

from app.architectures.network import to_engine
from app.engine import leaves
from app.engine.minibatches import PIECE_STEPS, PIECE_WORK
from app.engine.network import Architecture
from app.engine.optimizers import SPAN
from app.errors import Fault
from app.jobs import keeping

MIB = 2**20
PROCESS_BYTES = 92 * MIB
LANE_BYTES = 24 * MIB
CALL_BYTES = 640
"""A taped call with the views that are bound in it."""

CALLS_PER_SPAN, CALLS_PER_LAYER = 16, 14
PIECE_BYTES = 200
MEASURED_ROWS = 8192
STATES = {"gradient_descent": 0, "momentum": 1, "nesterov": 1, "rmsprop": 1, "adam": 2, "adamw": 2}
WRITING = 1
"""While a snapshot or a model is written, its bytes are there as arrays, as parts and as one string."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a job is trained on: rows of each part, and bytes of the columns that it reads, of all rows."""

    train: int
    validation: int
    test: int
    column_bytes: int

    @property
    def rows(self) -> int:
        return self.train + self.validation + self.test


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes, by what they are for."""

    process: int
    data: int
    encoding: int
    parameters: int
    optimizer: int
    snapshots: int
    activations: int

    @property
    def total(self) -> int:
        """The most that is there at once: the rows are encoded before the training begins."""
        training = self.parameters + self.optimizer + self.snapshots + self.activations
        return self.process + self.data + max(self.encoding, training)

    def to_json(self) -> dict[str, int]:
        return {"total": self.total} | {each.name: getattr(self, each.name) for each in fields(self)}


_WAYS_OUT = (
    (("parameters", "optimizer", "snapshots"), "architecture.layers", "Use fewer or narrower layers."),
    (("activations",), "training.batch_size", "Use a smaller minibatch, or narrower layers."),
    (("data", "encoding"), "features", "Use fewer features, or a dataset with fewer rows."),
)


def fault(need: Need, allowed: int) -> Fault | None:
    """What is wrong with a job that needs more than is allowed, at the option that helps most."""
    if need.total <= allowed:
        return None
    parts = need.to_json()
    _, param, hint = max(_WAYS_OUT, key=lambda way: sum(parts[name] for name in way[0]))
    told = ", ".join(f"{name} {value}" for name, value in parts.items() if name != "total")
    message = f"The job needs about {need.total} bytes of memory ({told}); this server gives a job {allowed}."
    return Fault(param, "too_large_for_memory", message, hint)


def estimate(network: dict[str, Any], training: dict[str, Any], load: Load) -> Need:
    """What the resolved job needs. Python's integers do not overflow, however absurd it is."""
    architecture = to_engine(network)
    item = 8 if training["dtype"] == "float64" else 4
    vector = architecture.parameter_count * item
    optimizer, stopping = training["optimizer"], training["early_stopping"]
    is_lbfgs = optimizer["name"] == "lbfgs"
    state = vector * (2 * optimizer["memory"] if is_lbfgs else STATES[optimizer["name"]])
    best = vector if stopping is not None and stopping["restore_best_weights"] else 0
    batch = load.train if training["batch_size"] == "full" else min(training["batch_size"], load.train)
    width = (architecture.s[1] + architecture.s[architecture.n]) * load.rows
    gradients = (training["leaves"] + 1) * vector if batch > leaves.PIECE_ROWS else vector
    snapshot = vector + state + best
    keep = training["keep_epochs"]
    kept = 0 if keep == "last" else keeping.most_kept(keep, training["epochs"])
    waiting = min(kept * snapshot, keeping.MOST_WAITING_BYTES)
    ending = (3 + WRITING) * vector + 8 * architecture.parameter_count
    return Need(
        process=PROCESS_BYTES + LANE_BYTES * (training["threads"] - 1),
        data=width * item + load.column_bytes + 8 * load.rows * 2,
        encoding=_encoding(architecture, load),
        parameters=vector + gradients + _tapes(architecture, training, load, batch),
        optimizer=state + (3 * vector if is_lbfgs else 0),
        # The one that it started from and the best stay; the others come and go with each that is written.
        snapshots=snapshot + best + waiting + max((1 + WRITING) * snapshot, ending),
        activations=_activations(architecture, load, batch, item),
    )


def _encoding(architecture: Architecture, load: Load) -> int:
    """The largest part in float64 beside itself as it will be, beside what is kept of all of them."""
    width = architecture.s[1] + architecture.s[architecture.n]
    largest = max(load.train, load.validation, load.test)
    return 8 * width * largest + 96 * load.rows


def _steps_at_once(architecture: Architecture, batch: int) -> int:
    work: int = leaves.multiply_adds(architecture, batch)
    return max(1, min(leaves.PIECE_ROWS // batch, PIECE_WORK // work, PIECE_STEPS))


def _at_once(rows: int) -> int:
    """Of how many rows an evaluation has room: the last of its blocks is of another size."""
    return rows if rows <= leaves.PIECE_ROWS else leaves.BLOCK_ROWS + rows % leaves.BLOCK_ROWS


def _tapes(architecture: Architecture, training: dict[str, Any], load: Load, batch: int) -> int:
    """Python's part: the taped calls of every step of a piece, and the list of pieces."""
    steps = _steps_at_once(architecture, batch)
    taped = 33 if batch == load.train else steps + 1
    spans = architecture.parameter_count // SPAN + 2 * architecture.n
    calls: int = taped * (CALLS_PER_SPAN * spans + CALLS_PER_LAYER * architecture.n * training["leaves"])
    blocks = (load.train + load.validation) // leaves.BLOCK_ROWS + 2
    calls += blocks * 6 * architecture.n
    return calls * CALL_BYTES + PIECE_BYTES * (load.train // (batch * steps) + 1)


def _activations(architecture: Architecture, load: Load, batch: int, item: int) -> int:
    """z, a, f′ and δ of the rows that go through the network together, in training and in evaluation."""
    s, n = architecture.s, architecture.n
    units = [s[layer] for layer in range(2, n + 1)]
    dropping = sum(s[layer] for layer, p in architecture.dropout.items() if p)
    room = 3 * sum(units) + max(units) + 3 * dropping + 1
    steps = _steps_at_once(architecture, batch)
    rest = load.train % batch  # a smaller last minibatch has a room of its own
    if batch > leaves.PIECE_ROWS:
        trained = (_at_once(batch) + _at_once(rest)) * room + leaves.BLOCK_ROWS * (s[1] + s[n])
    else:
        epochs = 32 if batch == load.train else 1
        trained = (batch + rest) * room + (steps * batch + rest) * (s[1] + (2 + epochs) * s[n] + 3)
    forward = 2 * sum(units) + max(units)  # nothing writes to the rest of an evaluation's room
    evaluated = sum(forward * _at_once(rows) for rows in (load.train, load.validation))
    largest = max(load.train, load.validation, load.test)
    measured = (
        largest * s[n] * (2 * item + 8 * 3) + 2 * min(largest, MEASURED_ROWS) * max(*units, s[1]) * item
    )
    return (trained + evaluated) * item + 16 * load.train + max(measured, 16 * load.train * s[n])
