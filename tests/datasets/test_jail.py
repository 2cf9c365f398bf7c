import errno
import gzip
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import polars as pl
import psutil
import pytest

from app.confinement import ROOT
from app.datasets import jail as module
from app.datasets.jail import Jail, Killed, Limits, ParseRequest
from app.datasets.nursery import Nursery
from app.datasets.table import load
from app.errors import InvalidDataset, TooLarge
from tests.support.server import alive, until


def upload(directory: Path, content: bytes) -> Path:
    path = directory / "upload"
    path.write_bytes(content)
    return path


def test_an_upload_becomes_a_table_and_a_parquet(jail: Jail, tmp_path: Path) -> None:
    request = ParseRequest(columns={"zip": {"type": "category"}})
    parsed = jail.parse(upload(tmp_path, b"zip,y\n01,1.5\n02,2.5\n01,NA\n"), tmp_path, request)
    assert parsed.row_count == 3
    assert [column["type"] for column in parsed.columns] == ["category", "number"]
    assert load(parsed.table).columns["zip"].categories == ("01", "02")
    (tmp_path / "again").mkdir()
    assert jail.rebuild(parsed.parquet, tmp_path / "again").read_bytes() == parsed.table.read_bytes()


def test_faults_come_through(jail: Jail, tmp_path: Path) -> None:
    with pytest.raises(InvalidDataset) as caught:
        jail.parse(upload(tmp_path, b"a,b\n1,2\n3\n"), tmp_path)
    assert [(fault.param, fault.code) for fault in caught.value.faults] == [("file", "ragged_row")]


def test_a_bomb_is_too_large(jail: Jail, tmp_path: Path) -> None:
    with pytest.raises(TooLarge) as caught:
        jail.parse(upload(tmp_path, gzip.compress(bytes(60_000_000))), tmp_path)
    assert caught.value.faults[0].code == "decompressed_too_large"


def test_what_was_written_here_is_no_bomb(tmp_path: Path) -> None:
    path = tmp_path / "large.parquet"
    pl.DataFrame({"x": range(20_000)}).write_parquet(path)
    strict = Jail(tmp_path, Limits(max_expanded_bytes=1 << 16), keep_spare=False)
    try:
        with pytest.raises(TooLarge):
            strict.parse(path, tmp_path)
        assert strict.parse(path, tmp_path, ParseRequest(own=True)).row_count == 20_000
    finally:
        strict.close()


@pytest.mark.parametrize(
    "limits",
    [
        Limits(memory_bytes=900 << 20),
        Limits(wall_seconds=0.2),
        Limits(cpu_seconds=1),
    ],
    ids=["memory", "wall", "cpu"],
)
def test_what_exceeds_a_limit_is_an_invalid_dataset(tmp_path: Path, limits: Limits) -> None:
    rows = b"[" + b",".join(b'{"x%d":1,"y":"%d"}' % (i % 300, i * i) for i in range(60_000)) + b"]"
    confined = Jail(tmp_path, limits)
    try:
        with pytest.raises(InvalidDataset) as caught:
            confined.parse(upload(tmp_path, rows), tmp_path)
    finally:
        confined.close()
    assert caught.value.faults[0].code == "parse_limit"
    assert not isinstance(caught.value, Killed)  # it ran into a limit, and would again


def test_files_that_grow_too_large_are_an_invalid_dataset(tmp_path: Path) -> None:
    confined = Jail(tmp_path, Limits(file_bytes=1 << 10))
    content = b"x,y\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(1_000))
    try:
        for packed in (content, gzip.compress(content)):
            with pytest.raises(InvalidDataset) as caught:
                confined.parse(upload(tmp_path, packed), tmp_path)
            assert caught.value.faults[0].code == "parse_limit"
    finally:
        confined.close()


def test_a_full_disk_is_not_the_files_fault() -> None:
    with pytest.raises(OSError, match="no space left") as caught:
        module._read_answer(b'{"full": true}')
    assert caught.value.errno == errno.ENOSPC


def test_a_child_that_dies_is_an_invalid_dataset(tmp_path: Path) -> None:
    mortal = Jail(tmp_path)
    path = upload(tmp_path, b"x\n" + b"1\n" * 5_000_000)

    def kill_when_working() -> None:
        child = mortal._spare
        while child is mortal._spare:
            os.sched_yield()
        assert child
        until(lambda: child.pid)
        os.kill(child.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_when_working)
    killer.start()
    try:
        with pytest.raises(Killed) as caught:
            mortal.parse(path, tmp_path)
    finally:
        killer.join()
        mortal.close()
    assert caught.value.faults[0].code == "parse_limit"


def test_a_spare_that_died_waiting_is_replaced(tmp_path: Path) -> None:
    lasting = Jail(tmp_path)
    try:
        spare = lasting._spare
        assert spare
        assert spare.is_ready()
        os.kill(spare.pid, signal.SIGKILL)
        until(lambda: not spare.is_ready())
        assert lasting.parse(upload(tmp_path, b"a,b\n1,2\n3,4\n"), tmp_path).row_count == 2
    finally:
        lasting.close()


def test_an_unexpected_error_is_logged_and_told_plainly(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InvalidDataset) as caught:
        module._read_answer(json.dumps({"crashed": "Traceback of ours"}).encode())
    assert caught.value.faults[0].code == "unreadable_file"
    assert "Traceback" not in str(caught.value.faults)
    assert [each.__dict__["traceback"] for each in caplog.records] == ["Traceback of ours"]


def test_several_uploads_at_once(jail: Jail, tmp_path: Path) -> None:
    counts: dict[int, int] = {}

    def parse(i: int) -> None:
        directory = tmp_path / str(i)
        directory.mkdir()
        counts[i] = jail.parse(upload(directory, b"a,b\n" + b"1,2\n" * (i + 2)), directory).row_count

    threads = [threading.Thread(target=parse, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == {0: 2, 1: 3, 2: 4}


def test_children_know_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CHAINRULE_ADMIN_KEY", "secret")
    nursery = Nursery(tmp_path, "app.datasets.child")
    child = nursery.child()
    try:
        assert child.is_ready()
        environment = Path(f"/proc/{child.pid}/environ").read_bytes()
        assert b"PYTHONPATH=" in environment
        names = {each.partition(b"=")[0] for each in environment.split(b"\0")}
        assert {each for each in names if each.startswith(b"CHAINRULE")} <= {b"CHAINRULE_CONFINEMENT"}
        assert b"secret" not in environment
        assert os.getsid(child.pid) == child.pid
    finally:
        child.end()
        nursery.close()


def test_children_do_not_hold_what_belongs_to_others(tmp_path: Path) -> None:
    """One that held another's leash would keep it from being let go."""
    nursery = Nursery(tmp_path, "app.datasets.child")
    children = [nursery.child() for _ in range(3)]
    try:
        assert all(each.is_ready() for each in children)
        for each in children:
            held = {os.readlink(f"/proc/{each.pid}/fd/{name}") for name in os.listdir(f"/proc/{each.pid}/fd")}
            assert len([name for name in held if name.startswith("socket:")]) == 1, held
        children[0].end()
        assert not psutil.pid_exists(children[0].pid)
        assert all(each.is_ready() for each in children[1:])
    finally:
        for each in children[1:]:
            each.end()
        nursery.close()


def test_closing_leaves_no_child(tmp_path: Path) -> None:
    closing = Jail(tmp_path)
    assert closing._spare
    assert closing._spare.is_ready()
    process = closing._nursery._process
    assert process
    pids = [process.pid, closing._spare.pid]
    closing.close()
    closing.close()
    assert not any(map(psutil.pid_exists, pids))


def test_children_end_with_the_process_that_forked_them(tmp_path: Path) -> None:
    nursery = Nursery(tmp_path, "app.datasets.child")
    child = nursery.child()
    assert child.is_ready()
    assert nursery._process
    nursery._process.kill()
    nursery._process.wait()
    until(lambda: not child.is_ready())
    child.end()
    again = nursery.child()
    assert again.is_ready()
    again.end()
    nursery.close()


PARENT = """
import os, sys
from pathlib import Path
from app.datasets.nursery import Nursery
nursery = Nursery(Path(sys.argv[1]), "app.datasets.child")
child = nursery.child()
assert child.is_ready()
print(nursery._process.pid, child.pid, flush=True)
os._exit(0)
"""


def test_all_end_with_the_process_that_wanted_them(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", PARENT, tmp_path], capture_output=True, text=True, check=True, cwd=ROOT
    )
    pids = [int(each) for each in found.stdout.split()]
    assert len(pids) == 2
    until(lambda: not any(psutil.pid_exists(pid) and alive(psutil.Process(pid)) for pid in pids))


def test_what_trainers_import_is_small() -> None:
    code = (
        "import sys, app.datasets.encoding, app.datasets.split, app.datasets.table, app.datasets.roles;"
        "print([m for m in ('polars', 'pydantic', 'fastapi', 'sqlalchemy') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "[]"
