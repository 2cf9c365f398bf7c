"""A job's stored split: what it takes of it, and whether it fits."""

from app.errors import Fault, Invalid
from app.jobs.resolution import Resolved
from app.jobs.schemas import JobCreate, Training
from app.splits import service as splits
from app.storage.tables import Split

PARAM = "training.split_id"


def taken(asked: JobCreate, split: Split, dataset_sha256: str) -> Training:
    """The training options with those of the split.

    Raises Invalid where some were sent beside it, or the split is of other rows.
    """
    training = asked.training
    own = [name for name in (*splits.options(split), "fold") if name in training.model_fields_set]
    faults = [
        Fault(f"training.{name}", "not_allowed", "The split says it already.", "Leave it out, or split_id.")
        for name in own
        if getattr(training, name) is not None
    ]
    if split.dataset_sha256 != dataset_sha256:
        message = "The split is of another dataset."
        faults.append(Fault(PARAM, "not_allowed", message, "Store a split of this one."))
    if faults:
        raise Invalid(f"{faults[0].param}: {faults[0].message}", *faults)
    return training.model_copy(update=splits.options(split))


def check_fit(split: Split, resolved: Resolved) -> None:
    """Raises Invalid unless the job predicts what the split was drawn for: else its rows would be others."""
    if (split.task, split.target) != (resolved.task, resolved.target):
        message = f"The split is for {split.task} of other rows than this job's {resolved.task} has."
        if split.target != resolved.target:
            message = "The split is for another target."
        raise Invalid(f"{PARAM}: {message}", Fault(PARAM, "not_allowed", message, "Store a split for it."))
