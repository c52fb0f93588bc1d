"""What makes a finding of the operation page, by the bounds written down in `domain.health`."""

from __future__ import annotations

from typing import Any

import pytest
from service_portal.domain.health import findings

WELL_EVENTS = {"lag": [{"service": "identity", "topic": "t", "lag": 0}], "dead": 0}
WELL_HUB: dict[str, Any] = {"backlog": [], "slow_queries": [], "objects": {"ok": True, "ms": 3.0, "detail": None}}


def service(
    name: str = "data-hub", *, free: int = 60 << 30, routes: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """A service that is well, on a disk of 100 GiB."""
    disk = {"path": "/srv", "free_bytes": free, "total_bytes": 100 << 30}
    return {
        "service": name,
        "ready": True,
        "parts": [{"name": "database", "ok": True, "detail": None}],
        "status": {"disk": disk, "routes": routes or []},
    }


def route(requests: int, errors: int) -> dict[str, Any]:
    """A route's counts."""
    return {"method": "GET", "route": "/v1/x", "requests": requests, "errors": errors}


def codes(*arguments: Any) -> list[tuple[str, str, float | None]]:
    """Code, subject and number of each finding."""
    return [(finding.code, finding.subject, finding.value) for finding in findings(*arguments)]


def test_a_well_platform_has_no_finding() -> None:
    """Nothing to do is said by an empty list."""
    assert codes([service()], WELL_HUB, WELL_EVENTS) == []


def test_a_failing_part_and_a_service_that_is_away_are_critical() -> None:
    """A service without status still tells which part fails."""
    away = {"service": "identity", "ready": False, "parts": [{"name": "service", "ok": False}], "status": None}

    found = findings([away], None, WELL_EVENTS)

    assert [(one.code, one.severity, one.subject) for one in found] == [
        ("part_failing", "critical", "identity/service")
    ]


@pytest.mark.parametrize(("free_gib", "expected"), [(11, []), (9, [("disk_low", "a: /srv", 9.0)])])
def test_a_disk_is_low_under_a_tenth(free_gib: int, expected: list[Any]) -> None:
    """Two services on one disk say it once."""
    both = [service("a", free=free_gib << 30), service("b", free=free_gib << 30)]

    assert codes(both, WELL_HUB, WELL_EVENTS) == expected


@pytest.mark.parametrize(
    ("requests", "errors", "is_found"),
    [(100, 4, False), (1000, 20, False), (100, 5, True), (200, 5, True), (250, 5, False)],
)
def test_errors_count_from_five_and_two_percent(requests: int, errors: int, is_found: bool) -> None:
    """5 of 250 are exactly two percent and not over it."""
    found = codes([service(routes=[route(requests, errors)])], WELL_HUB, WELL_EVENTS)

    assert (found == [("route_errors", "data-hub GET /v1/x", errors)]) is is_found


def test_waiting_pushes_slow_objects_and_events_are_found_worst_first() -> None:
    """Critical findings stand before warnings."""
    hub = {
        "backlog": [{"dataset": "a.b", "oldest_s": 61.0}, {"dataset": "a.c", "oldest_s": 59.0}],
        "objects": {"ok": True, "ms": 501.0, "detail": None},
    }
    events = {
        "lag": [{"service": "s", "topic": "t", "lag": 1001}, {"service": "x", "topic": None, "lag": None}],
        "dead": 2,
    }

    assert codes([service()], hub, events) == [
        ("commit_backlog", "a.b", 61.0),
        ("events_unreadable", "x", None),
        ("events_dead", "", 2),
        ("objects_slow", "data-hub", 501.0),
        ("events_lag", "s t", 1001),
    ]
