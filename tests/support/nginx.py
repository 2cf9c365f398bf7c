"""A real nginx with the configuration of ``deploy/``, on ports and in a directory of its own.

``CHAINRULE_NGINX`` names the program, where it is not on the PATH.
"""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import psutil

from tests.support.certificates import Pair, made_pair
from tests.support.server import until

PROGRAM = os.environ.get("CHAINRULE_NGINX") or shutil.which("nginx")
WHY_NOT = "there is no nginx here: install it, or name one in CHAINRULE_NGINX"
CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx.conf"


class Nginx:
    """Passes requests to a server on ``port``."""

    def __init__(self, directory: Path, port: int) -> None:
        assert PROGRAM is not None
        directory.mkdir()
        self.pair: Pair = made_pair(directory, "nginx")
        self.plain, self.port = _free(), _free()
        self.log = directory / "error.log"
        text = CONFIGURATION.read_text()
        temporary = "".join(
            f"    {each}_temp_path {directory}/{each};\n"
            for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        for there, here in (
            ("pid /run/nginx.pid;", f"pid {directory}/nginx.pid;\ndaemon off;"),
            ("/var/log/nginx/error.log", str(self.log)),
            ("http {\n", "http {\n" + temporary),
            ("server 127.0.0.1:8000;", f"server 127.0.0.1:{port};"),
            ("listen 80 ", f"listen 127.0.0.1:{self.plain} "),
            ("listen 443 ", f"listen 127.0.0.1:{self.port} "),
            ("/etc/ssl/chainrule.crt", str(self.pair.certificate)),
            ("/etc/ssl/chainrule.key", str(self.pair.key)),
        ):
            assert text.count(there) == 1, there
            text = text.replace(there, here)
        path = directory / "nginx.conf"
        path.write_text(text)
        command = [PROGRAM, "-c", str(path), "-p", str(directory), "-e", str(self.log)]
        self._process = subprocess.Popen(command)
        until(self._listens, 10)

    def _listens(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def processes(self) -> list[psutil.Process]:
        """Those that have the connections."""
        found: list[psutil.Process] = psutil.Process(self._process.pid).children()
        return found

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)


def _free() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
