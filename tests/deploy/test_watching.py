"""The dashboard and the alerts ask for what there is: queries are PromQL, and know their names and labels."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import ProcessCollector

from app.metrics.families import FAMILIES
from app.metrics.samples import CAUSES, OUTCOMES
from app.metrics.service import REASONS
from app.metrics.standing import OPEN_STATES
from tests.support.operations import least_roles

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "deploy" / "grafana.json").read_text())
ALERTS = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text())["groups"]
PANELS = [each for each in DASHBOARD["panels"] if each["type"] != "row"]
RULES = [rule for group in ALERTS for rule in group["rules"]]
OF_PROMETHEUS = {"job", "instance"}
VARIABLES = {"$__rate_interval": "5m", "$instance": ".*"}


def served() -> dict[str, set[str]]:
    """The labels of each series that there can be."""
    found: dict[str, set[str]] = {"up": OF_PROMETHEUS}
    for family in FAMILIES.values():
        labels = OF_PROMETHEUS | set(family.labels)
        if family.kind == "histogram":
            found |= {f"{family.name}_sum": labels, f"{family.name}_count": labels}
            found[f"{family.name}_bucket"] = labels | {"le"}
        else:
            found[family.name] = labels
    for metric in ProcessCollector(registry=None).collect():
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        found[name] = OF_PROMETHEUS
    return found


SERVED = served()
TOLD = {
    "status": {*(str(status) for status in range(100, 600)), "none", *OPEN_STATES},
    "state": {"active", "draining", "busy", "idle"},
    "reason": set(REASONS),
    "outcome": {*OUTCOMES, "read", "refused"},
    "cause": set(CAUSES),
    "kind": {"away", "full", "other", "sqlite", "postgres"},
}
"""By label, what it may say."""


def queries() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in PANELS:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for each in DASHBOARD["annotations"]["list"]:
        yield each["name"], each["expr"]


QUERIES = dict(queries())


def parsed(query: str) -> Any:
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    return promql_parser.parse(query)


def selected(query: str) -> list[tuple[Any, str]]:
    """Each selector, and the innermost aggregation around it; empty where there is none."""
    found: list[tuple[Any, str]] = []
    around: list[str] = []

    def enter(node: Any) -> None:
        if isinstance(node, promql_parser.AggregateExpr):
            around.append(str(node.op).lower())
        elif isinstance(node, promql_parser.VectorSelector):
            found.append((node, around[-1] if around else ""))

    def leave(node: Any) -> None:
        if isinstance(node, promql_parser.AggregateExpr):
            around.pop()

    assert promql_parser.walk(parsed(query), enter, leave)
    return found


def groups(query: str) -> Iterator[str]:
    """The labels that it groups by."""
    found: list[str] = []

    def enter(node: Any) -> None:
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            found.extend(node.modifier.labels)

    promql_parser.walk(parsed(query), enter)
    yield from found


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_knows_its_names_and_labels(name: str) -> None:
    found = selected(QUERIES[name])
    assert found
    assert {each.name for each, _ in found} <= SERVED.keys()
    labels = set.union(*(SERVED[each.name] for each, _ in found))
    assert set(groups(QUERIES[name])) <= labels
    for each, _ in found:
        for matcher in each.matchers.matchers:
            assert matcher.name in SERVED[each.name]
            if matcher.name in TOLD:
                says = matcher.value if "Re" in str(matcher.op) else re.escape(matcher.value)
                assert any(re.fullmatch(says, value) for value in TOLD[matcher.name]), str(matcher)


@pytest.mark.parametrize("name", QUERIES)
def test_what_every_process_tells_alike_is_not_added_up(name: str) -> None:
    for each, around in selected(QUERIES[name]):
        family = FAMILIES.get(each.name)
        if family is not None and family.scope == "database":
            assert around in ("max", "min"), f"{each.name}: {around}"


def test_routes_that_are_asked_for_are_there() -> None:
    named = {route for query in QUERIES.values() for route in re.findall(r'route="([^"]*)"', query)}
    assert named == {"/v1/models/{model_id}/predict"}
    assert named <= {operation.split()[1] for operation in least_roles()}


@pytest.mark.parametrize(
    "broken", ["sum(rate(chainrule_jobs[5m])", "chainrule_no_such_thing", "max(up{x='1'})"]
)
def test_a_query_that_is_wrong_is_found(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(QUERIES, "broken", broken)
    with pytest.raises((ValueError, AssertionError)):
        test_a_query_knows_its_names_and_labels("broken")


def test_alerts_say_what_is_wrong_and_what_to_do() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(names) == len(set(names))
    assert {"ChainruleQueueStuck", "ChainruleNoWorkers", "ChainruleDiskLow", "ChainruleServerErrors"} <= set(
        names
    )
    for rule in RULES:
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"].keys() == {"summary", "description"}
        assert re.fullmatch(r"\d+[mh]", rule.get("for", "0m"))
        around = {each for _, each in selected(rule["expr"])}
        grouped = OF_PROMETHEUS if around == {""} else set(groups(rule["expr"]))
        assert set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))) <= grouped


def test_every_panel_says_what_to_watch_for_and_has_its_place() -> None:
    taken: set[tuple[int, int]] = set()
    assert len({each["id"] for each in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
    for panel in PANELS:
        assert panel["description"]
        for target in panel["targets"]:
            legend = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            grouped = set(groups(target["expr"])) or OF_PROMETHEUS
            assert legend <= grouped, panel["title"]


def test_most_of_what_is_told_is_on_the_dashboard() -> None:
    asked = {each.name for query in QUERIES.values() for each, _ in selected(query)}
    left = {name for name in FAMILIES if not any(each.startswith(name) for each in asked)}
    assert left <= {"chainrule_info"}
