"""The data network as people and agents see and set it: windows of links, replicas, data rules, quotes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from brain_contracts.codes import CodeInvalid, check_region
from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from brain_kit.ids import new_id
from sqlalchemy.orm import Session

from compute_scheduler.clients import DatasetFacts, DatasetRights
from compute_scheduler.domain.data import permits
from compute_scheduler.domain.network import ends_of
from compute_scheduler.service import centres as centre_service
from compute_scheduler.service import data
from compute_scheduler.service.errors import (
    DatasetNotReadable,
    LinkUnknown,
    NetworkInvalid,
    ReplicaUnknown,
    RuleNotPermitted,
    RuleUnknown,
    WindowUnknown,
)
from compute_scheduler.service.known import known_centre
from compute_scheduler.service.tenancy import Actor
from compute_scheduler.settings import Settings
from compute_scheduler.store import centres as centre_store
from compute_scheduler.store import inventory as inventory_store
from compute_scheduler.store import network as store

Row = dict[str, Any]


def add_window(database: Database, principal: Principal, one: str, other: str, body: Mapping[str, Any]) -> Row:
    """Lets a link carry less between two moments. Raises LinkUnknown, NetworkInvalid.

    body: start_at, end_at, gbit_s, note.
    """
    now, ends = utc_now(), ends_of(one, other)
    with database.transaction() as session:
        link = next((row for row in inventory_store.all_links(session) if (row["one"], row["other"]) == ends), None)
        if link is None:
            raise LinkUnknown(f"{one[:40]} 与 {other[:40]} 之间没有链路，请先登记链路")
        errors = _window_errors(body, link["capacity_gbit_s"], now)
        if errors:
            raise NetworkInvalid("维护时段无法使用；每处问题见 errors", errors=errors)
        made = {"id": new_id("win"), "one": ends[0], "other": ends[1], "created_by": principal.subject}
        row = {**body, **made, "created_at": now}
        store.insert_window(session, row)
        detail = {"window": row["id"], "gbit_s": body["gbit_s"], "start_at": rfc3339(body["start_at"])}
        audit.record(session, principal, action="link.window", object="/".join(ends), detail=detail)
    return window_shown(row)


def remove_window(database: Database, principal: Principal, one: str, other: str, window: str) -> None:
    """Takes a window back. Raises WindowUnknown."""
    ends = ends_of(one, other)
    with database.transaction() as session:
        if not store.remove_window(session, *ends, window):
            raise WindowUnknown(f"链路 {ends[0]}/{ends[1]} 没有维护时段 {window[:40]}")
        audit.record(session, principal, action="link.window_remove", object="/".join(ends), detail={"window": window})


def window_shown(row: Row) -> Row:
    """A window as the API gives it."""
    return {
        "id": row["id"],
        "start_at": rfc3339(row["start_at"]),
        "end_at": rfc3339(row["end_at"]),
        "gbit_s": row["gbit_s"],
        "note": row["note"],
    }


def put_replica(database: Database, principal: Principal, key: Mapping[str, str], body: Mapping[str, Any]) -> Row:
    """Registers a copy of a version at a centre, or sets its state. Raises CentreUnknown, NotYourCentre.

    key: dataset, version, centre, view. body: bytes, sha256, state, note.
    """
    if not principal.is_operator:
        centre_service.check_agent(database, principal, key["centre"])
    row = {**key, **body, "updated_by": principal.subject, "updated_at": utc_now()}
    with database.transaction() as session:
        known_centre(session, key["centre"])
        store.save_replica(session, row)
        audit.record(session, principal, action="replica.set", object=_name(key), detail=dict(body))
        known = store.replica(session, row)
    return _replica_shown(known or row)


def list_replicas(database: Database, filters: Mapping[str, str], after: str, limit: int) -> Row:
    """A page of replicas by data set, version, centre and view. Raises NetworkInvalid for an `after` that is none."""
    place = tuple(after.split("@")) if after else ()
    if place and len(place) != len(store.REPLICA_KEY):
        raise NetworkInvalid("after 应是上一页的 next", errors=[{"field": "after", "in": "query", "value": after[:60]}])
    with database.reading() as session:
        found = store.page_of_replicas(session, **filters, after=place, limit=limit + 1)
    items = [_replica_shown(row) for row in found[:limit]]
    return {"items": items, "next": _name(items[-1]) if len(found) > limit else None}


def remove_replica(database: Database, principal: Principal, key: Mapping[str, str]) -> None:
    """Forgets a copy. Raises ReplicaUnknown, NotYourCentre."""
    if not principal.is_operator:
        centre_service.check_agent(database, principal, key["centre"])
    with database.transaction() as session:
        if not store.remove_replica(session, dict(key)):
            raise ReplicaUnknown(f"没有登记副本 {_name(key)[:120]}")
        audit.record(session, principal, action="replica.remove", object=_name(key))


def put_rule(
    database: Database, rights: DatasetRights, caller: Principal, token: str, dataset: str, body: Mapping[str, Any],
    settings: Settings,
) -> Row:  # fmt: skip
    """Says where a data set may be, in place of what its class says. Raises DatasetNotReadable, RuleNotPermitted.

    body: stays_in (ids of centres, region codes), reason. Operators may, and the organisation that the data set belongs
    to; of data sets whose class keeps them beside the warehouse operators alone.
    """
    facts = readable(rights, caller, token, dataset, None)
    _check_may_rule(caller, facts, settings)
    row = {
        "dataset": dataset,
        "stays_in": sorted(set(body["stays_in"])),
        "reason": body["reason"],
        "org": caller.org,
        "updated_by": caller.subject,
        "updated_at": utc_now(),
    }
    with database.transaction() as session:
        errors = _entry_errors(session, body["stays_in"])
        if errors:
            raise NetworkInvalid("数据规则无法使用；每处问题见 errors", errors=errors)
        store.save_rule(session, row)
        audit.record(session, caller, action="data_rule.set", object=dataset, detail={"stays_in": row["stays_in"]})
        return _rule_shown(row, data.regions(session))


def list_rules(database: Database, actor: Actor) -> list[Row]:
    """Rules: all for operators, those that its organisation has set for everybody else; with the centres left open."""
    with database.reading() as session:
        regions = data.regions(session)
        return [_rule_shown(row, regions) for row in store.rules(session) if actor.may_see(row["org"])]


def remove_rule(
    database: Database, rights: DatasetRights, caller: Principal, token: str, dataset: str, settings: Settings
) -> None:
    """Takes a rule back: what the class says holds again. Raises DatasetNotReadable, RuleNotPermitted, RuleUnknown."""
    _check_may_rule(caller, readable(rights, caller, token, dataset, None), settings)
    with database.transaction() as session:
        known = store.rules(session, [dataset])
        if known and known[0]["org"] != caller.org and not caller.is_operator:
            raise RuleNotPermitted(f"数据集 {dataset} 的规则由运营方设置，只有运营方可以取消")
        if not store.remove_rule(session, dataset):
            raise RuleUnknown(f"数据集 {dataset[:120]} 没有数据规则")
        audit.record(session, caller, action="data_rule.remove", object=dataset)


def quotes(database: Database, settings: Settings, facts: DatasetFacts) -> Row:
    """What bringing a version to each centre takes now, and where it may be."""
    with database.reading() as session:
        return data.quotes(session, settings, facts, utc_now())


def readable(rights: DatasetRights, caller: Principal, token: str, dataset: str, version: str | None) -> DatasetFacts:
    """The data set as the caller knows it. Raises DatasetNotReadable."""
    facts = rights.facts(dataset, version, caller, token)
    if isinstance(facts, str):
        raise DatasetNotReadable(facts)
    return facts


def _check_may_rule(caller: Principal, facts: DatasetFacts, settings: Settings) -> None:
    if caller.is_operator:
        return
    if facts.owner_org != caller.org or not caller.has("manager", "provider", "analyst"):
        raise RuleNotPermitted(f"只有运营方和数据集 {facts.dataset} 所属的组织可以设置它的数据规则")
    if facts.classification in settings.compute_scheduler_staying_classes:
        raise RuleNotPermitted(f"数据集 {facts.dataset} 的级别是 {facts.classification}，其数据规则只由运营方设置")


def _window_errors(body: Mapping[str, Any], capacity: float, now: datetime) -> list[Row]:
    errors: list[Row] = []
    if body["start_at"] >= body["end_at"]:
        errors.append({"field": "end_at", "value": str(body["end_at"]), "reason": "应晚于 start_at"})
    if body["end_at"] <= now:
        errors.append({"field": "end_at", "value": str(body["end_at"]), "reason": "已经过去"})
    if body["gbit_s"] >= capacity:
        reason = f"应小于链路带宽 {capacity:g} Gbit/s；0 表示中断"
        errors.append({"field": "gbit_s", "value": body["gbit_s"], "reason": reason})
    return errors


def _entry_errors(session: Session, entries: list[str]) -> list[Row]:
    known = {row["id"] for row in centre_store.all_centres(session)}
    errors: list[Row] = []
    for number, entry in enumerate(entries):
        field = {"field": f"stays_in.{number}", "value": entry}
        if entry.isdigit():
            try:
                check_region(entry)
            except CodeInvalid as error:
                errors.append(field | {"reason": str(error)})
        elif entry not in known:
            errors.append(field | {"reason": "没有这个算力中心；应为中心编号或 6 位行政区划代码"})
    return errors


def _name(key: Mapping[str, Any]) -> str:
    return "@".join(key[name] for name in store.REPLICA_KEY)


def _replica_shown(row: Row) -> Row:
    shown = {name: row[name] for name in (*store.REPLICA_KEY, "bytes", "sha256", "state", "note")}
    used_at = row.get("used_at")
    return shown | {"used_at": rfc3339(used_at) if used_at else None, "updated_at": rfc3339(row["updated_at"])}


def _rule_shown(row: Row, regions: Mapping[str, str]) -> Row:
    shown = {name: row[name] for name in ("dataset", "stays_in", "reason", "org")}
    shown["centres"] = [centre for centre, region in regions.items() if permits(row["stays_in"], centre, region)]
    return shown | {"updated_at": rfc3339(row["updated_at"])}
