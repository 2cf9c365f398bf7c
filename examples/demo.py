"""Train a network over HTTP and look inside: upload, train, follow, evaluate, predict, trace.

Run it with ``make demo``. It starts a server of its own, on SQLite in a temporary directory.
"""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from examples.server import answer, running_server

HERE = Path(__file__).parent

ARCHITECTURE = {"name": "one hidden layer", "layers": [{"units": 16, "activation": "tanh"}]}
FEATURES = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]

# The paper's own training, plain gradient descent over all rows at once: slow enough to watch.
TRAINING: dict[str, Any] = {
    "optimizer": {"name": "gradient_descent", "learning_rate": 0.02},
    "batch_size": "full",
    "weight_decay": 0.001,
    "epochs": 3000,
    "early_stopping": None,
}

# Birds that are not in the data. Nobody weighed Gwen: null is imputed, as it was in training.
BIRDS: dict[str, dict[str, float | None]] = {
    "Ada": dict(zip(FEATURES, (38.6, 18.9, 189, 3650), strict=True)),
    "Carl": dict(zip(FEATURES, (48.1, 18.2, 196, 3700), strict=True)),
    "Gwen": dict(zip(FEATURES, (47.1, 14.9, 217, None), strict=True)),
}

CURL = """
The same with curl, while `make serve` runs in another terminal; put in the ids that you get:

  api() { curl -sS -H "Authorization: Bearer $(cat chainrule-data/admin.key)" "$@"; echo; }
  post() { api -H "Content-Type: application/json" -d "$2" "http://127.0.0.1:8000/v1/$1"; }

  api -F file=@examples/penguins.csv http://127.0.0.1:8000/v1/datasets
  post architectures '%(architecture)s'
  post jobs '%(job)s'
  api -N -H "Accept: text/event-stream" http://127.0.0.1:8000/v1/jobs/job_.../events
  post models/mdl_.../evaluate '{"split": "test"}'
  post models/mdl_.../predict '{"rows": [%(row)s]}'
"""


def events(client: httpx.Client, job_id: str) -> Iterator[dict[str, Any]]:
    """The job's events as the server sends them, until the job has ended."""
    accept = {"Accept": "text/event-stream"}
    with client.stream("GET", f"/v1/jobs/{job_id}/events", headers=accept) as response:
        response.raise_for_status()
        for line in response.iter_lines():
            if line == "event: end":
                return
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))
    raise SystemExit("The stream broke off before the job's end.")


def follow(client: httpx.Client, job_id: str) -> None:
    """Show the cost while it falls: one line that moves on a terminal, else a line now and then."""
    costs: list[float] = []
    moving = sys.stdout.isatty()
    for event in events(client, job_id):
        if event["type"] == "job.failed":
            raise SystemExit(event["message"])
        epochs = event["data"].get("epochs", [])  # a quick job's events carry hundreds
        costs += [epoch["cost"] for epoch in epochs]
        for epoch in epochs[-1:] if moving else epochs:
            line = f"  epoch {epoch['epoch']:4}  cost {epoch['cost']:.4f}"
            line += f"  validation {epoch['validation_cost']:.4f}"
            if moving:
                print(f"\r{line}  {sparkline(costs)}", end="", flush=True)
            elif epoch["epoch"] == 1 or epoch["epoch"] % 500 == 0:
                print(line, flush=True)
    print(end="\n" if moving else "")


def sparkline(costs: list[float], width: int = 32) -> str:
    """The costs so far in eight heights, on a logarithmic scale."""
    logs = [math.log(costs[i * (len(costs) - 1) // (width - 1)]) for i in range(width)]
    low, high = min(logs), max(logs)
    return "".join("▁▂▃▄▅▆▇█"[round(7 * (each - low) / (high - low or 1))] for each in logs)


def main() -> None:
    print("starting chainrule-server on SQLite, in a temporary directory")
    with running_server() as client:
        penguins = {"file": (HERE / "penguins.csv").read_bytes()}
        key = {
            "Idempotency-Key": str(uuid4())
        }  # should the answer get lost: sent again, it makes no second one
        sent: Any = {"files": penguins, "data": {"name": "penguins"}, "headers": key}
        dataset = answer(client.post("/v1/datasets", **sent))
        print(f"uploaded penguins.csv: {dataset['row_count']} rows, {len(dataset['columns'])} columns")

        architecture = answer(client.post("/v1/architectures", json=ARCHITECTURE))
        wanted: dict[str, Any] = {"dataset_id": dataset["id"], "target": "species"}
        wanted |= {"architecture_id": architecture["id"], "features": FEATURES, "training": TRAINING}
        job = answer(client.post("/v1/jobs", json=wanted))
        network = [job["architecture"]["inputs"], 16, job["architecture"]["output"]["units"]]
        print(f"training a {'-'.join(map(str, network))} network to tell the species:")
        follow(client, job["id"])

        job = answer(client.get(f"/v1/jobs/{job['id']}"))
        model = f"/v1/models/{job['model_id']}"
        evaluation = answer(client.post(f"{model}/evaluate", json={"split": "test"}))
        accuracy, rows = evaluation["metrics"]["accuracy"], evaluation["row_count"]
        print(f"held-out accuracy: {accuracy:.4f} (on {rows} rows that training never saw)")

        birds = list(BIRDS.values())
        found = answer(client.post(f"{model}/predict", json={"rows": birds}))
        for name, species, shares in zip(BIRDS, found["predictions"], found["probabilities"], strict=True):
            listed = "  ".join(f"{each} {share:.3f}" for each, share in shares.items())
            print(f"  {name:5} is most likely {species:10} {listed}")

        example = {**birds[0], "species": "Adelie"}
        trace = answer(client.post(f"{model}/trace", json={"rows": [example]}))
        hidden, equations = trace["layers"][1], trace["equations"]
        print(
            f"inside, for Ada, the first hidden neuron: z = {hidden['z'][0][0]:.6f} {equations['z']}, "
            f"a = tanh z = {hidden['a'][0][0]:.6f} {equations['a']}, "
            f"delta = {hidden['delta'][0][0]:.2e} {equations['delta']}"
        )
        wanted |= {"dataset_id": "ds_...", "architecture_id": "arch_..."}
        bodies = {"architecture": ARCHITECTURE, "job": wanted, "row": birds[0]}
        print(CURL % {name: json.dumps(body) for name, body in bodies.items()})
    print("server stopped")


if __name__ == "__main__":
    try:
        main()
    except httpx.HTTPError as error:
        raise SystemExit(f"The server could not be reached: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
