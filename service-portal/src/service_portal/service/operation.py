"""How the whole platform is: readiness of every service, events and their lag."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from brain_kit.problems import NotFound, Problem
from brain_kit.service import Platform


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
