"""The process that sends webhooks: the API itself connects to nothing but the database."""

import json
import logging
import os
import select
import signal
import sys
import time
from dataclasses import asdict, dataclass

from app import logs
from app.confinement import shed
from app.keeper import Keeper
from app.storage.changes import Changes
from app.storage.database import Database

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
HINT_SECONDS = 0.1
DESCRIBED = "CHAINRULE_WEBHOOK_PROCESS"
EMBEDDED, ALONE = "embedded", "alone"


@dataclass(frozen=True, slots=True)
class Sending:
    """What the process must know."""

    url: str
    private: bool
    first_pause: float
    log_format: str = "auto"


def command(manner: str) -> list[str]:
    """The command line of a process that sends."""
    return [sys.executable, "-P", "-m", "app.webhooks", manner]


def environment(sending: Sending) -> dict[str, str]:
    """Its environment. The database's URL may hold a password: everybody can read a command line."""
    inherited = {name: value for name, value in os.environ.items() if name != "CHAINRULE_ADMIN_KEY"}
    return {**inherited, DESCRIBED: json.dumps(asdict(sending))}


def run_alone(sending: Sending) -> None:
    """Become a process that sends: this process's program is replaced."""
    os.execve(sys.executable, command(ALONE), environment(sending))


class EmbeddedSender(Keeper):
    """``serve``'s own process that sends."""

    def __init__(self, sending: Sending) -> None:
        super().__init__("webhooks' sender", lambda: {"args": command(EMBEDDED), "env": environment(sending)})


def main() -> None:
    """Send until SIGTERM or SIGINT, or until the parent has gone when it is ``serve``'s own."""
    from app.webhooks.delivery import Delivery  # `serve` has no need of it, and it takes long to import

    embedded = sys.argv[1] == EMBEDDED
    sending = Sending(**json.loads(os.environ.pop(DESCRIBED)))
    logs.configure(sending.log_format, "webhooks")
    shed()
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, stop)
    database = Database(sending.url, pool_size=4)
    changes = Changes(database)
    delivery = Delivery(database, sending.private, sending.first_pause)
    look_at = 0.0
    while not stopping:
        try:
            if changes.poll() or time.monotonic() >= look_at:
                look_at = time.monotonic() + LOOK_SECONDS
                delivery.turn()
        except Exception as error:
            log.warning("webhooks wait: %s", type(error).__name__)
        parent = [sys.stdin] if embedded else []
        if select.select(parent, [], [], HINT_SECONDS)[0] and not os.read(sys.stdin.fileno(), 4096):
            break
    delivery.close()
    changes.close()
    database.close()
