"""The page lists what there is, in words that Prometheus takes."""

import re
from pathlib import Path

import pytest

from app.metrics.families import FAMILIES, Family, page

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_page_has_the_table() -> None:
    assert PAGE.read_text() == page(PAGE.read_text()), "run 'make docs'"
    listed = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)
    assert listed == list(FAMILIES)


def test_every_name_that_the_page_speaks_of_is_there() -> None:
    named = set(re.findall(r"\bchainrule_\w+", PAGE.read_text()))
    assert named == FAMILIES.keys()


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_names_say_what_they_count(family: Family) -> None:
    assert re.fullmatch(r"chainrule_[a-z]+(_[a-z]+)*", family.name)
    assert family.name.endswith("_total") == (family.kind == "counter")
    assert family.kind != "histogram" or family.name.endswith(("_seconds", "_bytes"))
    assert len(FAMILIES) == len({each.meaning for each in FAMILIES.values()})
