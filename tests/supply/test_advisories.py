"""An audit that could not look is not taken for one that found nothing.

The reports in ``tests/fixtures/pip_audit`` are pip-audit 2.10's own, about the versions below: ``skipped`` of
a mirror of PyPI that does not know its JSON interface, the others of a database on loopback in OSV's format.
"""

from pathlib import Path

import pytest

from supply.advisories import PROBE, judge, questions
from supply.locks import Pin, pins

ROOT = Path(__file__).parents[2]
SOUND = [Pin("h11", "0.16.0"), Pin("numpy", "2.4.6")]
HOLED = [Pin("h11", "0.14.0"), Pin("numpy", "2.4.6")]


def report(name: str) -> str:
    return (ROOT / "tests" / "fixtures" / "pip_audit" / f"{name}.json").read_text()


def test_nothing_is_found_by_who_knows_of_something_else() -> None:
    assert judge(report("clean"), SOUND) == ([], [])


def test_a_hole_is_told_with_the_way_out() -> None:
    assert judge(report("vulnerable"), HOLED) == ([], ["h11 0.14.0: CVE-2025-43859, mended in 0.16.0"])


def test_what_was_skipped_was_not_checked() -> None:
    unchecked, vulnerable = judge(report("skipped"), SOUND)
    assert unchecked[0].startswith("3 packages were skipped, h11, numpy, mlflow. Of the first: ")
    assert len(unchecked) == 2
    assert vulnerable == []


def test_who_does_not_know_of_the_probe_knows_of_nothing() -> None:
    unchecked, vulnerable = judge(report("without_advisories"), HOLED)
    assert [each.partition(" is known")[0] for each in unchecked] == ["mlflow 2.0.1"]
    assert vulnerable == []


def test_what_the_answer_does_not_mention_was_not_checked() -> None:
    unchecked, _ = judge(report("clean"), [*SOUND, Pin("fastapi", "0.165.0"), Pin("numpy", "2.5.5")])
    assert unchecked == ["2 versions were not looked up: fastapi 0.165.0, numpy 2.5.5"]


@pytest.mark.parametrize("nothing", ["", "No known vulnerabilities found\n"])
def test_no_report_is_no_good_news(nothing: str) -> None:
    (unchecked,), vulnerable = judge(nothing, SOUND)
    assert "no report" in unchecked
    assert vulnerable == []


def test_every_version_of_every_lock_is_asked_about_once() -> None:
    asked = pins(ROOT.glob("requirements*.txt"))
    groups = [*questions(asked)]
    assert sorted(pin for group in groups for pin in group) == asked
    assert all(len({pin.name for pin in group}) == len(group) for group in groups)
    versions = {pin.version for pin in asked if pin.name == "numpy"}
    assert len(versions) > 1  # for different Pythons
    assert "colorama" in {pin.name for pin in asked}  # for another platform
    assert PROBE.name not in {pin.name for pin in asked}


@pytest.mark.parametrize("lock", sorted(ROOT.glob("requirements*.txt")), ids=lambda lock: lock.name)
def test_everything_is_locked_with_its_hashes(lock: Path) -> None:
    entries = lock.read_text().replace("\\\n", " ").splitlines()
    loose = [line for line in entries if line and line[0] != "#" and "--hash=sha256:" not in line]
    assert loose == []
    assert len(pins([lock])) > 10
