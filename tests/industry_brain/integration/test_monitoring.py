"""Prometheus rules and Grafana boards against the metrics that the platform really has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from brain_kit.settings import PlatformSettings
from brain_kit.telemetry import exposition
from industry_brain import embedded
from prometheus_client import REGISTRY

DEPLOY = Path(__file__).parents[3] / "deploy"
RULES = yaml.safe_load((DEPLOY / "prometheus/rules.yml").read_text(encoding="utf-8"))
BOARDS = sorted((DEPLOY / "grafana/dashboards").glob("*.json"))
# Prometheus makes it itself, for each target.
OF_PROMETHEUS = {"up": {"job", "instance"}}
TYPE_LINE = re.compile(r"^# TYPE (\S+) (\S+)$", re.MULTILINE)
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count"), "counter": ("",), "gauge": ("",)}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.Embedded]:
    """The platform with all of its services, in this process."""
    platform = embedded.build(PlatformSettings(home=tmp_path_factory.mktemp("metrics") / "home"))
    yield platform
    platform.platform.close()


@pytest.fixture(scope="module")
def series(built: embedded.Embedded) -> set[str]:
    """Names of all time series of all services."""
    registries = [runtime.app.state.metrics.registry for runtime in built.runtimes.values()]
    text = exposition(*registries, REGISTRY)[0].decode()
    return {name + suffix for name, kind in TYPE_LINE.findall(text) for suffix in SUFFIXES.get(kind, ("",))}


def expressions() -> Iterator[tuple[str, str]]:
    """Every PromQL expression with where it stands."""
    for group in RULES["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    for path in BOARDS:
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            for target in panel["targets"]:
                yield f"{path.stem}: {panel['title']}", target["expr"].replace("$__rate_interval", "5m")


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_every_expression_is_promql_over_metrics_that_exist(where: str, expression: str, series: set[str]) -> None:
    """A renamed metric would leave an alert silent for ever."""
    promql_parser.parse(expression)
    bare = re.sub(r'"[^"]*"', "", expression)
    named = set(re.findall(r"\b(?:brain|process)_[a-z_]+\b", bare)) | set(re.findall(r"\bup\b", bare))

    assert named, where
    assert named <= series | OF_PROMETHEUS.keys()


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    """Severity, a sentence, an action."""
    for group in RULES["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("warning", "critical")
            assert rule["annotations"].keys() == {"summary", "action"}


def test_boards_are_told_apart_and_their_panels_do_not_overlap() -> None:
    """Grafana finds a board by its uid; two panels on one place hide each other."""
    boards = [json.loads(path.read_text(encoding="utf-8")) for path in BOARDS]

    assert len({board["uid"] for board in boards}) == len(boards) >= 2
    for board in boards:
        taken: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            at: dict[str, Any] = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            assert not taken & cells, panel["title"]
            taken |= cells


def test_the_chart_carries_the_same_rules_and_boards() -> None:
    """They are links, so that there is one of each."""
    inside = {path.name: path.resolve() for path in (DEPLOY / "helm/industry-brain/monitoring").iterdir()}

    assert inside == {path.name: path.resolve() for path in [DEPLOY / "prometheus/rules.yml", *BOARDS]}
