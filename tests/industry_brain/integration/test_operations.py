"""The operation figures of the real platform, in one process."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from brain_testing.process import PlatformProcess
from industry_brain.apiclient import ApiClient, ApiError
from industry_brain.wiring import SERVICES

from tests.e2e.journey import Journey


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """A platform with an enterprise in it."""
    with PlatformProcess(tmp_path_factory.mktemp("operations") / "home") as process:
        journey = Journey(process.url, process.home)
        journey.add_organisation("firm", "91370300MA3C00001U", "enterprise", "370300")
        yield journey


def test_a_fresh_platform_is_well_and_tells_of_every_service(journey: Journey) -> None:
    """Each service with its parts, process and disk; the object store was written to."""
    whole = journey.operator.get("/api/service-portal/v1/operations")

    assert whole["status"] == "ok", whole["findings"]
    assert sorted(item["service"] for item in whole["services"]) == sorted(SERVICES)
    for item in whole["services"]:
        assert item["ready"]
        assert item["status"]["process"]["memory_bytes"] > 50_000_000
        assert 0 < item["status"]["disk"]["free_bytes"] < item["status"]["disk"]["total_bytes"]
    assert whole["hub"]["objects"]["ok"]
    assert whole["hub"]["objects"]["ms"] > 0
    assert whole["events"]["dead"] == 0


def test_queries_and_routes_are_counted(journey: Journey) -> None:
    """A query that was run stands among the slowest, its route with as many requests as were made."""
    for _ in range(3):
        journey.operator.post("/api/data-hub/v1/queries", {"sql": "SELECT 41 + 1 AS n"})
    with pytest.raises(ApiError):
        journey.operator.post("/api/data-hub/v1/queries", {"sql": "DROP TABLE x"})

    def seen() -> tuple[dict[str, object], list[str]]:
        whole = journey.operator.get("/api/service-portal/v1/operations")
        hub = next(item for item in whole["services"] if item["service"] == "data-hub")
        route = next(
            item for item in hub["status"]["routes"] if (item["method"], item["route"]) == ("POST", "/v1/queries")
        )
        return route, [query["sql"] for query in whole["hub"]["slow_queries"]]

    route, queries = seen()
    assert (route["requests"], route["refused"], route["errors"]) == (4, 1, 0)
    assert route["mean_ms"]
    for _ in range(50):
        if "SELECT 41 + 1 AS n" in queries:
            break
        __import__("time").sleep(0.1)
        route, queries = seen()
    assert "SELECT 41 + 1 AS n" in queries


def test_only_operators_see_it(journey: Journey) -> None:
    """An enterprise is refused, and nobody reaches the internal routes through the gateway."""
    firm = journey.as_("firm")
    with pytest.raises(ApiError) as refused:
        firm.get("/api/service-portal/v1/operations")
    assert refused.value.status == 403
    for path in ("/api/data-hub/internal/operation", "/api/identity/internal/status"):
        with pytest.raises(ApiError) as hidden:
            ApiClient(
                journey.url, json.loads((journey.home / "first-credentials.json").read_text())["operator"]["api_key"]
            ).get(path)
        assert hidden.value.status == 404
