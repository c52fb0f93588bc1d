"""Checks of a running platform over its own API."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import urllib3

from industry_brain.apiclient import ApiClient, ApiError, PlatformUnreachable
from industry_brain.doctor.finding import Finding, fine, wrong

# A token lives for minutes; services accept half a minute of difference.
CLOCK_SKEW_S = 10.0
LAG_EVENTS = 1000
ADVICE = {
    "database": "检查数据库服务和 BRAIN_DATABASE_URL look at the database server",
    "objects": "检查对象存储、磁盘空间和 BRAIN_OBJECTS_URL look at the object store and its disk",
    "events": "检查 Kafka 和 BRAIN_EVENTS_URL look at the broker",
}


def is_answering(url: str) -> bool:
    """Whether the platform, and not another program, answers at the URL."""
    with ApiClient(url, timeout_s=5) as api:
        try:
            return isinstance(api.get("/healthz"), dict)
        except (PlatformUnreachable, ApiError, ValueError):
            return False


def platform_findings(url: str, key: str | None) -> Iterator[Finding]:
    """Every part of /readyz, the clock, and with an operator's key the events: lag, outbox, dead letters."""
    with ApiClient(url, timeout_s=10) as api:
        try:
            body: dict[str, Any] = api.get("/readyz")
        except ApiError as error:
            body = error.problem
        for part in body.get("parts", []):
            yield _part(part)
    yield _clock(url)
    if key:
        yield from _events(url, key)
    else:
        yield fine("events", "未查：没有运营方密钥 not looked at: no operator's key (--key or --home)")


def _part(part: dict[str, Any]) -> Finding:
    name = str(part["name"])
    if part["ok"]:
        return fine(name, "ok")
    kind = next(
        (advice for word, advice in ADVICE.items() if word in name), "看该服务的日志 read the log of this service"
    )
    return wrong(name, str(part.get("detail")), kind)


def _clock(url: str) -> Finding:
    response = urllib3.request("GET", f"{url.rstrip('/')}/healthz", timeout=5.0, retries=False)
    header = response.headers.get("date")
    if header is None:
        return fine("platform clock", "没有 Date 头 no Date header")
    skew_s = parsedate_to_datetime(header).timestamp() - time.time()
    if abs(skew_s) <= CLOCK_SKEW_S:
        return fine("platform clock", f"{skew_s:+.0f} s")
    return wrong(
        "platform clock", f"{skew_s:+.0f} s", "两台机器都校时 set both clocks by NTP: timedatectl set-ntp true"
    )


def _events(url: str, key: str) -> Iterator[Finding]:
    with ApiClient(url, key, timeout_s=15) as api:
        try:
            waiting: list[dict[str, Any]] = api.get("/api/service-portal/v1/events/lag")["items"]
            dead: list[dict[str, Any]] = api.get("/api/service-portal/v1/events/dead")["items"]
        except (ApiError, PlatformUnreachable) as error:
            yield wrong("events", str(error), "用运营方的密钥 use an operator's key: --key")
            return
    for service in sorted({str(item["service"]) for item in waiting}):
        yield _lag(service, [item for item in waiting if item["service"] == service])
    left = [item for item in dead if item.get("state", "dead") == "dead"]
    if left:
        advice = "brain events dead，修好原因后 mend the cause, then brain events replay SERVICE ID"
        yield wrong("dead letters", f"{len(left)} 个事件未能处理 events failed for good", advice)
    else:
        yield fine("dead letters", "0")


def _lag(service: str, items: list[dict[str, Any]]) -> Finding:
    check = f"events {service}"
    problem = next((item["problem"] for item in items if item["lag"] is None), None)
    if problem is not None:
        return wrong(check, str(problem), ADVICE["events"])
    total = sum(int(item["lag"]) for item in items)
    if total > LAG_EVENTS:
        worst = max(items, key=lambda item: int(item["lag"]))["topic"]
        advice = "消费者是否在运行？看它的日志 does the consumer run? read its log; brain events lag"
        return wrong(check, f"{total} 个事件未处理 events wait, most of {worst}", advice)
    return fine(check, f"lag {total}")
