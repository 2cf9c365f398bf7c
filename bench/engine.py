"""Our engine on the seven workloads, through its public interface; needs nothing but what is installed.

    python -m bench.engine
    python -m bench.engine --workload digits --threads 2 --repeats 5

Prints JSON lines. Timed is the way from the call of ``train`` to the last epoch's row; the initial draw of
the weights and the data are not in it. With ``--once`` the run goes on to the finished result.
"""

from itertools import islice
from time import perf_counter

from bench.workloads import ALPHA, LAMBDA, WORKLOADS, Training, Workload, arguments, pin_blas, show

pin_blas(1)  # the engine's own threads use the cores

from app import engine  # noqa: E402 - the number of BLAS threads is read when NumPy loads


def plan(workload: Workload, epochs: int, progress_seconds: float = 0.25) -> engine.Plan:
    layers = tuple(engine.Layer(units, "tanh") for units in workload.sizes[1:])
    architecture = engine.Architecture(workload.sizes[0], layers)
    return engine.Plan(
        architecture=architecture,
        cost="squared_error",
        optimizer=engine.GradientDescent(ALPHA),
        batch_size=workload.batch,
        epochs=epochs,
        lambda_=LAMBDA,
        leaves=engine.leaves_for(architecture, workload.batch),
        progress_seconds=progress_seconds,
    )


def to_the_last_row(workload: Workload, threads: int) -> Training:
    # One epoch more than are run: after a plan's last one the engine measures what came out, on all
    # examples, before it gives that row away. No peer does this, so it is not timed.
    longer = plan(workload, workload.epochs + 1)
    data = engine.Data(*workload.data())

    def training() -> float:
        start = engine.Snapshot.start(longer)
        begun = perf_counter()
        reports = engine.train(start, data, longer, threads=threads)
        rows = (report for report in reports if isinstance(report, engine.Epoch))
        costs = [row.cost for row in islice(rows, workload.epochs)]
        took = perf_counter() - begun
        assert len(costs) == workload.epochs
        return took

    return training


def finish(workload: Workload, threads: int) -> engine.Parameters:
    """The whole plan, from the first draw to the result."""
    whole = plan(workload, workload.epochs)
    for report in engine.train(
        engine.Snapshot.start(whole), engine.Data(*workload.data()), whole, threads=threads
    ):
        if isinstance(report, engine.Finished):
            return report.parameters
    raise AssertionError("a run ends with its result")


def main() -> None:
    asked = arguments(__doc__).parse_args()
    for name in asked.workload or WORKLOADS:
        if asked.once:
            finish(WORKLOADS[name], asked.threads)
        else:
            training = to_the_last_row(WORKLOADS[name], asked.threads)
            show(name, "chainrule", asked.threads, training, asked.repeats)


if __name__ == "__main__":
    main()
