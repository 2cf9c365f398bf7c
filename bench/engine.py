"""Our engine on the seven workloads, through its public interface; needs nothing but what is installed.

    python -m bench.engine
    python -m bench.engine --workload digits --threads 2 --repeats 5

Prints JSON lines. Timed are the steps alone, as for the peers, whose compilation is left out: the epochs
after a first few. What comes before the first step, at every run, is ``set_up_ms``: making arrays and tapes,
and forking. With ``--once`` everything is in it, to the finished result.
"""

from time import perf_counter

from bench.workloads import ALPHA, LAMBDA, WORKLOADS, Took, Training, Workload, arguments, pin_blas, show

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


def steps_alone(workload: Workload, threads: int) -> Training:
    # The engine goes through many epochs of a few microseconds in one go: then the first ones are not one.
    first = 1 if workload.epochs < 100 else 32
    last = first + workload.epochs
    # One epoch more than are timed: after a plan's last one the engine measures what came out, on all
    # examples, before it gives that row away. No peer does this.
    longer = plan(workload, last + 1)
    data = engine.Data(*workload.data())

    def training() -> Took:
        start = engine.Snapshot.start(longer)
        begun = perf_counter()
        costs, ready = [], begun
        for report in engine.train(start, data, longer, threads=threads):
            if not isinstance(report, engine.Epoch):
                continue
            costs.append(report.cost)
            if report.epoch == first:
                ready = perf_counter()
            elif report.epoch == last:
                break
        took = perf_counter() - ready
        assert len(costs) == last
        return Took(took, ready - begun - took * first / workload.epochs)

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
            training = steps_alone(WORKLOADS[name], asked.threads)
            show(name, "chainrule", asked.threads, training, asked.repeats)


if __name__ == "__main__":
    main()
