"""A parser or trainer that was taken over: it enters as the real one does, then tries to get out.

``python -m tests.support.breakout WHO INSIDE SECRET PORT ALLOWED_PORT LACKING`` prints {attempt: what came of
it} as JSON: "" for one that went through, else the error's name. LACKING is what its kernel shall not have:
"landlock", "seccomp" or "nothing".
"""

import ctypes
import errno
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from app.confinement import ROOT, confine, seccomp, shed
from app.datasets import child
from app.worker.surroundings import Surroundings
from app.worker.walls import raise_walls

MEMORY_BYTES, FILE_BYTES = 2**30, 2**20
SEIZE = 0x4206
"""How ``ptrace`` gets hold of a process without stopping it."""


def fork() -> None:
    if os.fork() == 0:
        os._exit(0)
    os.wait()


def move_out(mine: Path, outside: Path) -> None:
    mine.write_text("x")
    mine.rename(outside)


def link_out(link: Path, secret: Path) -> None:
    link.symlink_to(secret)
    link.read_text()


def connect(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 2):
        pass


def run(*arguments: str) -> None:
    """As a trainer starts a parser."""
    environment = {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, *arguments]
    if subprocess.run(command, env=environment, cwd="/", check=False).returncode:
        raise OSError(errno.EACCES, "")


def open_many(path: str) -> None:
    opened: list[int] = []
    try:
        opened += (os.open(path, os.O_RDONLY) for _ in range(100))
    finally:
        for each in opened:
            os.close(each)


def into_thread(attempt: Callable[[], object]) -> Callable[[], object]:
    """The same from another thread of this process."""

    def run() -> None:
        raised: list[BaseException] = []

        def call() -> None:
            try:
                attempt()
            except BaseException as error:
                raised.append(error)

        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
        if raised:
            raise raised[0]

    return run


def raw(number: int, *arguments: int) -> Callable[[], object]:
    """A system call by its number, past Python and the C library."""

    def run() -> None:
        library = ctypes.CDLL(None, use_errno=True)
        if library.syscall(number, *arguments) < 0:
            raise OSError(ctypes.get_errno(), "")

    return run


def attempts(inside: Path, secret: Path, port: int, parent: int) -> dict[str, Callable[[], object]]:
    outside = secret.with_name("made")
    return {
        "write inside": lambda: (inside / "new").write_text("x"),
        "read back": lambda: (inside / "new").read_text(),
        "remove": lambda: (inside / "new").unlink(),
        "list inside": lambda: os.listdir(inside),
        "read outside": secret.read_text,
        "read outside in a thread": into_thread(secret.read_text),
        "write outside": lambda: outside.write_text("x"),
        "truncate outside": lambda: os.truncate(secret, 0),
        "remove outside": secret.unlink,
        "move out": lambda: move_out(inside / "mine", outside),
        "link out": lambda: link_out(inside / "link", secret),
        "its parent's environment": lambda: Path(f"/proc/{parent}/environ").read_bytes(),
        "its parent's memory": lambda: Path(f"/proc/{parent}/mem").open("rb"),
        "signal its parent": lambda: os.kill(parent, signal.SIGWINCH),
        "limit its parent": lambda: resource.prlimit(parent, resource.RLIMIT_CORE, (0, 0)),
        "trace its parent": raw(101 if os.uname().machine == "x86_64" else 117, SEIZE, parent, 0, 0),
        "connect": lambda: connect(port),
        "connect in a thread": into_thread(lambda: connect(port)),
        "bind": lambda: socket.create_server(("127.0.0.1", 0)).close(),
        "udp": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close(),
        "unix socket": lambda: socket.socket(socket.AF_UNIX).close(),
        "socket by x32": raw(0x40000000 + 41, socket.AF_INET, 1, 0),
        "io_uring": raw(425, 8, 0),
        "user namespace": raw(272 if os.uname().machine == "x86_64" else 97, 0x10000000),
        "fork": fork,
        "run python": lambda: run("-P", "-s", "-c", "import app.datasets.child"),
        "run a shell": lambda: subprocess.run(["/bin/sh", "-c", ":"], check=True),
        "thread": into_thread(lambda: None),
        "much memory": lambda: bytearray(MEMORY_BYTES),
        "a large file": lambda: (inside / "large").write_bytes(bytes(2 * FILE_BYTES)),
        "many files": lambda: open_many(os.devnull),
        "a higher limit": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES + 1, FILE_BYTES + 1)),
    }


def what_came_of(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    except (MemoryError, ValueError) as error:
        return type(error).__name__
    return ""


def forget(lacking: str) -> None:
    """Have the kernel refuse what is ``lacking``, as older ones do, and those of some containers."""
    numbers = seccomp._numbers(os.uname().machine)
    refused = {"seccomp": [numbers["seccomp"]], "landlock": [444, 445, 446], "nothing": []}[lacking]
    shed()
    code = [(seccomp._LOAD, 0, 0, 0)]
    for number in refused:
        code += [(seccomp._EQUAL, 0, 1, number), seccomp._REFUSE]
    seccomp._install([*code, seccomp._PASS], numbers["seccomp"])


def as_parser(inside: Path, attempt_all: Callable[[], dict[str, str]]) -> None:
    taken_over = ModuleType("app.datasets.parsing")
    taken_over.rebuild = lambda *_: attempt_all()  # type: ignore[attr-defined]
    sys.modules[taken_over.__name__] = taken_over
    confine(drop_in=[inside], processes=True)  # as the process that forks it
    child.serve(inside, lambda: None, {})


def as_trainer(data_dir: Path, url: str, attempt_all: Callable[[], dict[str, str]]) -> None:
    raise_walls(Surroundings(url, data_dir, 1, 10.0, 2.0, None, 0))
    print(json.dumps({"done": attempt_all()}))


def main() -> None:
    who, (inside, secret), port = sys.argv[1], map(Path, sys.argv[2:4]), int(sys.argv[4])
    if sys.argv[6] != "nothing":
        forget(sys.argv[6])
    parent = os.getppid()

    def attempt_all() -> dict[str, str]:
        tried = attempts(inside, secret, port, parent)
        return {name: what_came_of(attempt) for name, attempt in tried.items()}

    if who == "parser":
        as_parser(inside, attempt_all)
    elif who == "trainer":
        as_trainer(inside, f"sqlite:///{inside}/chainrule.sqlite", attempt_all)
    elif who == "trainer of a database":
        as_trainer(inside.parent, f"postgresql://somebody@127.0.0.1:{sys.argv[5]}/chainrule", attempt_all)
    else:
        print(json.dumps({"done": attempt_all()}))


if __name__ == "__main__":
    main()
