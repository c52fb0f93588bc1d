"""Quotas of tenants, and the account of what they used."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from brain_kit.problems import NotFound

from compute_scheduler.service import admission, quota_groups
from compute_scheduler.service.errors import NoQuota, QuotaInvalid
from compute_scheduler.service.moves import demand_of
from compute_scheduler.service.tenancy import Actor
from compute_scheduler.settings import Settings
from compute_scheduler.store import accounts, holders
from compute_scheduler.store import jobs as store
from compute_scheduler.store import quota_groups as groups

Row = dict[str, Any]
COLUMNS = (
    "attempt", "job", "org", "centre", "node", "outcome", "started_at", "ended_at", "wall_s", "core_s", "memory_mb_s",
    "accelerator_s", "cpu_s",
)  # fmt: skip
PAGE = 1000


def set_quota(database: Database, settings: Settings, principal: Principal, org: str, body: Mapping[str, Any]) -> Row:
    """Sets what a tenant may hold at one time, by resource name. Raises QuotaInvalid.

    body: quota, weight, group (that it borrows from and lends to, or None), lending_limit, borrowing_limit.
    """
    quota, group = body["quota"], body["group"]
    wrong = [name for name, amount in quota.items() if amount < 0]
    if wrong or not {"cores", "memory_mb"} <= quota.keys():
        errors = [{"field": f"quota.{name}", "reason": "不能为负"} for name in wrong]
        missing = sorted({"cores", "memory_mb"} - quota.keys())
        errors += [{"field": f"quota.{name}", "reason": "缺少该字段"} for name in missing]
        raise QuotaInvalid("配额需要 cores 和 memory_mb，加速卡按型号给出，均不为负", errors=errors)
    limits = {name: body[name] for name in ("lending_limit", "borrowing_limit")}
    quota_groups.check_amounts(limits)
    with database.transaction() as session:
        if group is not None and group not in {known["id"] for known in groups.lock_all(session)}:
            errors = [{"field": "group", "value": group, "reason": "没有这个配额组，请先建立"}]
            raise QuotaInvalid(f"没有配额组 {group}", errors=errors)
        accounts.save_tenant(
            session, org, utc_now(), quota=dict(quota), weight=body["weight"], quota_group=group, **limits
        )
        audit.record(session, principal, action="quota.set", object=org, detail=dict(body))
    return get_quota(database, settings, Actor(principal), org)


def remove_quota(database: Database, principal: Principal, org: str) -> None:
    """Takes a tenant's own quota away; what the settings say holds again. Raises NotFound."""
    with database.transaction() as session:
        tenant = accounts.tenant(session, org, lock=True)
        if tenant is None or tenant["quota"] is None:
            raise NotFound(f"机构 {org[:40]} 没有单独的配额")
        nothing = {"quota_group": None, "lending_limit": None, "borrowing_limit": None}
        accounts.save_tenant(session, org, utc_now(), quota=None, **nothing)
        audit.record(session, principal, action="quota.remove", object=org)


def get_quota(database: Database, settings: Settings, actor: Actor, org: str) -> Row:
    """A tenant's quota, what it holds now and what it used. Raises NotFound for other tenants, NoQuota."""
    if not actor.may_see(org):
        raise NotFound(f"没有机构 {org[:40]} 的配额")
    with database.reading() as session:
        tenant = accounts.tenant(session, org)
        held = [spec for attempt, spec in holders.holding(session) if attempt["org"] == org]
        queued = store.queued_of(session, org)
    own = tenant["quota"] if tenant else None
    is_public = org == actor.org and actor.principal.org_kind in ("operator", "department")
    if own is None and not is_public:
        raise NoQuota(f"机构 {org} 没有算力配额，请联系平台运营方", org=org)
    amounts: dict[str, float] = {}
    for spec in held:
        for name, amount in demand_of(spec).amounts().items():
            amounts[name] = amounts.get(name, 0.0) + amount
    return {
        "org": org,
        "quota": own if own is not None else admission.default_quota(settings),
        "is_default": own is None,
        "weight": tenant["weight"] if tenant else 1.0,
        **_lending(tenant),
        "held": amounts,
        "queued": queued,
        "decayed_usage_s": tenant["usage"] if tenant else {},
    }


def list_quotas(database: Database) -> list[Row]:
    """Every tenant with a quota or usage."""
    with database.reading() as session:
        rows = accounts.all_tenants(session)
    return [
        {
            "org": row["org"],
            "quota": row["quota"],
            "is_default": row["quota"] is None,
            "weight": row["weight"],
            **_lending(row),
            "decayed_usage_s": row["usage"],
            "updated_at": rfc3339(row["updated_at"]),
        }
        for row in rows
    ]


def _lending(tenant: Row | None) -> Row:
    """The group that a tenant borrows from and lends to, and how much at most."""
    if tenant is None or tenant["quota_group"] is None:
        return {"group": None, "lending_limit": {}, "borrowing_limit": {}}
    limits = {name: tenant[name] or {} for name in ("lending_limit", "borrowing_limit")}
    return {"group": tenant["quota_group"], **limits}


def accounting(database: Database, actor: Actor, filters: Mapping[str, Any], *, after: str, limit: int) -> Row:
    """A page of accounting records, in the order in which they were written."""
    rows = _segments(database, actor, filters, int(after or 0), limit + 1)
    more = len(rows) > limit
    return {"items": [_shown(row) for row in rows[:limit]], "next": str(rows[limit - 1]["id"]) if more else None}


def accounting_csv(database: Database, actor: Actor, filters: Mapping[str, Any]) -> Iterator[bytes]:
    """All records as CSV in UTF-8 with a mark, which spreadsheets need to read Chinese right."""
    yield "\ufeff".encode() + (",".join(COLUMNS) + "\r\n").encode()
    after = 0
    while rows := _segments(database, actor, filters, after, PAGE):
        after = rows[-1]["id"]
        text = io.StringIO()
        writer = csv.writer(text)
        for row in map(_shown, rows):
            kinds = ";".join(f"{kind}={amount:g}" for kind, amount in row["accelerator_s"].items())
            writer.writerow(
                [*(row[name] for name in COLUMNS if name not in ("accelerator_s", "cpu_s")), kinds, row["cpu_s"]]
            )
        yield text.getvalue().encode()


def _segments(database: Database, actor: Actor, filters: Mapping[str, Any], after: int, limit: int) -> list[Row]:
    scope = actor.scope
    since: datetime | None = filters.get("since")
    until: datetime | None = filters.get("until")
    with database.reading() as session:
        return accounts.page_of_segments(
            session,
            org=scope if scope is not None else filters.get("org"),
            centre=filters.get("centre"),
            since=since,
            until=until,
            after=after,
            limit=limit,
        )


def _shown(row: Row) -> Row:
    times = {name: rfc3339(row[name]) for name in ("started_at", "ended_at")}
    numbers = {name: round(row[name], 3) for name in ("wall_s", "core_s", "memory_mb_s", "cpu_s")}
    return {name: row[name] for name in COLUMNS} | times | numbers
