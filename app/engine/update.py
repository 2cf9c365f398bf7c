"""One step for all parameters: the sum of the leaves' gradients, decay (9), clipping, and the optimizer."""

import math
from collections.abc import Callable

import numpy as np

from app.engine.backprop import Room
from app.engine.blas import general_product, has_general_product
from app.engine.leaves import LARGE_ITEMS, Stage, tree
from app.engine.memory import Array, Zeros, total
from app.engine.network import Parameters
from app.engine.optimizers import (
    FLUSH_STEPS,
    RULES,
    SPAN,
    AdamW,
    GradientDescent,
    Optimizer,
    OptimizerState,
)
from app.engine.tape import Tape


class Update:
    """Tapes of the update after each of a piece's ``steps``; of ∇J alone for an optimizer that moves by
    itself.

    ``shares`` are the slices of the flat vector that each leaf updates. What the epoch's row needs is left by
    step and span: ΣW² before it in ``squares`` and, of steps that end an epoch, Σ∇² in ``norms`` and Σθ²
    after it in ``sizes``.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lambda_: float,
        clip_norm: float | None,
        parameters: Parameters,
        state: OptimizerState,
        shares: list[list[slice]],
        steps: int,
        zeros: Zeros,
    ) -> None:
        dtype = parameters.flat.dtype
        self.optimizer, self.rule = optimizer, RULES.get(type(optimizer))
        self.lambda_, self.clip_norm = lambda_, clip_norm
        self.parameters, self.state, self.shares = parameters, state, shares
        starts = [
            [(a, part.stop) for part in own for a in range(part.start, part.stop, SPAN)] for own in shares
        ]
        self.spans = [[slice(a, min(a + SPAN, stop)) for a, stop in own] for own in starts]
        longest = [max((span.stop - span.start for span in own), default=0) for own in self.spans]
        self.scratch = [zeros(2 * size, dtype).reshape(2, size) for size in longest]
        count = sum(map(len, self.spans))
        self.squares, self.norms, self.sizes = zeros(3 * steps * count, dtype).reshape(3, steps, count)
        given = 0 if self.rule is None else len(self.rule.numbers(optimizer, 1.0, 1))
        numbers = zeros(given + 3, dtype)
        *self.numbers, self.shrink, self.clip, self.decay = (
            numbers[q : q + 1].reshape(()) for q in range(given + 3)
        )
        self.decay[...] = lambda_
        self.unclipped = math.nan
        self.alpha = math.nan  # no rate yet: a first one of 0 is another

    def set_rate(self, alpha: float) -> None:
        """The learning rate of the steps to come."""
        if alpha == self.alpha:
            return
        self.alpha = alpha
        if isinstance(self.optimizer, AdamW):
            self.shrink[...] = 1 - alpha * self.optimizer.decoupled_weight_decay
        if self.rule is not None and not self.rule.counts_steps:
            self._set_numbers()

    def steps_done(self, count: int) -> None:
        if self.rule is None:
            return
        if not self.rule.counts_steps:
            self.state.t += count
        # By t, and not by what was done since the start: a run that goes on flushes at the same steps.
        if self.state.t % FLUSH_STEPS < count:
            self.state.flush()

    def _advance(self) -> None:
        self.state.t += 1
        self._set_numbers()

    def _set_numbers(self) -> None:
        assert self.rule is not None
        values = self.rule.numbers(self.optimizer, self.alpha, self.state.t)
        for array, value in zip(self.numbers, values, strict=True):
            array[...] = value

    def direct(self, last: bool) -> list[int]:
        """The layers l whose W^(l) is so large that ∇W^(l) is better never written to memory.

        (7), with (9) and (11): W ← (1 − α λ) W − α δ aᵀ in one pass over W, if nobody asks for the gradient.
        """
        asked = last or self.clip_norm is not None or not isinstance(self.optimizer, GradientDescent)
        if asked or not has_general_product():
            return []
        return [l for l, W in self.parameters.W.items() if W.size >= LARGE_ITEMS]

    def stages(
        self,
        gradients: list[Parameters],
        step: int,
        last: bool,
        *,
        burst: bool = False,
        room: Room | None = None,
    ) -> list[Stage]:
        """The update after a step of the piece; ``last``: it is the epoch's last; ``burst``: one of many,
        whose parameters are looked at when all are done. The `direct` layers take δ and a from the ``room``.

        The gradients come without decay; the first is left with their sum and, after the epoch's last step,
        with it.
        """
        clips = self.clip_norm is not None
        gather: Stage = [Tape() for _ in self.spans]
        move = [Tape() for _ in self.spans] if clips else gather
        places = iter(range(self.squares.shape[1]))
        numbers: Stage = [Tape() for _ in self.spans]  # by a stage of their own: every leaf needs them
        if self.rule is not None and self.rule.counts_steps:
            numbers[0](self._advance)
        direct = {l: self.parameters.spans[l] for l in (self.direct(last) if room is not None else [])}
        for q, own in enumerate(self.spans):
            for span in own:
                place = next(places)
                here = slice(place, place + 1)
                if any(layer.start <= span.start < layer.stop for layer in direct.values()):
                    if self.lambda_:
                        W = self.parameters.flat[span]
                        gather[q](np.ndarray.dot, W, W, self.squares[step, here].reshape(()))
                    continue
                scratch, spare = self.scratch[q][:, : span.stop - span.start]
                tree(gather[q], gradients, span)
                g = gradients[0].flat[span]
                # Unless somebody reads ∇J later, it can stay in the cache.
                kept = last or clips or self.rule is None
                squares = self.squares[step, here].reshape(())
                g = self._decay(gather[q], g, span, scratch, g if kept else spare, squares)
                if last or clips:
                    gather[q](np.ndarray.dot, g, g, self.norms[step, here].reshape(()))
                self._move(move[q], g, span, scratch)
                if last and not burst:
                    theta = self.parameters.flat[span]
                    move[q](np.ndarray.dot, theta, theta, self.sizes[step, here].reshape(()))
            for l in direct:
                self._descend(gather[q], l, self.shares[q], room)
        if not clips:
            return [numbers, gather] if numbers[0] else [gather]
        limit: Stage = [Tape() for _ in self.spans]
        limit[0](self._limit, gradients[0], step)
        return [numbers, gather, limit, move]

    def _descend(self, do: Tape, l: int, share: list[slice], room: Room | None) -> None:
        """A leaf's rows i of a large W^(l), without their gradient."""
        layer, width = self.parameters.spans[l], self.parameters.architecture.s[l]
        for part in share:
            if room is not None and layer.start <= part.start < layer.stop:
                i = slice((part.start - layer.start) // width, (part.stop - layer.start) // width)
                do(
                    self._direct_step,
                    general_product(self.parameters.W[l][i], room.delta[l + 1][i], room.a[l].T),  # (11)
                )

    def _direct_step(self, product: Callable[[float, float], None]) -> None:
        alpha = self.numbers[0].item()
        product(-alpha, 1 - alpha * self.lambda_)  # (7), (9)

    def _decay(self, do: Tape, g: Array, span: slice, scratch: Array, into: Array, squares: Array) -> Array:
        """∇J of a span; in ``into``, unless there is no decay or the span holds biases too."""
        W = self.parameters.weights[span]
        if not self.lambda_ or not len(W):
            return g
        nabla = into if len(W) == len(g) else g
        do(np.ndarray.dot, W, W, squares)
        do(np.multiply, W, self.decay, scratch[: len(W)])
        do(np.add, g[: len(W)], scratch[: len(W)], nabla[: len(W)])  # (9)
        return nabla

    def _limit(self, gradient: Parameters, step: int) -> None:
        """Pascanu et al. 2013, algorithm 1: ∇ ← ∇ min(1, c / ‖∇‖)."""
        norm = self.unclipped = self._norm(gradient, step)
        self.clip[...] = min(1.0, (self.clip_norm or 0.0) / norm) if 0 < norm < math.inf else 1.0

    def _move(self, do: Tape, g: Array, span: slice, scratch: Array) -> None:
        if self.rule is None:
            return
        theta, W = self.parameters.flat[span], self.parameters.weights[span]
        if self.clip_norm is not None:
            do(np.multiply, g, self.clip, g)
        if isinstance(self.optimizer, AdamW) and len(W):
            do(np.multiply, W, self.shrink, W)
        remembered = [array.flat[span] for array in self.state.arrays.values()]
        self.rule.step(do, theta, g, scratch, *self.numbers, *remembered)

    def gradient_norm(self, gradient: Parameters, step: int) -> float:
        """‖∇J‖ of the step played last, if that measured it, before clipping; ``gradient``: what it is the
        norm of, unless it is clipped.
        """
        return self._norm(gradient, step) if self.clip_norm is None else self.unclipped

    def _norm(self, gradient: Parameters, step: int) -> float:
        squares = total(self.norms[step])
        return math.sqrt(squares) if math.isfinite(squares) else gradient.norm()  # a square overflowed

    def is_finite(self, step: int) -> bool:
        """Whether the parameters were, after a step that ended an epoch."""
        return math.isfinite(total(self.sizes[step])) or self.parameters.is_finite()
