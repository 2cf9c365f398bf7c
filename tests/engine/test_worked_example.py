"""One iteration of a 2-2-1 sigmoid network by hand: every number below was worked out from (2)-(18) on paper.

W^(1) = [[0.1, 0.2], [0.3, -0.4]], b^(1) = [0.1, -0.2], W^(2) = [[0.5, -0.6]], b^(2) = [0.3];
x = (1, 0.5), y = 1, α = 0.5, λ = 0.1.
"""

import numpy as np
import pytest

from app import engine

ARCHITECTURE = engine.Architecture(2, (engine.Layer(2, "sigmoid"), engine.Layer(1, "sigmoid")))
START = [([[0.1, 0.2], [0.3, -0.4]], [0.1, -0.2]), ([[0.5, -0.6]], [0.3])]
X, Y = np.array([[1.0, 0.5]]), np.array([[1.0]])
ALPHA, LAMBDA = 0.5, 0.1

Z2, A2 = [0.3, -0.1], [0.574442516811659, 0.47502081252106]
Z3, A3 = [0.302208770893193], [0.574982380227803]
DATA_COST, DECAY = 0.090319988558412, 0.0455
F_PRIME2, F_PRIME3 = [0.244458311690746, 0.249376040192892], [0.244377642655373]
DELTA2, DELTA3 = [-0.012695307315812, 0.015540836123195], [-0.103864804006927]
NABLA_W1 = [[-0.002695307315812, 0.013652346342094], [0.045540836123195, -0.032229581938403]]
NABLA_W2 = [[-0.009664359421889, -0.109337943591711]]
AFTER_W1 = [[0.101347653657906, 0.193173826828953], [0.277229581938403, -0.383885209030799]]
AFTER_B1 = [0.106347653657906, -0.207770418061597]
AFTER_W2, AFTER_B2 = [[0.504832179710944, -0.545331028204144]], [0.351932402003464]


def close(left: object, right: object) -> None:
    np.testing.assert_allclose(np.asarray(left), np.asarray(right), rtol=0, atol=1e-14)


def test_textbook_functions_give_the_numbers_worked_out_by_hand() -> None:
    parameters = engine.Parameters.of(ARCHITECTURE, START, "float64")
    cost = engine.COSTS["squared_error"]["sigmoid"]
    z, a = engine.forward(ARCHITECTURE, parameters, X.T)
    delta = engine.backward(ARCHITECTURE, parameters, cost, z, a, Y.T)
    nabla = engine.gradient(ARCHITECTURE, parameters, a, delta, LAMBDA)
    close(z[2].ravel(), Z2)
    close(a[2].ravel(), A2)
    close(z[3].ravel(), Z3)
    close(a[3].ravel(), A3)
    close(delta[3].ravel(), DELTA3)
    close(delta[2].ravel(), DELTA2)
    close(nabla.W[1], NABLA_W1)
    close(nabla.b[1].ravel(), DELTA2)
    close(nabla.W[2], NABLA_W2)
    close(nabla.b[2].ravel(), DELTA3)
    assert engine.overall_cost(cost, parameters, a[3], Y.T, LAMBDA) == pytest.approx(
        DATA_COST + DECAY, abs=1e-14
    )


def test_trace_shows_the_numbers_worked_out_by_hand() -> None:
    parameters = engine.Parameters.of(ARCHITECTURE, START, "float64")
    seen = engine.trace(ARCHITECTURE, parameters, X, Y, "squared_error", ALPHA, LAMBDA)
    close(seen.a[1], X)
    close(seen.z[2], [Z2])
    close(seen.a[2], [A2])
    close(seen.f_prime[2], [F_PRIME2])
    close(seen.delta[2], [DELTA2])
    close(seen.z[3], [Z3])
    close(seen.a[3], [A3])
    close(seen.f_prime[3], [F_PRIME3])
    close(seen.delta[3], [DELTA3])
    close(seen.costs, [DATA_COST])
    close(seen.cost, DATA_COST + DECAY)
    close(seen.nabla.W[1], NABLA_W1)
    close(seen.updated.W[1], AFTER_W1)
    close(seen.updated.b[1].ravel(), AFTER_B1)
    close(seen.updated.W[2], AFTER_W2)
    close(seen.updated.b[2].ravel(), AFTER_B2)
    close(parameters.W[1], START[0][0])


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-14), ("float32", 1e-6)])
def test_one_epoch_of_training_is_the_iteration_worked_out_by_hand(dtype: str, tolerance: float) -> None:
    plan = engine.Plan(
        ARCHITECTURE,
        "squared_error",
        engine.GradientDescent(ALPHA),
        batch_size=1,
        epochs=1,
        lambda_=LAMBDA,
        dtype="float64" if dtype == "float64" else "float32",
    )
    start = engine.Snapshot.start(plan, engine.Parameters.of(ARCHITECTURE, START, "float64"))
    epoch, finished = engine.train(start, engine.Data(X, Y), plan)
    assert isinstance(epoch, engine.Epoch)
    assert isinstance(finished, engine.Finished)
    assert epoch.cost == pytest.approx(DATA_COST + DECAY, abs=tolerance)
    assert epoch.data_cost == pytest.approx(DATA_COST, abs=tolerance)
    flat = [*np.ravel(NABLA_W1), *np.ravel(NABLA_W2), *DELTA2, *DELTA3]
    assert epoch.gradient_norm == pytest.approx(np.linalg.norm(flat), abs=tolerance)
    (W1, b1), (W2, b2) = finished.parameters.pairs()
    for got, hand in ((W1, AFTER_W1), (b1, AFTER_B1), (W2, AFTER_W2), (b2, AFTER_B2)):
        np.testing.assert_allclose(got, hand, rtol=0, atol=tolerance)
