"""The same workloads with what one would take instead: scikit-learn, PyTorch (as it is, and compiled), JAX.

    python -m bench.peers
    python -m bench.peers --workload digits --peer jax --threads 2 --repeats 5

Prints JSON lines. A peer that is not installed is left out, unless it was asked for. Loading, compiling and
the data are not timed, and nor is the initial draw of the weights, but for scikit-learn, whose ``fit`` has it
inside: about 150 ms on the widest network.
"""

import os
import warnings
from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from time import perf_counter
from typing import Any

from bench.workloads import ALPHA, LAMBDA, WORKLOADS, Took, Training, Workload, arguments, pin_blas, show


def sklearn(workload: Workload) -> Training:
    neural_network = import_module("sklearn.neural_network")
    X, Y = workload.data()

    def training() -> Took:
        model = neural_network.MLPRegressor(
            hidden_layer_sizes=workload.sizes[1:-1],
            activation="tanh",  # its output layer is linear: slightly less work than the others do
            solver="sgd",
            momentum=0.0,
            nesterovs_momentum=False,
            learning_rate_init=ALPHA,
            alpha=LAMBDA,
            batch_size=workload.batch,
            max_iter=workload.epochs,
            tol=0.0,
            n_iter_no_change=10**9,
            random_state=0,
        )
        start = perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says that it has not converged
            model.fit(X, Y if Y.shape[1] > 1 else Y.ravel())
        return Took(perf_counter() - start)

    return training


def torch(workload: Workload, compiled: bool = False) -> Training:
    torch = import_module("torch")
    torch.manual_seed(0)
    layers = []
    for inputs, outputs in pairwise(workload.sizes):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.Tanh()]
    network = torch.nn.Sequential(*layers)
    weights = [p for p in network.parameters() if p.ndim == 2]
    biases = [p for p in network.parameters() if p.ndim == 1]
    optimizer = torch.optim.SGD([{"params": weights, "weight_decay": LAMBDA}, {"params": biases}], lr=ALPHA)
    first = {name: value.clone() for name, value in network.state_dict().items()}
    X, Y = map(torch.from_numpy, workload.data())
    batch, m = workload.batch, len(X)

    def cost(x: Any, y: Any) -> Any:
        return ((network(x) - y) ** 2).sum() / (2 * len(x))

    step = torch.compile(cost) if compiled else cost

    def training() -> Took:
        network.load_state_dict(first)
        start = perf_counter()
        for _ in range(workload.epochs):
            total = torch.zeros(())
            order = torch.randperm(m) if batch < m else None
            for at in range(0, m, batch):
                rows = slice(None) if order is None else order[at : at + batch]
                loss = step(X[rows], Y[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.detach()
            total.item()
        return Took(perf_counter() - start)

    return training


def torch_compile(workload: Workload) -> Training:
    return torch(workload, compiled=True)


def jax(workload: Workload) -> Training:
    """The strongest form: the whole run is one compiled program, a scan over epochs and minibatches."""
    jax, jnp, np = import_module("jax"), import_module("jax.numpy"), import_module("numpy")
    batch, m = workload.batch, workload.examples - workload.examples % workload.batch

    def cost(parameters: Any, x: Any, y: Any) -> Any:
        for W, b in parameters:
            x = jnp.tanh(x @ W.T + b)
        return ((x - y) ** 2).sum() / (2 * x.shape[0])

    def step(parameters: Any, x: Any, y: Any) -> Any:
        value, gradient = jax.value_and_grad(cost)(parameters, x, y)
        pairs = zip(parameters, gradient, strict=True)
        return [(W - ALPHA * (gW + LAMBDA * W), b - ALPHA * gb) for (W, b), (gW, gb) in pairs], value

    def run(parameters: Any, X: Any, Y: Any, key: Any) -> Any:
        def epoch(parameters: Any, key: Any) -> Any:
            if batch >= m:
                return step(parameters, X, Y)
            order = jax.random.permutation(key, m).reshape(-1, batch)
            parameters, values = jax.lax.scan(lambda p, rows: step(p, X[rows], Y[rows]), parameters, order)
            return parameters, values.mean()

        return jax.lax.scan(epoch, parameters, jax.random.split(key, workload.epochs))

    compiled = jax.jit(run)
    draw = np.random.default_rng(0)
    parameters = [
        (jnp.array(draw.standard_normal((o, i)).astype("f4") / np.sqrt(i)), jnp.zeros(o, jnp.float32))
        for i, o in pairwise(workload.sizes)
    ]
    X, Y = map(jnp.array, workload.data())
    key = jax.random.key(0)

    def training() -> Took:
        start = perf_counter()
        jax.block_until_ready(compiled(parameters, X, Y, key))
        return Took(perf_counter() - start)

    return training


def blas_floor(workload: Workload) -> Training:
    """Nothing but the matrix products of equations (2), (18) and (11), in arrays made beforehand."""
    np = import_module("numpy")
    draw, sizes = np.random.default_rng(0), workload.sizes
    W = [draw.random((o, i), np.float32) for i, o in pairwise(sizes)]
    a = [np.ones((workload.batch, s), np.float32) for s in sizes]
    z = [np.empty((workload.batch, s), np.float32) for s in sizes]
    gradient = [np.empty_like(w) for w in W]

    def training() -> Took:
        start = perf_counter()
        for _ in range(workload.steps):
            for l, w in enumerate(W):
                np.matmul(a[l], w.T, z[l + 1])
            for l in range(len(W) - 1, -1, -1):
                np.matmul(z[l + 1].T, a[l], gradient[l])
                if l:
                    np.matmul(z[l + 1], W[l], z[l])
        return Took(perf_counter() - start)

    return training


PEERS: dict[str, Callable[[Workload], Training]] = {
    "blas_floor": blas_floor,
    "sklearn": sklearn,
    "torch": torch,
    "torch_compile": torch_compile,
    "jax": jax,
}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--peer", choices=PEERS, action="append", help="default: all that are installed")
    asked = parser.parse_args()
    pin_blas(asked.threads)
    os.environ["XLA_FLAGS"] = (
        f"--xla_cpu_multi_thread_eigen={'true' if asked.threads > 1 else 'false'} "
        f"intra_op_parallelism_threads={asked.threads}"
    )
    for name in asked.workload or WORKLOADS:
        for peer in asked.peer or PEERS:
            try:
                training = PEERS[peer](WORKLOADS[name])
            except ModuleNotFoundError:
                if asked.peer:
                    raise
                continue
            if asked.once:
                training()
            else:
                show(name, peer, asked.threads, training, asked.repeats)


if __name__ == "__main__":
    main()
