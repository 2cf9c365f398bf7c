"""Imports point downward only, and every library stays where it belongs."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

APP = Path(__file__).parents[1] / "app"

LAYERS = (
    ("cli",),
    ("main", "commands", "serving"),
    ("routes", "gate", "heads", "shortcut", "problems", "meter", "wire"),
    ("worker", "operations", "*.router"),
    ("dependencies", "openapi"),
    ("creating", "routing"),
    ("state",),
    ("lists", "paths", "queries", "metrics", "request_log", "telemetry"),
    ("backups", "checks"),
    ("housekeeping",),
    ("open_inference", "batches"),
    (
        "documentation",
        "evaluations",
        "exports",
        "cross_validations",
        "lessons",
        "sweeps",
        "predictions",
        "profiles",
        "following",
        "provenance",
        "webhooks",
        "retention",
    ),
    ("jobs",),
    ("models",),
    ("splits",),
    ("uploads", "rows"),
    ("aliases", "architectures", "datasets"),
    ("projects",),
    ("keys",),
    ("audit",),
    ("storage", "engine"),
    ("validation", "schemas", "strict_json"),
    ("codes", "vocabulary"),
    ("errors", "settings", "keeper", "logs", "confinement", ""),
)
"""From the top down. A part may import those below it, and itself; ``""`` is ``app/__init__.py``."""

BESIDE = {
    ("main", "serving"),
    ("serving", "main"),
    ("commands", "serving"),
    ("routes", "*.router"),
    ("gate", "heads"),
    ("gate", "problems"),
    ("shortcut", "problems"),
    ("gate", "wire"),
    ("wire", "problems"),
}
"""Imports within a layer that are meant."""

NOT_FOR_THE_API = {("serving", "worker"), ("cli", "worker"), ("commands", "worker")}
"""The API has no other business with the worker than to start it."""

FRAMEWORK = {
    "main",
    "routes",
    "problems",
    "dependencies",
    "creating",
    "routing",
    "state",
    "lists",
    "paths",
    "queries",
    "operations",
    "telemetry",
    "*.router",
}
ALLOWED: dict[str, set[str]] = {
    "fastapi": FRAMEWORK,
    "starlette": FRAMEWORK
    | {"gate", "heads", "shortcut", "meter", "request_log", "models.warm", "following.stream"},
    "uvicorn": {"wire"},
    "opentelemetry": {"telemetry"},
    "typer": {"cli", "commands"},
    "polars": {"datasets", "predictions.answers", "predictions.filing", "predictions.fitting"},
    "prometheus_client": {"metrics"},
    "alembic": {"storage.migration"},
    "limits": {"projects.rates"},
    "onnx": {"exports"},
    "onnxruntime": {"exports"},
}
"""Which modules, features or layers may import a library; others not here are free."""

NO_SQL = ("engine", "schemas", "parsing", "encoding", "states")


class Import(NamedTuple):
    """``module`` and ``imported`` are dotted, without ``app.``; ``imported`` is as far as a file goes."""

    module: str
    imported: str
    line: int
    ours: bool


def modules(root: Path) -> dict[str, Path]:
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def statements(text: str) -> list[ast.Import | ast.ImportFrom]:
    """Inside functions too."""
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]


def imports(root: Path) -> Iterator[Import]:
    known = modules(root)
    for module, path in known.items():
        for node in statements(path.read_text()):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                assert node.level == 0, f"{path}: relative import"
                for alias in node.names:
                    longer = f"{node.module}.{alias.name}"
                    is_module = longer.removeprefix("app.") in known and str(node.module).startswith("app")
                    names.append(longer if is_module else str(node.module))
            for name in names:
                ours = name == "app" or name.startswith("app.")
                imported = name.removeprefix("app").removeprefix(".") if ours else name
                yield Import(module, imported, getattr(node, "lineno", 0), ours)


def part(module: str) -> str:
    """The part of the diagram that a module belongs to."""
    feature, _, rest = module.partition(".")
    return "*.router" if rest == "router" else feature


def level(module: str) -> int:
    (found,) = [index for index, layer in enumerate(LAYERS) if part(module) in layer]
    return found


def upward(root: Path) -> list[str]:
    """The imports that break the rule."""
    broken = []
    for each in imports(root):
        if not each.ours:
            continue
        above, below = part(each.module), part(each.imported)
        own_feature = each.module.partition(".")[0] == each.imported.partition(".")[0]
        is_router = below == "*.router"
        fine = level(each.module) < level(each.imported) or (above, below) in BESIDE
        if own_feature and not is_router:
            fine = True
        if below == "worker" and above != "worker":
            fine = (above, below) in NOT_FOR_THE_API
        if above == "engine" and below != "engine":
            fine = False
        if not fine:
            broken.append(f"app.{each.module}:{each.line} imports app.{each.imported}")
    return broken


def test_every_module_has_its_place() -> None:
    for module in modules(APP):
        level(module)


def test_imports_point_downward_only() -> None:
    assert upward(APP) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("storage/blobs.py", "from app.jobs import queue"),
        ("engine/costs.py", "from app.errors import Fault"),
        ("models/router.py", "from app.jobs.router import routes"),
        ("datasets/service.py", "from app import problems"),
        ("keys/service.py", "def late() -> None:\n    import app.models.service"),
        ("jobs/queue.py", "from app.worker.slots import Slot"),
        ("models/service.py", "from app.models import router"),
        ("errors.py", "from app import settings, vocabulary"),
        ("main.py", "from app.worker import supervisor"),
    ],
)
def test_an_upward_import_is_seen(tmp_path: Path, module: str, line: str) -> None:
    root = Path(shutil.copytree(APP, tmp_path / "app", ignore=shutil.ignore_patterns("__pycache__")))
    before = set(upward(root))
    path = root / module
    path.write_text(f"{path.read_text()}\n{line}\n")
    assert set(upward(root)) - before


def test_libraries_stay_where_they_belong() -> None:
    strays = [
        f"app.{each.module}:{each.line} imports {each.imported}"
        for each in imports(APP)
        if not each.ours and (allowed := ALLOWED.get(each.imported.partition(".")[0]))
        if not {part(each.module), each.module, each.module.partition(".")[0]} & allowed
    ]
    assert strays == []


def test_no_sql_where_the_rules_of_the_product_are_pure() -> None:
    strays = [
        f"app.{each.module}:{each.line}"
        for each in imports(APP)
        if each.imported.partition(".")[0] in ("sqlalchemy", "psycopg", "sqlite3")
        if set(each.module.split(".")) & {*NO_SQL, "router"}
    ]
    assert strays == []


def test_the_engine_knows_only_numpy() -> None:
    allowed = {"numpy", *sys.stdlib_module_names}
    strays = [
        f"app.{each.module}:{each.line} imports {each.imported}"
        for each in imports(APP)
        if part(each.module) == "engine" and not each.ours
        if each.imported.partition(".")[0] not in allowed
    ]
    assert strays == []


def test_a_trainer_starts_without_the_web() -> None:
    unwanted = {"fastapi", "starlette", "pydantic", "polars", "uvicorn", "alembic", "httpx", "typer"}
    script = "import app.worker.life, sys; print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert unwanted & set(loaded.stdout.split()) == set()


def test_the_api_starts_without_what_only_its_children_need() -> None:
    unwanted = {"onnx", "onnxruntime", "app.exports.work", "app.exports.writers"}
    script = "import app.main, sys; print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert unwanted & set(loaded.stdout.split()) == set()


def test_files_stay_small_and_well_named() -> None:
    lengths = {name: len(path.read_text().splitlines()) for name, path in modules(APP).items()}
    assert {name: length for name, length in lengths.items() if length > 300} == {}
    banned = {"utils", "helpers", "common", "manager", "base", "misc"}
    assert {name for name in lengths if set(name.split(".")) & banned} == set()


def test_help_does_not_load_what_it_does_not_need() -> None:
    heavy = {"fastapi", "pydantic", "sqlalchemy", "numpy", "polars", "uvicorn", "alembic"}
    script = "import app.cli, sys; print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert heavy & set(loaded.stdout.split()) == set()
