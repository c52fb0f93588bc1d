"""Groups of tenants that lend each other what lies idle of their quotas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database

from compute_scheduler.service.errors import QuotaGroupInUse, QuotaGroupUnknown, QuotaInvalid
from compute_scheduler.store import quota_groups as store

Row = dict[str, Any]
LIMITS = ("quota", "lending_limit", "borrowing_limit")


def put_group(database: Database, principal: Principal, group: str, body: Mapping[str, Any]) -> Row:
    """Makes or replaces a group. Raises QuotaInvalid for negative amounts, an unknown parent or a circle.

    body: title, parent (a group's id or None), quota, lending_limit, borrowing_limit by resource name.
    """
    check_amounts({name: body[name] for name in LIMITS})
    row = {"id": group, "updated_at": utc_now(), **{name: body[name] for name in ("title", "parent", *LIMITS)}}
    with database.transaction() as session:
        parents = {known["id"]: known["parent"] for known in store.lock_all(session)} | {group: body["parent"]}
        _check_parent(group, parents)
        store.save(session, row)
        audit.record(session, principal, action="quota_group.set", object=group, detail=dict(body))
    return shown(row)


def delete_group(database: Database, principal: Principal, group: str) -> None:
    """Removes a group without members. Raises QuotaGroupUnknown, QuotaGroupInUse."""
    with database.transaction() as session:
        if group not in {known["id"] for known in store.lock_all(session)}:
            raise QuotaGroupUnknown(f"没有配额组 {group[:40]}")
        if inside := store.members(session, group):
            named = "、".join(inside[:5])
            raise QuotaGroupInUse(f"配额组 {group} 还有成员 {named}；请先把它们移出", members=inside[:100])
        store.delete(session, group)
        audit.record(session, principal, action="quota_group.remove", object=group)


def list_groups(database: Database) -> list[Row]:
    """Every group."""
    with database.reading() as session:
        return [shown(row) for row in store.all_groups(session)]


def check_amounts(amounts: Mapping[str, Mapping[str, float]]) -> None:
    """Raises QuotaInvalid naming each negative amount."""
    errors = [
        {"field": f"{kind}.{name}", "value": amount, "reason": "不能为负"}
        for kind, of in amounts.items()
        for name, amount in of.items()
        if amount < 0
    ]
    if errors:
        raise QuotaInvalid("配额、借出和借入上限都不能为负", errors=errors)


def shown(row: Row) -> Row:
    """A group as the API gives it."""
    return {
        **{name: row[name] for name in ("id", "title", "parent", *LIMITS)},
        "updated_at": rfc3339(row["updated_at"]),
    }


def _check_parent(group: str, parents: Mapping[str, str | None]) -> None:
    above, way = parents[group], [group]
    while above is not None:
        if above not in parents:
            errors = [{"field": "parent", "value": above, "reason": "没有这个配额组，请先建立"}]
            raise QuotaInvalid(f"没有配额组 {above}", errors=errors)
        if above in way:
            way = [*way, above]
            errors = [{"field": "parent", "value": str(parents[group]), "reason": f"成了一圈：{' → '.join(way)}"}]
            raise QuotaInvalid("配额组不能绕成一圈", errors=errors)
        way.append(above)
        above = parents[above]
