"""What an operator has to look at, from the figures of the platform: findings ordered by how bad they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["critical", "warning"]

# This product's choice of bounds, the same as in deploy/prometheus/rules.yml where a rule has one.
DISK_FREE_SHARE = 0.10
DISK_FREE_BYTES = 2 << 30
ERROR_SHARE = 0.02
ERRORS_AT_LEAST = 5
BACKLOG_OLDEST_S = 60.0
LAG_EVENTS = 1000
OBJECTS_SLOW_MS = 500.0


@dataclass(frozen=True)
class Finding:
    """One thing to look at: a stable code, what it is about, the number behind it, where to go on."""

    code: str
    severity: Severity
    subject: str
    value: float | None
    href: str

    def shown(self) -> dict[str, Any]:
        """JSON members."""
        return {
            "code": self.code,
            "severity": self.severity,
            "subject": self.subject,
            "value": self.value,
            "href": self.href,
        }


def findings(services: Sequence[dict[str, Any]], hub: dict[str, Any] | None, events: dict[str, Any]) -> list[Finding]:
    """Everything that is not well, critical things first, then in the order of services.

    services: items {service, ready, parts, status}. hub: the data hub's backlog and objects, None when it is away.
    events: {lag: [{service, topic, lag}], dead: number}.
    """
    found = [*_services(services), *_hub(hub), *_events(events)]
    return sorted(found, key=lambda finding: finding.severity != "critical")


def _services(services: Sequence[dict[str, Any]]) -> Iterator[Finding]:
    disks: set[str] = set()
    for item in services:
        name = item["service"]
        for part in item["parts"]:
            if not part["ok"]:
                yield Finding("part_failing", "critical", f"{name}/{part['name']}", None, "#services")
        status = item.get("status")
        if status is None:
            continue
        disk = status["disk"]
        share = disk["free_bytes"] / disk["total_bytes"] if disk["total_bytes"] else 0.0
        # Services on one disk would say the same thing many times.
        if disk["path"] not in disks and (share < DISK_FREE_SHARE or disk["free_bytes"] < DISK_FREE_BYTES):
            yield Finding("disk_low", "critical", f"{name}: {disk['path']}", round(share * 100, 1), "#disk")
        disks.add(disk["path"])
        yield from _routes(name, status["routes"])


def _routes(service: str, routes: Sequence[dict[str, Any]]) -> Iterator[Finding]:
    for route in routes:
        if route["errors"] >= ERRORS_AT_LEAST and route["errors"] / route["requests"] > ERROR_SHARE:
            subject = f"{service} {route['method']} {route['route']}"
            yield Finding("route_errors", "critical", subject, route["errors"], "#errors")


def _hub(hub: dict[str, Any] | None) -> Iterator[Finding]:
    if hub is None:
        return
    for item in hub["backlog"]:
        if (item["oldest_s"] or 0) > BACKLOG_OLDEST_S:
            yield Finding("commit_backlog", "critical", item["dataset"], item["oldest_s"], "#backlog")
    objects = hub["objects"]
    if objects["ok"] and objects["ms"] > OBJECTS_SLOW_MS:
        yield Finding("objects_slow", "warning", "data-hub", objects["ms"], "#disk")


def _events(events: dict[str, Any]) -> Iterator[Finding]:
    for item in events["lag"]:
        if item["lag"] is None:
            yield Finding("events_unreadable", "critical", item["service"], None, "/events")
        elif item["lag"] > LAG_EVENTS:
            yield Finding("events_lag", "warning", f"{item['service']} {item['topic']}", item["lag"], "/events")
    if events["dead"]:
        yield Finding("events_dead", "critical", "", events["dead"], "/events")
