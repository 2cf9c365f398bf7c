"""The server that an example talks to: its own process, on SQLite in a temporary directory."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

SERVER = Path(sys.executable).with_name("chainrule-server")
START_SECONDS = 30.0


@contextmanager
def running_server() -> Iterator[httpx.Client]:
    """A server of our own on a free port, and a client with its admin key; its log, when something fails."""
    if not SERVER.exists():
        raise SystemExit("The server is not installed here: say `make install`.")
    with tempfile.TemporaryDirectory(prefix="chainrule-example-") as directory:
        data, log = Path(directory, "data"), Path(directory, "server.log")
        command = [str(SERVER), "serve", "--port", "0", "--data-dir", str(data), "--workers", "1"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CHAINRULE_")}
        with log.open("wb") as output:
            # In a session of its own: a Ctrl-C is for this script, which then stops the server in good order.
            process = subprocess.Popen(
                command, stdout=output, stderr=output, env=environment, start_new_session=True
            )
        try:
            address = wait_until_ready(process, log)
            headers = {"Authorization": f"Bearer {(data / 'admin.key').read_text().strip()}"}
            with httpx.Client(base_url=address, headers=headers, timeout=60.0, trust_env=False) as client:
                yield client
            process.terminate()
            if process.wait(timeout=20) != 0:
                raise SystemExit(f"The server stopped with exit code {process.returncode}.")
        except (Exception, SystemExit):
            print(f"\nThe server's log:\n{log.read_text()}", file=sys.stderr)
            raise
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> str:
    """The address that the server prints, once it answers there."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"listens on (http://\S+)\n", log.read_text()):
            with suppress(httpx.TransportError):  # the port is its own before it listens there
                if httpx.get(f"{found[1]}/readyz", trust_env=False).is_success:
                    return found[1]
        time.sleep(0.05)
    raise SystemExit("The server did not start.")


def answer(response: httpx.Response) -> Any:
    """The body of an answer; where it is a problem, the end, in the server's own words."""
    if response.is_success:
        return response.json()
    raise SystemExit(f"{response.request.method} {response.request.url.path}: {response.text}")
