"""Centres, their keys and nodes, and the leases of agents and schedulers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from brain_kit.database.bulk import rows_of
from sqlalchemy.orm import Session

from compute_scheduler.store.tables import centre_keys, centres, leases, nodes

Row = dict[str, Any]
# Statements are made once: to make one costs more than to run it.
_ONE = sa.select(centres).where(centres.c.id == sa.bindparam("centre"))
_CENTRE = {"": _ONE, "share": _ONE.with_for_update(read=True), "update": _ONE.with_for_update()}
_CENTRES = sa.select(centres).order_by(centres.c.id)
_NODES = sa.select(nodes).order_by(nodes.c.id)
_LEASE = sa.select(leases.c.token, leases.c.holder).where(leases.c.name == sa.bindparam("lease")).with_for_update()


def centre(session: Session, centre_id: str, *, lock: str = "") -> Row | None:
    """A centre; lock "share" keeps its session from changing in this transaction, "update" is for changing it."""
    row = session.execute(_CENTRE[lock], {"centre": centre_id}).mappings().first()
    return dict(row) if row else None


def all_centres(session: Session) -> list[Row]:
    """Every centre by id."""
    return rows_of(session.execute(_CENTRES))


def insert_centre(session: Session, row: Row) -> None:
    """Adds a centre. Raises IntegrityError when its id is taken."""
    session.execute(sa.insert(centres).values(row))


def update_centre(session: Session, centre_id: str, values: Row) -> None:
    """Changes columns of a centre."""
    session.execute(sa.update(centres).where(centres.c.id == centre_id).values(values))


def add_key(session: Session, key_id: str, centre_id: str, now: datetime) -> None:
    """Binds a key to a centre."""
    session.execute(sa.insert(centre_keys).values(key_id=key_id, centre=centre_id, created_at=now))


def centre_of_key(session: Session, key_id: str) -> str | None:
    """The centre that a key belongs to."""
    return session.execute(sa.select(centre_keys.c.centre).where(centre_keys.c.key_id == key_id)).scalar()


def keys_of(session: Session, centre_id: str) -> list[str]:
    """Keys of a centre."""
    return list(session.execute(sa.select(centre_keys.c.key_id).where(centre_keys.c.centre == centre_id)).scalars())


def all_nodes(session: Session, centre_id: str | None = None) -> list[Row]:
    """Nodes by id, of one centre or of all."""
    query = _NODES
    if centre_id is not None:
        query = query.where(nodes.c.centre == centre_id)
    return rows_of(session.execute(query))


def save_nodes(session: Session, centre_id: str, reported: Iterable[Row], now: datetime) -> None:
    """Keeps what an agent says of its nodes; a node that it no longer names goes down, and drained stays drained."""
    known = {row["id"]: row for row in all_nodes(session, centre_id)}
    named = set()
    for node in reported:
        node_id = f"{centre_id}/{node['name']}"
        named.add(node_id)
        values = {
            "cores": node["cores"],
            "memory_mb": node["memory_mb"],
            "accelerators": node["accelerators"],
            "load": node["load"],
            "address": node.get("address") or node["name"],
            "seen_at": now,
        }
        if node_id not in known:
            fixed = {"id": node_id, "centre": centre_id, "name": node["name"], "state": "up"}
            session.execute(sa.insert(nodes).values(fixed | values))
            continue
        if known[node_id]["state"] == "down":
            values["state"] = "up"
        session.execute(sa.update(nodes).where(nodes.c.id == node_id).values(values))
    for node_id in known.keys() - named:
        session.execute(sa.update(nodes).where((nodes.c.id == node_id) & (nodes.c.state == "up")).values(state="down"))


def addresses(session: Session, node_ids: Iterable[str]) -> dict[str, str]:
    """Where nodes are reached; one that was never told by its name."""
    query = sa.select(nodes.c.id, nodes.c.address, nodes.c.name).where(nodes.c.id.in_(sorted(set(node_ids))))
    return {str(row.id): str(row.address or row.name) for row in session.execute(query)}


def set_node_state(session: Session, node_id: str, state: str) -> bool:
    """Drains a node or takes it back; False when there is none."""
    changed = session.execute(sa.update(nodes).where(nodes.c.id == node_id).values(state=state).returning(nodes.c.id))
    return changed.first() is not None


def take_lease(
    session: Session, name: str, holder: str, now: datetime, until: datetime, *, held: int | None = None
) -> int | None:
    """The fencing token of a lease that is now held by `holder`, None while another holds it.

    held: the token that the holder has; without one, as after a restart under the same name, the token grows, as it
    does each time the lease changes hands or is taken up after it ran out.
    """
    row = session.execute(sa.select(leases).where(leases.c.name == name).with_for_update()).mappings().first()
    if row is None:
        session.execute(sa.insert(leases).values(name=name, holder=holder, token=1, until=until))
        return 1
    if row["holder"] != holder and row["until"] > now:
        return None
    is_kept = row["holder"] == holder and row["token"] == held and row["until"] > now
    token = int(row["token"]) + (0 if is_kept else 1)
    session.execute(sa.update(leases).where(leases.c.name == name).values(holder=holder, token=token, until=until))
    return token


def holds_lease(session: Session, name: str, holder: str, token: int) -> bool:
    """Whether nobody has taken the lease since the token was given; keeps it so until this transaction ends."""
    row = session.execute(_LEASE, {"lease": name}).first()
    return row is not None and row.token == token and row.holder == holder


def release_lease(session: Session, name: str, holder: str, now: datetime) -> None:
    """Gives a lease back, so that another need not wait for its end."""
    session.execute(sa.update(leases).where((leases.c.name == name) & (leases.c.holder == holder)).values(until=now))
