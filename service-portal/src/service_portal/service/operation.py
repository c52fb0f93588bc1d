"""How the whole platform is: readiness of every service, events and their lag."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from brain_kit.clock import rfc3339, utc_now
from brain_kit.problems import NotFound, Problem
from brain_kit.service import Platform

from service_portal.domain.health import findings

SLOWEST_ROUTES = 15


def overview(platform: Platform) -> dict[str, Any]:
    """The whole platform on one page: well or not and why, services, events, backlog, object store, routes.

    JSON members: at, status (ok, attention), findings, services, events, hub (None when it is away), errors and slowest
    (routes of all services since their start).
    """
    names = platform.known_services()
    with ThreadPoolExecutor(max_workers=len(names) + 2) as pool:
        lag = pool.submit(event_lag, platform)
        dead = pool.submit(dead_letters, platform)
        hub = pool.submit(_hub, platform)
        services = list(pool.map(lambda name: _service(platform, name), names))
    events = {
        "lag": lag.result()["items"],
        "dead": sum(item.get("state", "dead") == "dead" for item in dead.result()["items"]),
    }
    found = findings(services, hub.result(), events)
    routes = [
        route | {"service": item["service"]}
        for item in services
        if item["status"]
        for route in item["status"]["routes"]
    ]
    return {
        "at": rfc3339(utc_now()),
        "status": "attention" if found else "ok",
        "findings": [finding.shown() for finding in found],
        "services": services,
        "events": events,
        "hub": hub.result(),
        "errors": sorted((r for r in routes if r["errors"]), key=lambda r: -r["errors"])[:SLOWEST_ROUTES],
        "slowest": sorted(routes, key=lambda r: -(r["mean_ms"] or 0))[:SLOWEST_ROUTES],
    }


def _service(platform: Platform, name: str) -> dict[str, Any]:
    client = platform.client(name)
    try:
        ready = client.request("GET", "/readyz", token="", timeout_s=5, raise_errors=False).json()
        status = client.request("GET", "/internal/status", timeout_s=5).json()
    except Problem as problem:
        parts = [{"name": "service", "ok": False, "detail": problem.detail}]
        return {"service": name, "ready": False, "parts": parts, "status": None}
    return {"service": name, "ready": ready["status"] == "ok", "parts": ready["parts"], "status": status}


def _hub(platform: Platform) -> dict[str, Any] | None:
    try:
        body: dict[str, Any] = platform.client("data-hub").request("GET", "/internal/operation", timeout_s=10).json()
    except Problem:
        return None
    return body


def readiness(platform: Platform) -> dict[str, Any]:
    """{status, parts} over all services; a part is named `<service>/<part>`."""
    names = platform.known_services()

    def ask(name: str) -> list[dict[str, Any]]:
        try:
            reply = platform.client(name).request("GET", "/readyz", token="", timeout_s=5, raise_errors=False)
            body = reply.json()
            return [part | {"name": f"{name}/{part['name']}"} for part in body["parts"]]
        except Problem as problem:
            return [{"name": name, "ok": False, "detail": problem.detail}]

    with ThreadPoolExecutor(max_workers=len(names) or 1) as pool:
        parts = [part for found in pool.map(ask, names) for part in found]
    ready = all(part["ok"] for part in parts)
    return {"status": "ok" if ready else "unavailable", "parts": parts}


def event_lag(platform: Platform) -> dict[str, Any]:
    """Waiting events by service, group and topic; a service that is away shows its problem instead."""
    items: list[dict[str, Any]] = []
    for name in platform.known_services():
        try:
            groups = platform.client(name).request("GET", "/internal/events", timeout_s=10).json()["items"]
        except NotFound:
            continue
        except Problem as problem:
            items.append({"service": name, "group": None, "topic": None, "lag": None, "problem": problem.detail})
            continue
        for group in groups:
            items += [
                {"service": name, "group": group["group"], "topic": topic, "lag": lag}
                for topic, lag in (group.get("lag") or {}).items()
            ]
    return {"items": items, "next": None}


def dead_letters(platform: Platform) -> dict[str, Any]:
    """Dead letters of every service."""
    items: list[dict[str, Any]] = []
    for name in platform.known_services():
        try:
            found = platform.client(name).request("GET", "/internal/events/dead", timeout_s=10).json()["items"]
        except Problem:
            continue
        items += [item | {"service": name} for item in found]
    return {"items": items, "next": None}


def replay(platform: Platform, service: str, dead_id: str) -> Any:
    """Queues a dead letter to be handled again. Raises NotFound."""
    if service not in platform.known_services():
        raise NotFound(f"没有服务 {service}")
    return platform.client(service).request("POST", f"/internal/events/dead/{dead_id}/replay").json()
