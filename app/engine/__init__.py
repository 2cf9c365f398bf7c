"""The paper: backpropagation in NumPy. Knows nothing of the service around it."""

from app.engine.activations import ACTIVATIONS, Activation
from app.engine.backprop import backward, forward, gradient, overall_cost, predict
from app.engine.costs import COSTS, Cost, allowed
from app.engine.fingerprint import fingerprint
from app.engine.gradient_check import Check, check_gradient
from app.engine.network import (
    INITIALIZATIONS,
    Architecture,
    Array,
    Layer,
    Parameters,
    ShapeMismatch,
    automatic_initialization,
    initialise,
)
from app.engine.optimizers import Adam, GradientDescent, Momentum, Optimizer
from app.engine.plan import Data, EarlyStopping, Plan
from app.engine.reports import Diverged, Epoch, Finished, Progress
from app.engine.snapshot import Snapshot
from app.engine.streams import Purpose, permutation, stream
from app.engine.trace import Trace, trace
from app.engine.training import train

__all__ = [
    "ACTIVATIONS",
    "COSTS",
    "INITIALIZATIONS",
    "Activation",
    "Adam",
    "Architecture",
    "Array",
    "Check",
    "Cost",
    "Data",
    "Diverged",
    "EarlyStopping",
    "Epoch",
    "Finished",
    "GradientDescent",
    "Layer",
    "Momentum",
    "Optimizer",
    "Parameters",
    "Plan",
    "Progress",
    "Purpose",
    "ShapeMismatch",
    "Snapshot",
    "Trace",
    "allowed",
    "automatic_initialization",
    "backward",
    "check_gradient",
    "fingerprint",
    "forward",
    "gradient",
    "initialise",
    "overall_cost",
    "permutation",
    "predict",
    "stream",
    "trace",
    "train",
]
