"""The components that come with the platform: published at the first start, their golden values reproduced."""

from __future__ import annotations

import time
from typing import Any

import pytest
from algorithm_dev.domain.card import parse_card
from algorithm_dev.domain.golden import compare_golden

from tests.algorithm_dev.conftest import People
from tests.algorithm_dev.lab import Lab

NAMES = ["carbon-accounting", "demand-forecast", "energy-anomaly", "energy-baseline", "oee", "spc-xbar-r"]


@pytest.fixture
def shipped(small: Lab, few: People) -> list[dict[str, Any]]:
    """The platform's components, once the start has published them."""
    deadline = time.monotonic() + 30
    while True:
        found = small.json("GET", "/components", few.neighbour, params={"owner": "platform"})["items"]
        if len(found) >= len(NAMES):
            return list(found)
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_first_start_publishes_six_components(shipped: list[dict[str, Any]]) -> None:
    """Marked as the platform's, each with a licence and its golden vectors."""
    assert [item["name"] for item in shipped] == NAMES
    assert {item["state"] for item in shipped} == {"published"}
    assert all(item["is_platform"] and item["licence"] for item in shipped)


@pytest.mark.parametrize("name", NAMES)
def test_calls_reproduce_the_golden_values(small: Lab, few: People, shipped: list[dict[str, Any]], name: str) -> None:
    """Through the API, as a caller sees them; onnx in this process, sql in a sandbox."""
    version = next(item["version"] for item in shipped if item["name"] == name)
    card = parse_card(small.json("GET", f"/components/{name}/versions/{version}", few.neighbour)["card"])
    for vector in card.golden:
        body = {"inputs": vector.inputs, "parameters": vector.parameters}
        path = f"/components/{name}/versions/{version}/invocations"
        answer = small.json("POST", path, few.neighbour, json=body, timeout_s=60)
        assert [item.told for item in compare_golden(vector, answer["outputs"])] == []


def test_a_second_start_changes_nothing(small: Lab, shipped: list[dict[str, Any]]) -> None:
    """Nor does it load what is there."""
    from algorithm_dev.service.seeding import register_shipped

    assert register_shipped(small.database, small.runtime.extras["artefacts"]) == []
