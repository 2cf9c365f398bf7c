"""The network: its architecture, its parameters W and b in one flat vector, and their first values."""

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from app.engine.activations import ACTIVATIONS, Activation, F, FPrime
from app.engine.memory import Array, Zeros, aligned_zeros
from app.engine.streams import Purpose, stream


class ShapeMismatch(ValueError):
    """A parameter does not have the shape that the architecture gives it.

    ``where`` names the element, as ``[0].W`` for W^(1); ``expected`` and ``got`` are shapes.
    """

    def __init__(self, where: str, expected: tuple[int, ...], got: tuple[int, ...] | None) -> None:
        self.where, self.expected, self.got = where, expected, got
        seen = "no rectangular array of numbers" if got is None else f"shape {got}"
        super().__init__(f"{where}: expected shape {expected}, got {seen}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.where, self.expected, self.got)


@dataclass(frozen=True)
class Layer:
    """Layer l = 2 … n. ``initialization`` is for W^(l-1), the weights that lead to it.

    ``dropout``: each output of a hidden layer is 0 with this probability while training, else 1 / (1 − p)
    times itself (Srivastava et al. 2014, scaled at training as everybody does it today).
    """

    units: int
    activation: str
    initialization: str = "auto"
    dropout: float = 0.0


@dataclass(frozen=True)
class Architecture:
    """``inputs`` is s_1; ``layers`` are the hidden ones and, last, the output layer."""

    inputs: int
    layers: tuple[Layer, ...]

    @cached_property
    def n(self) -> int:
        """n_l: the number of layers, input and output included."""
        return len(self.layers) + 1

    @cached_property
    def s(self) -> dict[int, int]:
        """s_l for l = 1 … n."""
        return {1: self.inputs} | {l: layer.units for l, layer in enumerate(self.layers, 2)}

    @cached_property
    def activations(self) -> dict[int, Activation]:
        """The row of the table for layer l = 2 … n. Raises KeyError for a name that is not in it."""
        return {l: ACTIVATIONS[layer.activation] for l, layer in enumerate(self.layers, 2)}

    @cached_property
    def f(self) -> dict[int, F]:
        """f of layer l = 2 … n."""
        return {l: activation.f for l, activation in self.activations.items()}

    @cached_property
    def f_prime(self) -> dict[int, FPrime]:
        """f′ of layer l = 2 … n; a softmax layer is left out."""
        table = {l: activation.f_prime for l, activation in self.activations.items()}
        return {l: f_prime for l, f_prime in table.items() if f_prime is not None}

    @cached_property
    def dropout(self) -> dict[int, float]:
        """p of layer l = 2 … n."""
        return {l: layer.dropout for l, layer in enumerate(self.layers, 2)}

    @property
    def parameter_count(self) -> int:
        """Every weight and every bias, padding not counted."""
        s = self.s
        return sum(s[l + 1] * (s[l] + 1) for l in range(1, self.n))


class Parameters:
    """W^(l) and b^(l), l = 1 … n-1, as views of one flat vector: weights first, then biases.

    ``W[l]`` is (s_{l+1}, s_l), ``b[l]`` (s_{l+1}, 1); ``weights`` is the part of ``flat`` that holds every
    weight and no bias, and ``spans[l]`` is where W^(l) lies in it. Each block begins on a 64-byte line; the
    gaps are zero and stay zero under every update, so whole-vector sums need not step around them. Gradients
    and optimizer state have the same form.
    """

    def __init__(self, architecture: Architecture, dtype: DTypeLike, zeros: Zeros = aligned_zeros) -> None:
        s, n = architecture.s, architecture.n
        kind = np.dtype(dtype)
        line = 64 // kind.itemsize
        starts, end = [], 0
        sizes = [s[l + 1] * s[l] for l in range(1, n)] + [s[l + 1] for l in range(1, n)]
        for size in sizes:
            starts.append(end)
            end += -(-size // line) * line
        self.architecture = architecture
        self.flat: Array = zeros(end, kind)
        self.weights: Array = self.flat[: starts[n - 1]]
        self.spans = {l: slice(starts[l - 1], starts[l]) for l in range(1, n)}
        parts = [self.flat[start : start + size] for start, size in zip(starts, sizes, strict=True)]
        self.W = {l: parts[l - 1].reshape(s[l + 1], s[l]) for l in range(1, n)}
        self.b = {l: parts[n + l - 2].reshape(s[l + 1], 1) for l in range(1, n)}
        self.W_T = {l: W.T for l, W in self.W.items()}

    @classmethod
    def zeros(cls, architecture: Architecture, dtype: DTypeLike) -> Self:
        return cls(architecture, dtype)

    @classmethod
    def of(
        cls, architecture: Architecture, pairs: Sequence[tuple[ArrayLike, ArrayLike]], dtype: DTypeLike
    ) -> Self:
        """From (W^(1), b^(1)), (W^(2), b^(2)), …; b is a flat list or a column. Raises ShapeMismatch."""
        if len(pairs) != architecture.n - 1:
            raise ShapeMismatch("parameters", (architecture.n - 1,), (len(pairs),))
        made = cls(architecture, dtype)
        for k, (W, b) in enumerate(pairs):
            made.W[k + 1][...] = _shaped(f"[{k}].W", W, made.W[k + 1].shape, ())
            column = made.b[k + 1].shape
            made.b[k + 1][...] = _shaped(f"[{k}].b", b, column[:1], column).reshape(column)
        return made

    def pairs(self) -> list[tuple[Array, Array]]:
        """(W^(l), b^(l)) for l = 1 … n-1 as copies of shapes (s_{l+1}, s_l) and (s_{l+1},)."""
        return [(self.W[l].copy(), self.b[l].ravel().copy()) for l in self.W]

    def named(self) -> Iterable[tuple[str, Array]]:
        """("W1", W^(1)), ("b1", b^(1)), ("W2", …) …, as views."""
        for l in self.W:
            yield f"W{l}", self.W[l]
            yield f"b{l}", self.b[l]

    def copy(self) -> Self:
        return self.astype(self.flat.dtype)

    def astype(self, dtype: DTypeLike, zeros: Zeros = aligned_zeros) -> Self:
        """A copy, rounded to dtype."""
        made = type(self)(self.architecture, dtype, zeros)
        for (_, new), (_, old) in zip(made.named(), self.named(), strict=True):
            new[...] = old
        return made

    def is_finite(self) -> bool:
        return bool(np.isfinite(self.flat).all())

    def norm(self) -> float:
        """The Euclidean norm of all W and b together; not finite where one of them is not.

        Overflow warnings are the caller's to silence.
        """
        squares = np.dot(self.flat, self.flat)
        # In float32 squares can overflow, and a sum of millions loses digits: then once more in float64.
        if len(self.flat) > 16384 or not math.isfinite(squares):
            wide = self.flat.astype(np.float64)
            squares = np.dot(wide, wide)
        return math.sqrt(squares)

    def squared_weights(self) -> float:
        """Σ_l Σ_i Σ_j (W_ij^(l))² of (6), in float64: every weight and no bias."""
        wide = self.weights.astype(np.float64, copy=False)
        return float(np.dot(wide, wide))

    def sha256(self) -> str:
        """SHA-256 over the bytes of W^(1), b^(1), W^(2), …: the dtype's little-endian form, C order."""
        digest = hashlib.sha256()
        for _, array in self.named():
            digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
        return digest.hexdigest()


def _shaped(where: str, values: ArrayLike, *shapes: tuple[int, ...]) -> Array:
    try:
        array = np.asarray(values, np.float64)
    except (ValueError, TypeError):
        raise ShapeMismatch(where, shapes[0], None) from None
    if array.shape not in shapes:
        raise ShapeMismatch(where, shapes[0], array.shape)
    return array


def automatic_initialization(activation: str) -> str:
    """What "auto" stands for: He for activations that pass half of their inputs, Glorot for all others."""
    return "he_uniform" if ACTIVATIONS[activation].rectifier else "glorot_uniform"


# The standard deviation of W^(l) by name, from fan_in = s_l and fan_out = s_{l+1}. A uniform draw reaches
# √3 times as far: Glorot & Bengio 2010 (16), He et al. 2015 (10); "uniform" is ±1/√fan_in, as in PyTorch.
INITIALIZATIONS: dict[str, Callable[[int, int], float]] = {
    "glorot_uniform": lambda fan_in, fan_out: (2 / (fan_in + fan_out)) ** 0.5,
    "glorot_normal": lambda fan_in, fan_out: (2 / (fan_in + fan_out)) ** 0.5,
    "he_uniform": lambda fan_in, fan_out: (2 / fan_in) ** 0.5,
    "he_normal": lambda fan_in, fan_out: (2 / fan_in) ** 0.5,
    "uniform": lambda fan_in, fan_out: (1 / (3 * fan_in)) ** 0.5,
    "zeros": lambda fan_in, fan_out: 0.0,
}


def initialise(architecture: Architecture, seed: int, dtype: DTypeLike) -> Parameters:
    """W^(l) drawn as its layer's initialization says, b^(l) = 0.

    Each W^(l) has its own stream and is drawn in float64, then rounded: float32 and float64 begin at the
    same point, and a layer's draw does not depend on the others. "normal" draws are not truncated.
    """
    parameters = Parameters.zeros(architecture, dtype)
    for l, layer in enumerate(architecture.layers, 1):
        name = layer.initialization
        if name == "auto":
            name = automatic_initialization(layer.activation)
        W = parameters.W[l]
        deviation = INITIALIZATIONS[name](architecture.s[l], architecture.s[l + 1])
        draw = stream(seed, Purpose.INITIALISE, l)
        if name.endswith("uniform"):
            W[...] = draw.uniform(-(3**0.5) * deviation, 3**0.5 * deviation, W.shape)
        else:
            W[...] = deviation * draw.standard_normal(W.shape)
    return parameters
