"""A real server: its own processes, port, data directory and database."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil

from app.storage import migration
from app.storage.database import Database

COMMAND = str(Path(sys.executable).parent / "chainrule-server")
START_SECONDS = 20.0


class Processes(NamedTuple):
    """The parts of a running server; ``readers`` are the children that read uploads and answer files."""

    api: psutil.Process
    supervisors: list[psutil.Process]
    trainers: list[psutil.Process]
    readers: list[psutil.Process]


class Server:
    """``settings`` become ``CHAINRULE_…`` variables. The port stays the same over restarts."""

    def __init__(
        self, data_dir: Path, database_url: str | None = None, workers: int = 1, **settings: object
    ) -> None:
        self.data_dir = data_dir
        self.database_url = database_url
        self._arguments = ["--data-dir", str(data_dir)]
        if database_url is not None:
            self._arguments += ["--database-url", database_url]
        # All tests have one address, and some try very many wrong keys.
        self._environment = {"CHAINRULE_MAX_WRONG_KEYS_PER_MINUTE": "1000000", **os.environ}
        self._environment |= {f"CHAINRULE_{name.upper()}": str(value) for name, value in settings.items()}
        self._workers = workers
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._others: list[subprocess.Popen[bytes]] = []
        self._clients: dict[tuple[str, str], httpx.Client] = {}

    @property
    def log(self) -> Path:
        return self.data_dir.with_suffix(".log")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def port(self) -> int:
        return self._port

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    @property
    def admin_key(self) -> str:
        return (self.data_dir / "admin.key").read_text().strip()

    def start(self) -> "Server":
        """Migrate (Postgres), serve, and wait until it is ready, with a live worker unless it has none."""
        if self.database_url is not None:
            # As the command `migrate`, which storage/test_upgrading.py runs: that costs a second each time.
            with contextlib.closing(Database(self.database_url, 1, patience=None)) as database:
                migration.upgrade(database)
        self._process = self._popen("serve", "--port", str(self._port), "--workers", str(self._workers))
        assert self._process.stdout is not None
        first = self._process.stdout.readline().decode()
        if not first.startswith("Chainrule listens on "):
            raise RuntimeError(f"the server did not start: {first}{self.log.read_text()[-2000:]}")
        self._port = int(first.rpartition(":")[2])
        probe = "/readyz?workers=1" if self._workers else "/readyz"
        with httpx.Client(base_url=self.url, trust_env=False) as client:
            until(lambda: client.get(probe).status_code == 200, START_SECONDS)
        return self

    def _popen(self, verb: str, *more: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [COMMAND, verb, *self._arguments, *more],
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def another_worker(self) -> subprocess.Popen[bytes]:
        """A worker of its own, with one trainer, on the same database and data directory."""
        worker = self._popen("worker", "--workers", "1")
        self._others.append(worker)
        return worker

    def client(self, role: str = "admin", project: str = "default") -> httpx.Client:
        """A client whose key has that role in that project, which is made when new."""
        known = self._clients.get((role, project))
        if known is not None:
            return known
        secret = self.admin_key
        if (role, project) != ("admin", "default"):
            body = {"name": f"{role} of {project}", "role": role, "project": project}
            secret = self.client().post("/v1/keys", json=body).raise_for_status().json()["secret"]
        made = self._clients[role, project] = self.client_with({"Authorization": f"Bearer {secret}"})
        return made

    def client_with(self, headers: dict[str, str]) -> httpx.Client:
        """Whoever asks for it also closes it."""
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, verify=False, timeout=60.0)

    @contextlib.contextmanager
    def database(self) -> Iterator[Database]:
        """The server's own database, to look at what its API does not tell."""
        database = Database(self.database_url or f"sqlite:///{self.data_dir / 'chainrule.sqlite'}", 2)
        try:
            yield database
        finally:
            database.close()

    def processes(self) -> Processes:
        api = psutil.Process(self.process.pid)
        supervisors = _children(api, "app.worker")
        nurseries = _children(api, "app.predictions.child")
        readers = [each for nursery in nurseries for each in _children(nursery, "app.predictions.child")]
        return Processes(api, supervisors, trainers_of(*supervisors), readers)

    def kill_everything(self) -> None:
        """SIGKILL to every process of this server, as a power cut would."""
        processes = [psutil.Process(self.process.pid)]
        processes += processes[0].children(recursive=True)
        kill(*processes)
        self._forget()

    def kill_api(self) -> None:
        """SIGKILL to the API alone; the supervisor beside it sees that, hands its jobs back and goes."""
        kill(psutil.Process(self.process.pid))
        self._forget()

    def stop(self, patience: float = 20.0) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        code = self.process.wait(patience)
        self._forget()
        return code

    def restart(self) -> None:
        """Start again on the same data and the same port."""
        self.start()

    def _forget(self) -> None:
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._process = None

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        for worker in self._others:
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                worker.terminate()
            with worker:  # closes its pipe and waits
                pass
        if self._process is not None:
            self.kill_everything()


def trainers_of(*supervisors: psutil.Process) -> list[psutil.Process]:
    return [each for supervisor in supervisors for each in _children(supervisor, "spawn_main")]


def busiest(processes: list[psutil.Process]) -> psutil.Process:
    """The one that computes most from now on: each may have done much before."""
    before = {each: sum(each.cpu_times()[:2]) for each in processes}
    time.sleep(0.5)
    return max(processes, key=lambda each: sum(each.cpu_times()[:2]) - before[each])


def _children(parent: psutil.Process, word: str) -> list[psutil.Process]:
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in parent.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if any(word in part for part in child.cmdline()):
                    found.append(child)
    return found


def alive(process: psutil.Process) -> bool:
    """Whether it still runs; an orphan that nobody has waited for does not."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def kill(*processes: psutil.Process) -> None:
    """SIGKILL to all of them, and wait until they are gone."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    until(lambda: not any(alive(each) for each in processes), 5.0)


def until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """The first true value of the condition. Raises TimeoutError when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if found := condition():
                return found
        time.sleep(0.005)
    raise TimeoutError(f"nothing came of it within {seconds} s")
