"""We ship nothing whose licence is unknown, or one that we may not ship, and the page says all of it."""

from pathlib import Path

import pytest

from supply import licences
from supply.licences import Unlicensed, licence, page, require_allowed

ROOT = Path(__file__).parents[2]


def test_the_page_has_every_package_of_the_lock_with_its_licence() -> None:
    written = (ROOT / "docs" / "licences.md").read_text()
    assert written == page(ROOT / "requirements.txt"), "run 'make docs'"


@pytest.mark.parametrize("expression", ["MIT", "Apache-2.0 OR BSD-2-Clause", "(MIT AND Zlib) OR ISC"])
def test_what_we_may_ship(expression: str) -> None:
    require_allowed("package", expression)


@pytest.mark.parametrize(
    "expression",
    ["", "AGPL-3.0-only", "MIT AND GPL-3.0-or-later", "MIT OR Commercial", "Apache-2.0 WITH LLVM-exception"],
)
def test_what_we_may_not_ship_without_a_look_at_it(expression: str) -> None:
    with pytest.raises(Unlicensed, match="package: "):
        require_allowed("package", expression)


def test_a_package_that_does_not_tell_is_not_taken_for_one_that_may_be_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text("pysqlite3==0.6.1 ; sys_platform == 'linux' \\\n    --hash=sha256:00\n")
    assert "| pysqlite3 | 0.6.1 | Zlib |\n" in page(lock)
    monkeypatch.setattr(licences, "NOT_SAID", {})
    with pytest.raises(Unlicensed, match="pysqlite3: no licence is known"):
        page(lock)


def test_a_licence_is_read_in_each_way_in_which_it_is_told() -> None:
    assert licence("fastapi") == "MIT"  # an expression
    assert licence("certifi") == "MPL-2.0"  # a classifier
    assert licence("python-dotenv") == "BSD-3-Clause"  # a name
    assert licence("uvloop") == "Apache-2.0 OR MIT"  # two of them
    assert licence("no-such-package") == ""


def test_versions_for_other_pythons_and_platforms_are_in_it(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text("colorama==0.4.6 ; os == 'win' \\\nnumpy==2.4.6 ; x \\\nnumpy==2.5.5 ; y \\\n")
    assert page(lock).splitlines()[-2:] == [
        "| colorama | 0.4.6 | BSD-3-Clause |",
        f"| numpy | 2.4.6, 2.5.5 | {licence('numpy')} |",
    ]
    lock.write_text("# nothing\n")
    with pytest.raises(ValueError, match="names no version"):
        page(lock)
