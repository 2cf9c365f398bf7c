"""The life of a trainer process: it takes one claim after the other."""

import contextlib
import json
import logging
import multiprocessing
import os
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any

from app import logs
from app.confinement import die_with
from app.jobs.queue import Claim
from app.worker.material import Materials
from app.worker.surroundings import Surroundings
from app.worker.tally import Tally
from app.worker.trainer import WISHES, Trainer
from app.worker.walls import raise_walls

log = logging.getLogger(__name__)


def main(connection: Connection, wish: Any, tally: Tally, surroundings: Surroundings, worker_id: str) -> None:
    """Obey the pipe, and die with the supervisor.

    A claim comes as its id and its fence; back go "ready", and then what `Trainer.run` returns. No pickles:
    to read one is to do what it says.
    """
    logs.configure(surroundings.log_format, "trainer", worker_id)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C to the group must not cost the snapshot
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        supervisor = multiprocessing.parent_process()
        die_with((supervisor and supervisor.pid) or os.getppid())
        os.nice(surroundings.trainer_nice)  # an answer costs a trainer little, and a wait costs a client much
        raise_walls(surroundings)
        _work(connection, wish, tally, surroundings)
    except Exception:
        log.critical("the trainer ends", exc_info=True)
        sys.exit(1)  # what is raised further is printed


def _work(connection: Connection, wish: Any, tally: Tally, surroundings: Surroundings) -> None:
    database = surroundings.database()
    blobs = surroundings.blobs(database)
    materials = Materials(database, blobs, surroundings.cache)
    with contextlib.suppress(EOFError, BrokenPipeError):
        connection.send_bytes(b"ready")
        while True:
            claim = Claim(*json.loads(connection.recv_bytes()))
            logs.KNOWN.set({"job_id": claim.job_id})
            trainer = Trainer(database, blobs, claim, surroundings, lambda: WISHES[wish.value], tally)
            connection.send_bytes(trainer.run(materials).encode())
