"""How centres were used, and how evenly: core hours by day, each tenant's part, Jain's index of shares."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from brain_kit.clock import CHINA, utc_now
from brain_kit.database import Database

from compute_scheduler.domain.evenness import jain_index, spread
from compute_scheduler.service.tenancy import Actor
from compute_scheduler.store import accounts, centres

Row = dict[str, Any]


def read_utilisation(database: Database, actor: Actor, days: int) -> Row:
    """Core hours of the last days (of China's calendar, today's so far), by centre and day, and by tenant.

    Capacity is what the centre's nodes offer now: what they offered then is not kept. Tenants see their own hours and
    the sum over all; who the others are stays hidden. Work of attempts that have not ended is not counted yet.
    """
    now = utc_now()
    today = now.astimezone(CHINA).replace(hour=0, minute=0, second=0, microsecond=0)
    starts = [today - timedelta(days=back) for back in range(days - 1, -1, -1)]
    with database.reading() as session:
        rows = list(accounts.core_seconds_since(session, starts[0]))
        capacity: dict[str, float] = {row["id"]: 0.0 for row in centres.all_centres(session)}
        titles = {row["id"]: row["title"] for row in centres.all_centres(session)}
        for node in centres.all_nodes(session):
            capacity[node["centre"]] += node["cores"] if node["state"] != "down" else 0.0
        weights = {row["org"]: row["weight"] for row in accounts.all_tenants(session)}
    by_day = {centre: [0.0] * days for centre in capacity}
    by_tenant: dict[str, float] = {}
    by_pair: dict[tuple[str, str], float] = {}
    for row in rows:
        parts = spread(row["started_at"], row["ended_at"], row["core_s"], starts, now)
        series = by_day.setdefault(row["centre"], [0.0] * days)
        for day, core_s in parts:
            series[day] += core_s / 3600
            by_tenant[row["org"]] = by_tenant.get(row["org"], 0.0) + core_s / 3600
            pair = (row["org"], row["centre"])
            by_pair[pair] = by_pair.get(pair, 0.0) + core_s / 3600
    elapsed = [(min(start + timedelta(days=1), now) - start).total_seconds() / 3600 for start in starts]
    return {
        "days": [start.strftime("%Y-%m-%d") for start in starts],
        "centres": [
            _centre(centre, titles.get(centre, centre), by_day[centre], capacity.get(centre, 0.0), elapsed)
            for centre in sorted(by_day)
        ],
        "flows": [
            {"org": org, "centre": centre, "core_hours": round(hours, 6)}
            for (org, centre), hours in sorted(by_pair.items(), key=lambda item: (-item[1], item[0]))
            if actor.may_see(org)
        ],
        **_fairness(by_tenant, weights, actor),
    }


def _centre(centre: str, title: str, hours: list[float], cores: float, elapsed: list[float]) -> Row:
    offered = cores * sum(elapsed)
    return {
        "centre": centre,
        "title": title,
        "cores": cores,
        "core_hours": [round(value, 6) for value in hours],
        "utilisation_pct": [
            round(100 * value / (cores * length), 3) if cores and length else None
            for value, length in zip(hours, elapsed, strict=True)
        ],
        "mean_pct": round(100 * sum(hours) / offered, 3) if offered else None,
    }


def _fairness(by_tenant: dict[str, float], weights: dict[str, float], actor: Actor) -> Row:
    total = sum(by_tenant.values())
    tenants = [
        {
            "org": org,
            "weight": weights.get(org, 1.0),
            "core_hours": round(hours, 6),
            "share_pct": round(100 * hours / total, 3) if total else None,
        }
        for org, hours in sorted(by_tenant.items(), key=lambda pair: (-pair[1], pair[0]))
        if actor.may_see(org)
    ]
    shares = [hours / weights.get(org, 1.0) for org, hours in by_tenant.items()]
    index = jain_index(shares)
    return {
        "tenants": tenants,
        "tenants_in_all": len(by_tenant),
        "core_hours": round(total, 6),
        "jain_index": None if index is None else round(index, 4),
    }
