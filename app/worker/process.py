"""The supervisor as a process: its entry point, and ``serve``'s hold on the one it has started."""

import contextlib
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app import logs
from app.confinement import shed
from app.jobs import queue
from app.keeper import Keeper
from app.storage.columns import new_id
from app.storage.database import Database
from app.storage.scope import whole_server
from app.worker.pinning import ONE_BLAS_THREAD
from app.worker.surroundings import Surroundings

EMBEDDED, ALONE = "embedded", "alone"
SURROUNDINGS = "CHAINRULE_WORKER_SURROUNDINGS"


def main() -> None:
    """Supervise in the surroundings that `command` describes."""
    from app.worker.supervisor import Supervisor

    worker_id, manner = sys.argv[1:]
    values = json.loads(os.environ.pop(SURROUNDINGS))
    values["data_dir"] = Path(values["data_dir"])
    surroundings = Surroundings(**values)
    logs.configure(surroundings.log_format, "supervisor", worker_id)
    shed()
    if manner == ALONE:
        _keep_house(surroundings)
    Supervisor(worker_id, surroundings, 0 if manner == EMBEDDED else None).run()


def _keep_house(surroundings: Surroundings) -> None:
    """As ``serve`` does, which may be on another host. Its connections are its own, so that no beat waits."""
    from app.housekeeping import Housekeeping

    database, incoming = surroundings.database(), surroundings.data_dir / "incoming"
    blobs, disk = surroundings.blobs(database), surroundings.disk()
    Housekeeping(database, blobs, disk, surroundings.cache, incoming).start()


def command(worker_id: str, manner: str) -> list[str]:
    """The command line of a supervisor."""
    return [sys.executable, "-P", "-m", "app.worker", worker_id, manner]


def environment(surroundings: Surroundings) -> dict[str, str]:
    """Its environment. The database's URL may hold a password: everybody can read a command line."""
    described = json.dumps({**asdict(surroundings), "data_dir": str(surroundings.data_dir.absolute())})
    inherited = {name: value for name, value in os.environ.items() if name != "CHAINRULE_ADMIN_KEY"}
    return {**inherited, **ONE_BLAS_THREAD, SURROUNDINGS: described}


def run_alone(surroundings: Surroundings) -> None:
    """Become a supervisor: this process's program is replaced."""
    os.execve(sys.executable, command(new_id("wrk"), ALONE), environment(surroundings))


class EmbeddedWorker(Keeper):
    """``serve``'s own supervisor: nudged when there is work, replaced at once when it dies."""

    def __init__(self, surroundings: Surroundings, database: Database) -> None:
        self._surroundings = surroundings
        self._database = database
        self._id = ""
        super().__init__("supervisor", self._next, self._free)

    def _next(self) -> dict[str, Any]:
        self._id = new_id("wrk")
        return {"args": command(self._id, EMBEDDED), "env": environment(self._surroundings)}

    def _free(self) -> None:
        # The database may be away: leases run out by themselves.
        with contextlib.suppress(Exception), whole_server():
            queue.free(self._database, self._id, crashed=True)
