"""Centres and nodes: registering, draining, keys of agents, and what is seen of their load."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database

from compute_scheduler.clients import CentreKeys
from compute_scheduler.domain.outcomes import ending_of
from compute_scheduler.service import admission
from compute_scheduler.service.errors import (
    CentreExists,
    CentreStillThere,
    NodeUnknown,
    NotYourCentre,
)
from compute_scheduler.service.known import centre_unknown, known_centre
from compute_scheduler.service.moves import Moves, amounts_held
from compute_scheduler.service.windows import in_maintenance
from compute_scheduler.store import centres, holders, reservations
from compute_scheduler.store import jobs as store

Row = dict[str, Any]
LOCAL = "local"


def make_centre(
    database: Database, principal: Principal, *, centre: str, title: str, kind: str, owner: str | None = None
) -> Row:
    """Registers a centre; it gets work once an agent with its key has come. Raises CentreExists.

    owner: the organisation that is paid for its use; None: the caller's own.
    """
    try:
        with database.transaction() as session:
            centres.insert_centre(session, _new_centre(centre, title, kind, owner or principal.org))
            detail = {"kind": kind, "owner": owner or principal.org}
            audit.record(session, principal, action="centre.add", object=centre, detail=detail)
    except sa.exc.IntegrityError as error:
        raise CentreExists(f"已有名为 {centre} 的中心，请换一个名字") from error
    return get_centre(database, centre)


def make_local(database: Database, org: str) -> None:
    """Makes the centre of this machine, once."""
    with database.transaction() as session:
        if centres.centre(session, LOCAL) is None:
            centres.insert_centre(session, _new_centre(LOCAL, "本机", "edge", org))


def make_key(database: Database, principal: Principal, keys: CentreKeys, centre: str, token: str) -> Row:
    """A key for the centre's agent; the answer carries it once. Raises CentreUnknown, and what identity refuses."""
    with database.reading() as session:
        known_centre(session, centre)
    # A crash after this leaves a key that belongs to no centre, and therefore can do nothing.
    made = keys.make(centre, principal.org, token)
    with database.transaction() as session:
        centres.add_key(session, made["id"], centre, utc_now())
        audit.record(session, principal, action="centre.key", object=centre, detail={"key": made["id"]})
    return {"centre": centre, "id": made["id"], "key": made["key"], "created_at": made["created_at"]}


def check_agent(database: Database, principal: Principal, centre: str) -> None:
    """Raises NotYourCentre unless the caller is the centre's agent, by its key or as a service of the platform."""
    if principal.kind == "service":
        return
    with database.reading() as session:
        owned = centres.centre_of_key(session, principal.subject)
    if owned != centre:
        raise NotYourCentre(f"这个密钥不属于中心 {centre}；请运营方用 brain centre key {centre} 生成")


def list_centres(database: Database) -> list[Row]:
    """Every centre with its nodes and what is held of them."""
    now = utc_now()
    with database.reading() as session:
        rows = centres.all_centres(session)
        nodes = centres.all_nodes(session)
        held = holders.holding(session)
        windows = reservations.live(session)
    used = _used(held)
    maintained = {node["id"] for node in nodes if in_maintenance(windows, node["id"], node["centre"], now)}
    shown = []
    for row in rows:
        here = [node | _state(node, maintained) for node in nodes if node["centre"] == row["id"]]
        coming = [_maintenance(window) for window in windows if window["centre"] == row["id"]]
        shown.append(_shown(row, here, used, now) | {"maintenance": [item for item in coming if item]})
    return shown


def get_centre(database: Database, centre: str) -> Row:
    """One centre. Raises CentreUnknown."""
    for row in list_centres(database):
        if row["id"] == centre:
            return row
    raise centre_unknown(centre)


def set_centre_state(database: Database, principal: Principal, centre: str, state: str) -> Row:
    """Drains a centre (it finishes what it has) or opens it again. Raises CentreUnknown."""
    with database.transaction() as session:
        known_centre(session, centre, lock="update")
        centres.update_centre(session, centre, {"state": state})
        audit.record(session, principal, action=f"centre.{state}", object=centre)
    return get_centre(database, centre)


def set_node_state(database: Database, principal: Principal, centre: str, node: str, state: str) -> Row:
    """Drains a node or opens it again. Raises NodeUnknown."""
    with database.transaction() as session:
        if not centres.set_node_state(session, f"{centre}/{node}", state):
            raise NodeUnknown(f"中心 {centre} 没有节点 {node}")
        audit.record(session, principal, action=f"node.{state}", object=f"{centre}/{node}")
    return get_centre(database, centre)


def fence(database: Database, principal: Principal, centre: str) -> int:
    """Declares that what a silent centre was running is gone; its jobs are retried or fail. Returns how many attempts.

    The operator vouches that the machines are off: an agent that comes back ends what it still runs.
    Raises CentreUnknown, CentreStillThere.
    """
    now = utc_now()
    with database.transaction() as session:
        row = known_centre(session, centre, lock="update")
        if admission.is_heard(row, now):
            raise CentreStillThere(f"中心 {centre} 的代理仍在应答，不能声明失效；请先停止代理")
        centres.update_centre(session, centre, {"session": row["session"] + 1})
        alive = store.alive_attempts(session, centre=centre)
        jobs = store.lock_jobs(session, [attempt["job"] for attempt in alive])
        moves = Moves(session, now)
        for attempt in store.attempts_by_id(session, [attempt["id"] for attempt in alive]).values():
            if attempt["state"] != "ended":
                moves.end(attempt, jobs[attempt["job"]], ending_of({"cause": "centre_fenced"}, [], {}))
        moves.write()
        audit.record(session, principal, action="centre.fence", object=centre, detail={"attempts": len(alive)})
    return len(alive)


def _state(node: Row, maintained: set[str]) -> Row:
    """What a node's state is to people: one that is drained or down stays so while it is maintained."""
    return {"state": "maintenance"} if node["state"] == "up" and node["id"] in maintained else {}


def _maintenance(window: Row) -> Row | None:
    """A maintenance window that is planned or open, for whoever looks at its centre."""
    if window["kind"] != "maintenance":
        return None
    times = {name: rfc3339(window[name]) for name in ("start_at", "end_at")}
    return {name: window[name] for name in ("id", "title", "state")} | times | {"nodes": len(window["nodes"]) or None}


def _new_centre(centre: str, title: str, kind: str, org: str) -> Row:
    return {
        "id": centre,
        "title": title,
        "kind": kind,
        "org": org,
        "state": "open",
        "capabilities": {},
        "created_at": utc_now(),
        "session": 0,
    }


def _used(held: list[tuple[Row, Row]]) -> dict[str, Row]:
    used: dict[str, Row] = {}
    for attempt, spec in held:
        node = used.setdefault(attempt["node"], {"cores": 0.0, "memory_mb": 0, "accelerators": {}, "jobs": 0})
        asked = spec["resources"]
        node["cores"] += asked["cores"]
        node["memory_mb"] += asked["memory_mb"]
        node["jobs"] += 1
        for kind, number in amounts_held(asked, attempt["accelerators"]).items():
            node["accelerators"][kind] = round(node["accelerators"].get(kind, 0) + number, 3)
    return used


def _shown(row: Row, nodes: list[Row], used: dict[str, Row], now: Any) -> Row:
    state = row["state"] if row["state"] == "drained" or admission.is_heard(row, now) else "lost"
    if state == "open" and row["capabilities"].get("health", {}).get("state") == "down":
        state = "down"
    nothing = {"cores": 0.0, "memory_mb": 0, "accelerators": {}, "jobs": 0}
    return {
        "id": row["id"],
        "title": row["title"],
        "kind": row["kind"],
        "owner": row["org"],
        "state": state,
        "capabilities": row["capabilities"],
        "created_at": rfc3339(row["created_at"]),
        "seen_at": rfc3339(row["seen_at"]) if row["seen_at"] else None,
        "nodes": [
            {
                "name": node["name"],
                "state": node["state"],
                "cores": node["cores"],
                "memory_mb": node["memory_mb"],
                "accelerators": node["accelerators"],
                "used": used.get(node["id"], nothing),
                "load": node["load"],
                "seen_at": rfc3339(node["seen_at"]),
            }
            for node in nodes
        ],
    }
