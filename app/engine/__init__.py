"""The paper: backpropagation in NumPy. Knows nothing of the service around it."""

from app.engine.activations import ACTIVATIONS, Activation
from app.engine.backprop import backward, forward, gradient, overall_cost, predict
from app.engine.costs import COSTS, Cost, allowed
from app.engine.fingerprint import fingerprint
from app.engine.gradient_check import Check, check_gradient
from app.engine.lanes import LaneLost
from app.engine.lbfgs import LBFGS
from app.engine.leaves import leaves_for
from app.engine.memory import Array
from app.engine.network import (
    INITIALIZATIONS,
    Architecture,
    Layer,
    Parameters,
    ShapeMismatch,
    automatic_initialization,
    initialise,
)
from app.engine.optimizers import Adam, AdamW, GradientDescent, Momentum, Nesterov, Optimizer, RMSprop
from app.engine.plan import Data, EarlyStopping, Plan
from app.engine.reports import Diverged, Epoch, Finished, Progress
from app.engine.schedules import Constant, Cosine, Exponential, Plateau, Schedule, Step
from app.engine.snapshot import Snapshot
from app.engine.streams import Purpose, Stream, stream
from app.engine.trace import Trace, trace
from app.engine.training import train

__all__ = [
    "ACTIVATIONS",
    "COSTS",
    "INITIALIZATIONS",
    "LBFGS",
    "Activation",
    "Adam",
    "AdamW",
    "Architecture",
    "Array",
    "Check",
    "Constant",
    "Cosine",
    "Cost",
    "Data",
    "Diverged",
    "EarlyStopping",
    "Epoch",
    "Exponential",
    "Finished",
    "GradientDescent",
    "LaneLost",
    "Layer",
    "Momentum",
    "Nesterov",
    "Optimizer",
    "Parameters",
    "Plan",
    "Plateau",
    "Progress",
    "Purpose",
    "RMSprop",
    "Schedule",
    "ShapeMismatch",
    "Snapshot",
    "Step",
    "Stream",
    "Trace",
    "allowed",
    "automatic_initialization",
    "backward",
    "check_gradient",
    "fingerprint",
    "forward",
    "gradient",
    "initialise",
    "leaves_for",
    "overall_cost",
    "predict",
    "stream",
    "trace",
    "train",
]
