"""The pages that list what the code has list all of it, and the one that quotes it quotes it right."""

import ast
import contextlib
import io
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.codes import FAULTS, JOB_ERRORS, PROBLEMS, WARNINGS, page
from app.errors import ChainruleError
from app.settings import Settings

ROOT = Path(__file__).parents[1]
TREES = [ast.parse(path.read_text()) for path in sorted((ROOT / "app").rglob("*.py"))]


def families(family: type[ChainruleError] = ChainruleError) -> Iterator[type[ChainruleError]]:
    yield family
    for each in family.__subclasses__():
        if each.__module__ == family.__module__:
            yield from families(each)


def text(node: ast.AST | None) -> Iterator[str]:
    """The strings that an expression can be: of a conditional one, both."""
    if isinstance(node, ast.IfExp):
        yield from text(node.body)
        yield from text(node.orelse)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def places() -> dict[str, int]:
    """By name, the functions and records that take a ``code``, and which argument it is."""
    found = {}
    for tree in TREES:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                names = [each.arg for each in node.args.args if each.arg != "self"]
            elif isinstance(node, ast.ClassDef):
                fields = (each.target for each in node.body if isinstance(each, ast.AnnAssign))
                names = [each.id for each in fields if isinstance(each, ast.Name)]
            else:
                continue
            if "code" in names:
                found[node.name] = names.index("code")
    return found


def codes() -> set[str]:
    """Every code that the source can answer with."""
    takers, found = places(), set[str]()
    for tree in TREES:
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign):
                names = [each.id for each in node.targets if isinstance(each, ast.Name)]
                if names == ["code"]:
                    found.update(text(node.value))
                if names == ["_CODES"] and isinstance(node.value, ast.Dict):
                    found.update(word for value in node.value.values for word in text(value))
            elif isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "code":
                found.update(text(node.value))
            elif isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == "code":
                        found.update(text(value))
            elif isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name in takers and len(node.args) > takers[name]:
                    found.update(text(node.args[takers[name]]))
                if name in takers:
                    found.update(w for each in node.keywords if each.arg == "code" for w in text(each.value))
    return found


def rows(page: str) -> dict[str, list[str]]:
    """The table rows of a page, by the code in their first cell: the first row of each."""
    lines = (ROOT / "docs" / page).read_text().splitlines()
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")
    ]
    return {row[0].strip("`"): row[1:] for row in reversed(cells)}


def test_the_collector_sees_each_way_in_which_a_code_is_written() -> None:
    # A class attribute, a pydantic error's translation, a fault, a helper, a refusal, a job's error.
    seen = {"wrong_state", "unknown_field", "ragged_row", "constant_target", "infinite_number", "diverged"}
    assert seen <= codes()


TABLE = {*PROBLEMS, *FAULTS, *WARNINGS, *JOB_ERRORS}


def test_every_code_is_in_the_table() -> None:
    assert codes() - TABLE == set(), "give it a line in app/codes.py"


def test_the_table_has_no_code_that_is_gone() -> None:
    assert TABLE - codes() == set()


def test_the_page_has_the_table() -> None:
    path = ROOT / "docs" / "errors.md"
    assert path.read_text() == page(path.read_text()), "write codes into app/codes.py, and run 'make docs'"
    assert rows("errors.md").keys() == TABLE


def test_the_page_is_written_from_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "errors.md").read_text()
    monkeypatch.setitem(JOB_ERRORS, "new_code", "It is new.")
    assert "| `new_code` | It is new. |\n<!-- end -->" in page(text)
    assert page(page(text)) == page(text)


@pytest.mark.parametrize("family", list(families()), ids=lambda family: family.__name__)
def test_every_error_has_its_status_in_the_table(family: type[ChainruleError]) -> None:
    assert rows("errors.md")[family.code][0] == str(family.status)


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_setting_is_listed_with_its_description(name: str) -> None:
    listed = rows("settings.md")[f"CHAINRULE_{name.upper()}"]
    assert listed[-1] == Settings.model_fields[name].description


def test_no_setting_is_listed_that_is_gone() -> None:
    assert rows("settings.md").keys() == {f"CHAINRULE_{name.upper()}" for name in Settings.model_fields}


def quotations() -> Iterator[tuple[str, str]]:
    """Of docs/backprop.md's tables that are headed by a file: the file, and each line that is quoted."""
    source = None
    for line in (ROOT / "docs" / "backprop.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            source = None
        elif cells[0].startswith("`app/"):
            source = cells[0].strip("`")
        elif source is not None and not cells[0].startswith("---"):
            yield source, cells[0].strip("`")


def lines_of(source: str) -> list[str]:
    return [line.strip() for line in (ROOT / source).read_text().splitlines()]


@pytest.mark.parametrize("source", sorted({source for source, _ in quotations()}))
def test_every_line_that_is_quoted_stands_in_its_file_and_in_its_order(source: str) -> None:
    ahead = iter(lines_of(source))
    assert [line for each, line in quotations() if each == source and line not in ahead] == []


def test_every_line_of_backpropagation_that_has_an_equation_is_quoted() -> None:
    source = "app/engine/backprop.py"
    numbered = {line for line in lines_of(source) if re.search(r"\S  # \(\d+\)", line)}
    assert len(numbered) >= 10
    assert numbered - {line for each, line in quotations() if each == source} == set()


def test_every_function_that_the_paper_s_table_names_is_there() -> None:
    lines = (ROOT / "docs" / "paper.md").read_text().splitlines()
    named = re.findall(r"`(\w+\.\w+(?:\.\w+)?)`", "".join(line for line in lines if line.startswith("| (")))
    functions = [name for name in named if not name.endswith(".py")]
    assert len(functions) >= 10
    for name in functions:
        assert callable(pkgutil.resolve_name(f"app.engine.{name}"))


def test_the_worked_example_prints_what_the_page_says() -> None:
    page = (ROOT / "docs" / "backprop.md").read_text()
    code, printed = re.findall(r"```python\n(.*?)```\n```\n(.*?)```", page, re.DOTALL)[0]
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(code, {})
    assert output.getvalue() == printed


def named_in(page: str) -> set[str]:
    """The tests and the files of tests that a page names."""
    return set(re.findall(r"`(?:tests/\S*/)?(test_\w+(?:\.py)?)`", (ROOT / "docs" / page).read_text()))


@pytest.mark.parametrize("page", ["promises.md", "security.md"])
def test_every_test_that_a_page_names_is_there(page: str) -> None:
    paths = list((ROOT / "tests").rglob("test_*.py"))
    known = {path.name for path in paths}
    for path in paths:
        known.update(re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE))
    assert named_in(page)
    assert named_in(page) - known == set()


def test_pages_mean_the_same_url() -> None:
    """That of the README, which ends with /v1."""
    assert "URL=http://127.0.0.1:8000/v1\n" in (ROOT / "README.md").read_text()
    wrong = [page.name for page in (ROOT / "docs").glob("*.md") if "$URL/v1" in page.read_text()]
    assert wrong == []
