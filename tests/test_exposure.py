"""A server does not start where it would stand open."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from app.serving import RefusesToStart, check_exposure, check_file_system
from app.settings import Settings
from tests.support.server import COMMAND

KEY: dict[str, Any] = {"admin_key": "sixteen-characters"}
PUBLIC = ["0.0.0.0", "::", "192.0.2.1", "10.0.0.1", "2001:db8::1", "a.example", "localhost.example", ""]


@pytest.mark.parametrize("host", PUBLIC)
def test_a_public_address_needs_a_key_of_the_operators(host: str) -> None:
    with pytest.raises(RefusesToStart, match="CHAINRULE_ADMIN_KEY"):
        check_exposure(Settings(host=host, insecure_http=True))


@pytest.mark.parametrize("host", PUBLIC)
def test_a_public_address_needs_tls_or_a_word_that_something_else_speaks_it(host: str) -> None:
    with pytest.raises(RefusesToStart, match="--insecure-http"):
        check_exposure(Settings(host=host, **KEY))
    check_exposure(Settings(host=host, insecure_http=True, **KEY))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_this_machine_alone_needs_nothing(host: str) -> None:
    check_exposure(Settings(host=host))


def test_it_is_this_machine_alone_unless_somebody_says_so() -> None:
    assert Settings().host == "127.0.0.1"


def test_the_command_does_not_start(tmp_path: Path) -> None:
    variables = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    command = [COMMAND, "serve", "--host", "0.0.0.0", "--data-dir", str(tmp_path / "data")]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=30)
    assert done.returncode != 0
    assert "CHAINRULE_ADMIN_KEY" in done.stderr
    assert not (tmp_path / "data").exists()


def test_sqlite_is_not_on_a_file_system_that_others_share(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nnas:/data {tmp_path} nfs4 rw 0 0\n")
    there = Settings(data_dir=tmp_path / "not yet")
    with pytest.raises(RefusesToStart, match=r"nfs4.*local disk, or use Postgres.*CHAINRULE_SQLITE_ON"):
        check_file_system(there, mounts)
    check_file_system(there.model_copy(update={"sqlite_on_network": True}), mounts)
    check_file_system(Settings(data_dir=tmp_path, database_url="postgresql://localhost/x"), mounts)
    check_file_system(Settings(data_dir=tmp_path, database_url="sqlite:////var/lib/x.sqlite"), mounts)
    check_file_system(there)  # the disk that the tests are on
