from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.datasets import parsing
from app.datasets.jail import Jail
from app.datasets.table import Table, load
from app.errors import ChainruleError


class Upload:
    """What became of some bytes: parsed in this process, without the jail."""

    def __init__(self, content: bytes | str, directory: Path, **options: Any) -> None:
        path = directory / "upload"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        limits = {"max_columns": 5_000, "max_expanded_bytes": 1 << 30, "max_ratio": 200}
        self.found: dict[str, Any] = parsing.parse(
            path, directory, options.pop("columns", {}), **limits | options
        )
        self.parquet = directory / parsing.PARQUET
        self.table: Table = load(directory / parsing.TABLE)
        self.columns = {column["name"]: column for column in self.found["columns"]}
        self.warnings = [(warning["code"], warning["param"]) for warning in self.found["warnings"]]


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., "Upload"]:
    return lambda content, **options: Upload(content, tmp_path, **options)


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., tuple[str, str, str]]:
    """The (code, param, message) of the first fault of an upload that must be refused."""

    def refuse(content: bytes | str, **options: Any) -> tuple[str, str, str]:
        with pytest.raises(ChainruleError) as caught:
            Upload(content, tmp_path, **options)
        fault = caught.value.faults[0]
        return fault.code, fault.param, fault.message

    return refuse


@pytest.fixture(scope="session")
def jail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jail]:
    jail = Jail(tmp_path_factory.getbasetemp())
    yield jail
    jail.close()
