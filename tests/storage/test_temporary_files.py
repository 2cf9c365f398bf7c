"""What SQLite writes for a while: here, how to take half a statement back."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SPILL = """
import os, sys
from pathlib import Path
from app import serving
from app.storage.database import Database

data = Path(sys.argv[1])
if sys.argv[3] == "Python's own":
    sys.modules["pysqlite3"] = None  # as where it has no wheel
if sys.argv[2] == "kept":
    serving.keep_temporary_files(data)
database = Database(f"sqlite:///{data / 'x.sqlite'}", 1)
with database.engine.connect() as connection:
    for line in (
        "CREATE TABLE t (x UNIQUE)",
        "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) "
        "SELECT hex(randomblob(100)) FROM n",
        "UPDATE t SET x = x || 'a'",
    ):
        connection.exec_driver_sql(line)
    for each in os.listdir("/proc/self/fd"):
        try:
            print(os.readlink(f"/proc/self/fd/{each}"))
        except OSError:
            pass
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("where", ["kept", "not kept"])
@pytest.mark.parametrize("sqlite", ["Python's own", "the wheel's"])
def test_it_is_on_the_disk_of_the_data_directory(tmp_path: Path, sqlite: str, where: str) -> None:
    run = [sys.executable, "-c", SPILL, str(tmp_path), where, sqlite]
    environment = {name: value for name, value in os.environ.items() if name != "SQLITE_TMPDIR"}
    opened = subprocess.run(run, capture_output=True, text=True, check=True, env=environment).stdout
    temporary = [each for each in opened.splitlines() if "etilqs_" in each]
    if sqlite == "the wheel's":  # it is built to keep all of it in memory
        assert temporary == []
    else:
        assert [each.startswith(f"{tmp_path}/") for each in temporary] == [where == "kept"]
