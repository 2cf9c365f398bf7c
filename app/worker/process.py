"""The supervisor as a process: its entry point, and ``serve``'s hold on the one it has started."""

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path

from app.jobs import queue
from app.storage.columns import new_id
from app.storage.database import Database
from app.worker.surroundings import ONE_BLAS_THREAD, Surroundings

log = logging.getLogger(__name__)

RESTART_PAUSE_SECONDS = 1.0
EMBEDDED, ALONE = "embedded", "alone"
SURROUNDINGS = "CHAINRULE_WORKER_SURROUNDINGS"


def main() -> None:
    """Supervise in the surroundings that `command` describes."""
    from app.worker.supervisor import Supervisor

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    worker_id, manner = sys.argv[1:]
    values = json.loads(os.environ.pop(SURROUNDINGS))
    values["data_dir"] = Path(values["data_dir"])
    Supervisor(worker_id, Surroundings(**values), 0 if manner == EMBEDDED else None).run()


def command(worker_id: str, manner: str) -> list[str]:
    """The command line of a supervisor."""
    return [sys.executable, "-m", "app.worker", worker_id, manner]


def environment(surroundings: Surroundings) -> dict[str, str]:
    """Its environment. The database's URL may hold a password: everybody can read a command line."""
    described = json.dumps({**asdict(surroundings), "data_dir": str(surroundings.data_dir.absolute())})
    inherited = {name: value for name, value in os.environ.items() if name != "CHAINRULE_ADMIN_KEY"}
    return {**inherited, **ONE_BLAS_THREAD, SURROUNDINGS: described}


def run_alone(surroundings: Surroundings) -> None:
    """Become a supervisor: this process's program is replaced."""
    os.execve(sys.executable, command(new_id("wrk"), ALONE), environment(surroundings))


class EmbeddedWorker:
    """``serve``'s own supervisor: nudged when there is work, replaced at once when it dies."""

    def __init__(self, surroundings: Surroundings, database: Database) -> None:
        self._surroundings = surroundings
        self._database = database
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)

    def start(self) -> None:
        self._keeper.start()

    def nudge(self) -> None:
        """Have it look at the queue now. A nudge that gets lost costs a quarter of a second."""
        process = self._process
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                process.stdin.write(b"!")

    def begin_stop(self) -> None:
        """Ask it to hand its jobs back and go."""
        self._stopping.set()
        if self._process is not None:
            self._process.terminate()

    def stop(self, seconds: float) -> None:
        """Wait until it has gone; kill it after ``seconds``."""
        self.begin_stop()
        self._keeper.join(seconds)
        if self._keeper.is_alive() and self._process is not None:
            self._process.kill()
            self._keeper.join()

    def _keep(self) -> None:
        while not self._stopping.is_set():
            worker_id = new_id("wrk")
            self._process = subprocess.Popen(
                command(worker_id, EMBEDDED),
                stdin=subprocess.PIPE,
                bufsize=0,
                env=environment(self._surroundings),
            )
            code = self._process.wait()
            if self._stopping.is_set():
                return
            log.error("the supervisor ended with %s: its jobs are freed, another is started", code)
            with contextlib.suppress(Exception):  # the database may be away: leases run out by themselves
                queue.free(self._database, worker_id, crashed=True)
            self._stopping.wait(RESTART_PAUSE_SECONDS if code >= 0 else 0.0)
