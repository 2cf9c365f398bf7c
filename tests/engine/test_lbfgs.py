import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import engine
from app.engine import lbfgs
from app.engine.backprop import backward, forward, gradient, overall_cost
from app.engine.lbfgs import LBFGS, LBFGSState, Outcome, iteration
from app.engine.memory import Array

Objective = Callable[[Array], tuple[float, Array]]


def iterated(
    o: LBFGS, state: LBFGSState, theta: Array, f: Objective, count: int, room: lbfgs.Room | None = None
) -> list[Outcome]:
    """Up to ``count`` iterations. The gradient is always sent in the same array, as in training."""
    J, g = f(theta)
    buffer, outcomes = g.copy(), []
    for _ in range(count):
        search = iteration(o, state, theta, J, g, room)
        try:
            next(search)
            while True:
                J, buffer[...] = f(theta)
                search.send((J, buffer))
        except StopIteration as end:
            outcomes.append(end.value)
        J, g = outcomes[-1].J, outcomes[-1].g
        if outcomes[-1].converged or not outcomes[-1].step:
            break
    return outcomes


def quadratic(dtype: str = "float64") -> tuple[Objective, Array]:
    """½ Σ c_i (θ_i − i)², with curvatures c from 1 to 100, and its minimum."""
    c, least = np.geomspace(1, 100, 30).astype(dtype), np.arange(30, dtype=dtype)

    def f(theta: Array) -> tuple[float, Array]:
        return 0.5 * float(np.dot(c, (theta - least) ** 2)), c * (theta - least)

    return f, least


def rosenbrock(theta: Array) -> tuple[float, Array]:
    u, v = theta[1:] - theta[:-1] ** 2, 1 - theta[:-1]
    g = np.zeros_like(theta)
    g[:-1] = -400 * u * theta[:-1] - 2 * v
    g[1:] += 200 * u
    return float((100 * u**2 + v**2).sum()), g


def network() -> tuple[Objective, engine.Parameters]:
    """J of a small tanh network over its flat parameters, padding included."""
    architecture = engine.Architecture(3, (engine.Layer(6, "tanh"), engine.Layer(2, "identity")))
    parameters = engine.initialise(architecture, 3, "float64")
    draw = np.random.default_rng(5)
    x, y = draw.standard_normal((3, 40)), draw.standard_normal((2, 40))
    cost = engine.COSTS["squared_error"]["identity"]

    def f(theta: Array) -> tuple[float, Array]:
        at = engine.Parameters.zeros(architecture, "float64")
        np.copyto(at.flat, theta)
        z, a = forward(architecture, at, x)
        delta = backward(architecture, at, cost, z, a, y)
        nabla = gradient(architecture, at, a, delta, 0.01)
        return overall_cost(cost, at, a[3], y, 0.01), nabla.flat

    return f, parameters


@pytest.mark.parametrize(("dtype", "tolerance", "off"), [("float64", 1e-7, 1e-7), ("float32", 1e-3, 1e-3)])
def test_a_quadratic_is_solved(dtype: str, tolerance: float, off: float) -> None:
    (f, least), o = quadratic(dtype), LBFGS(tolerance=tolerance)
    theta = np.zeros(30, dtype)
    last = iterated(o, lbfgs.start(o, theta), theta, f, 200)[-1]
    assert last.converged
    assert theta.dtype == last.g.dtype == dtype
    np.testing.assert_allclose(theta, least, rtol=0, atol=off)
    np.testing.assert_array_equal(last.g, f(theta)[1])
    assert f(theta)[0] == last.J


@pytest.mark.parametrize("start", [[-1.2, 1.0], [0.5, -2.0, 0.1, -0.4, 1.7]])
def test_rosenbrock_s_valley_is_followed_to_its_end(start: list[float]) -> None:
    theta, o = np.array(start), LBFGS()
    outcomes = iterated(o, lbfgs.start(o, theta), theta, rosenbrock, 100)
    assert outcomes[-1].converged
    np.testing.assert_allclose(theta, 1.0, rtol=0, atol=1e-6)
    assert (np.diff([outcome.J for outcome in outcomes]) < 0).all()


def test_a_tanh_network_is_trained_to_a_stationary_point() -> None:
    f, parameters = network()
    o, theta, before = LBFGS(tolerance=1e-6), parameters.flat, f(parameters.flat)[0]
    outcomes = iterated(o, lbfgs.start(o, theta), theta, f, 600, lbfgs.Room.of(theta))
    assert outcomes[-1].converged
    assert np.abs(f(theta)[1]).max() <= 1e-6
    assert before > outcomes[-1].J
    assert np.count_nonzero(theta) == parameters.architecture.parameter_count  # the gaps are still zero


def test_a_step_is_that_of_the_inverse_hessian_in_the_book() -> None:
    """H by (7.19), as a matrix, from the pairs in the state, here when its ring has gone round."""
    o, theta = LBFGS(memory=3), np.array([0.5, -2.0, 0.1, -0.4, 1.7])
    state = lbfgs.start(o, theta)
    iterated(o, state, theta, rosenbrock, 7)
    assert (state.scalars["count"], state.scalars["next"]) == (3, 7 % 3)
    H, unit = state.scalars["gamma"] * np.eye(5), np.eye(5)
    for row in (1, 2, 0):
        s, y = state.arrays["s"][row], state.arrays["y"][row]
        rho = 1 / (s @ y)
        assert state.arrays["rho"][row] == pytest.approx(rho)
        assert state.scalars["gamma"] == pytest.approx(s @ y / (y @ y)) or row != 0
        H = (unit - rho * np.outer(s, y)) @ H @ (unit - rho * np.outer(y, s)) + rho * np.outer(s, s)
    before, (_, g) = theta.copy(), rosenbrock(theta)
    (outcome,) = iterated(o, state, theta, rosenbrock, 1)
    np.testing.assert_allclose(theta, before - outcome.step * H @ g, rtol=1e-9)
    np.testing.assert_allclose(state.arrays["s"][1], theta - before, rtol=1e-9)
    np.testing.assert_allclose(state.arrays["y"][1], rosenbrock(theta)[1] - g, rtol=1e-9)


def test_the_first_step_is_at_most_one_parameter_s_worth_of_the_gradient() -> None:
    theta, o = np.array([10.0, -10.0]), LBFGS()
    search = iteration(o, lbfgs.start(o, theta), theta, 3.0, np.array([30.0, -10.0]))
    next(search)
    np.testing.assert_allclose(theta, [10 - 30 / 40, -10 + 10 / 40])


@pytest.mark.parametrize("P", [3, 9000, 20000])
def test_vectors_of_several_spans_are_as_one(P: int, monkeypatch: pytest.MonkeyPatch) -> None:
    c = np.geomspace(1, 100, P)

    def solved() -> Array:
        theta, o = np.ones(P), LBFGS(memory=4)
        iterated(o, lbfgs.start(o, theta), theta, lambda at: (0.5 * float(c @ at**2), c * at), 12)
        return theta

    several = solved()
    monkeypatch.setattr(lbfgs, "SPAN", P)
    np.testing.assert_allclose(several, solved(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("beyond", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["J", "g", "both"])
def test_a_wall_of_no_numbers_is_kept_away_from(beyond: float, where: str) -> None:
    """J = Σ θ − ln θ, least at 1, is no number from 0 down; the second step would reach there."""

    def f(theta: Array) -> tuple[float, Array]:
        if (theta > 0).all():
            return float((theta - np.log(theta)).sum()), 1 - 1 / theta
        walls.append(theta.copy())
        return beyond if where != "g" else -1e9, np.full(4, beyond) if where != "J" else -theta

    walls: list[Array] = []
    theta, o = np.array([1.2, 5.0, 0.3, 8.0]), LBFGS()
    assert iterated(o, lbfgs.start(o, theta), theta, f, 60)[-1].converged
    assert walls
    np.testing.assert_allclose(theta, 1.0, rtol=0, atol=1e-6)


def test_float32_that_overflows_on_the_way_is_a_step_too_long() -> None:
    theta, o = np.array([1.0, -2.0], "float32"), LBFGS(tolerance=1e-4)
    state = lbfgs.start(o, theta)
    state.arrays["s"][0], state.arrays["y"][0], state.arrays["rho"][0] = 1e20, 1e-20, 1e30
    state.scalars |= {"count": 1, "next": 1}
    last = iterated(o, state, theta, lambda at: (0.5 * float(at @ at), at.copy()), 20)[-1]
    assert last.converged
    np.testing.assert_allclose(theta, 0.0, atol=1e-4)


@pytest.mark.parametrize("warm", [0, 4])
def test_where_nothing_is_lower_theta_and_the_memory_are_left_as_they_were(warm: int) -> None:
    theta, o = np.array([-1.2, 1.0]), LBFGS()
    state = lbfgs.start(o, theta)
    iterated(o, state, theta, rosenbrock, warm)
    at, kept = theta.copy(), state.copy()

    def f(theta: Array) -> tuple[float, Array]:
        return rosenbrock(theta) if (theta == at).all() else (math.nan, np.full(2, math.nan))

    (outcome,) = iterated(o, state, theta, f, 1)
    assert (outcome.step, outcome.converged, outcome.J) == (0.0, False, rosenbrock(at)[0])
    assert outcome.evaluations == (25 if warm == 0 else 50)
    np.testing.assert_array_equal(outcome.g, rosenbrock(at)[1])
    assert theta.tobytes() == at.tobytes()
    assert parts(state) == parts(kept)


@pytest.mark.parametrize(
    ("J", "g"), [(math.nan, math.nan), (math.inf, 1.0), (math.nan, 1.0), (1.0, math.nan)]
)
def test_a_start_without_a_cost_leads_nowhere(J: float, g: float) -> None:
    theta, o = np.ones(3), LBFGS()
    (outcome,) = iterated(o, lbfgs.start(o, theta), theta, lambda at: (J, np.full(3, g)), 5)
    assert (outcome.step, outcome.evaluations, outcome.converged) == (0.0, 0, False)


def test_a_memory_that_leads_upward_is_dropped() -> None:
    (f, _), o, theta = quadratic(), LBFGS(), np.zeros(30)
    state = lbfgs.start(o, theta)
    iterated(o, state, theta, f, 5)
    np.negative(state.arrays["rho"], state.arrays["rho"])
    state.scalars["gamma"] *= -1
    J, g = f(theta)
    before = theta.copy()
    (outcome,) = iterated(o, state, theta, f, 1)
    assert outcome.J < J
    assert state.scalars["count"] == 1
    np.testing.assert_allclose(theta, before - outcome.step * g, rtol=1e-12)


@pytest.mark.parametrize("c", [0.0, 1e-6])
def test_a_pair_is_remembered_if_it_tells_of_a_curvature_however_small(c: float) -> None:
    theta, o = np.zeros(1), LBFGS(tolerance=0.0)
    state = lbfgs.start(o, theta)
    (outcome,) = iterated(
        o, state, theta, lambda at: (c / 2 * float(at @ at) - 1e-9 * float(at[0]), c * at - 1e-9), 1
    )
    assert outcome.step > 1
    assert state.scalars["count"] == state.scalars["next"] == (1 if c else 0)
    assert state.scalars["gamma"] == pytest.approx(1 / c if c else 1.0)


@pytest.mark.parametrize("start", [0.25, 0.3, 0.7, 2.4, 3.1])
def test_without_a_wolfe_point_the_step_goes_to_the_lowest(start: float) -> None:
    """J = |θ − 1| has none, as its slope is ±1 everywhere."""

    def f(theta: Array) -> tuple[float, Array]:
        asked.append(float(theta[0]))
        return abs(float(theta[0]) - 1), np.sign(theta - 1)

    asked: list[float] = []
    theta, o = np.array([start]), LBFGS(tolerance=0.0)
    (outcome,) = iterated(o, lbfgs.start(o, theta), theta, f, 1)
    assert outcome.step > 0
    assert outcome.J == min(abs(at - 1) for at in asked) == abs(theta[0] - 1)
    np.testing.assert_array_equal(outcome.g, np.sign(theta - 1))


def test_where_the_tolerance_is_met_nothing_is_asked() -> None:
    (f, least), o = quadratic(), LBFGS()
    theta = least.copy()
    (outcome,) = iterated(o, lbfgs.start(o, theta), theta, f, 5)
    assert (outcome.converged, outcome.evaluations, outcome.step) == (True, 0, 0.0)
    assert theta.tobytes() == least.tobytes()


def parts(state: LBFGSState) -> tuple[dict[str, bytes], dict[str, float | int]]:
    return {name: array.tobytes() for name, array in state.arrays.items()}, dict(state.scalars)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 25), st.integers(1, 12), st.sampled_from(["float32", "float64"]))
def test_going_on_after_any_iteration_gives_the_same_bits(k: int, memory: int, dtype: str) -> None:
    o = LBFGS(memory, tolerance=0.0)
    theta = np.array([0.5, -2.0, 0.1, -0.4, 1.7], dtype)
    state = lbfgs.start(o, theta)
    iterated(o, state, theta, rosenbrock, k)
    arrays, scalars = parts(state)
    again = np.frombuffer(bytearray(theta.tobytes()), dtype)
    restored = LBFGSState(
        {
            name: np.frombuffer(bytearray(raw), state.arrays[name].dtype).reshape(state.arrays[name].shape)
            for name, raw in arrays.items()
        },
        scalars,
    )
    iterated(o, restored, again, rosenbrock, 25 - k)
    whole, straight = lbfgs.start(o, theta), np.array([0.5, -2.0, 0.1, -0.4, 1.7], dtype)
    iterated(o, whole, straight, rosenbrock, 25)
    assert again.tobytes() == straight.tobytes()
    assert parts(restored) == parts(whole)


@pytest.mark.parametrize("sent", [0, 1, 2])
def test_leaving_between_evaluations_puts_everything_back(sent: int) -> None:
    theta, o = np.array([-1.2, 1.0]), LBFGS()
    state = lbfgs.start(o, theta)
    before = theta.copy(), parts(state)
    search = iteration(o, state, theta, *rosenbrock(theta))
    next(search)
    for _ in range(sent):
        search.send((1e9, np.zeros(2)))
    assert theta.tobytes() != before[0].tobytes()
    search.close()
    assert (theta.tobytes(), parts(state)) == (before[0].tobytes(), before[1])
