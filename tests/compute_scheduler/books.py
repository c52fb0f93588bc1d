"""Accounting records without a scheduler, and the ledger in a form that can be compared."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from brain_kit.auth import Principal
from brain_kit.database import Database
from compute_scheduler.service import centres, ledger, prices
from compute_scheduler.service.tenancy import Actor
from compute_scheduler.store import accounts
from compute_scheduler.store.ledger_tables import items as item_table
from compute_scheduler.store.ledger_tables import ledger as ledger_table
from compute_scheduler.store.ledger_tables import postings

from tests.compute_scheduler.network import OPERATOR, ORG

TENANT = "91370300MA3C00002Y"
NEIGHBOUR = "91370300MA3C000045"
START = datetime(2026, 9, 10, tzinfo=UTC)
PLAIN = {"centre": "", "valid_from": None, "core_hour": "0", "gib_hour": "0", "gb_moved": "0", "note": ""}


def actor(org: str) -> Actor:
    """Somebody of an enterprise."""
    return Actor(Principal("usr_x", "user", org, "enterprise", roles=frozenset({"developer"})))


def record(
    number: int, *, org: str = TENANT, centre: str = "c1", outcome: str = "succeeded", **given: Any
) -> dict[str, Any]:
    """An accounting record of a job of one core and a GiB for an hour."""
    started = given.pop("started_at", START)
    wall_s = given.pop("wall_s", 3600.0)
    job = f"job_{number:026d}"
    return {
        "attempt": f"{job}.1",
        "job": job,
        "org": org,
        "centre": centre,
        "node": f"{centre}/n1",
        "outcome": outcome,
        "started_at": started,
        "ended_at": started + timedelta(seconds=wall_s),
        "wall_s": wall_s,
        "core_s": wall_s,
        "memory_mb_s": wall_s * 1073.741824,
        "accelerator_s": {},
        "cpu_s": 0.0,
    } | given


def two_centres(database: Database) -> None:
    """`c1` belongs to the operator, `c2` to the tenant."""
    centres.make_centre(database, OPERATOR, centre="c1", title="一号", kind="region")
    centres.make_centre(database, OPERATOR, centre="c2", title="二号", kind="edge", owner=TENANT)


def set_prices(database: Database, **given: Any) -> str:
    """The id of a new price list: 1 yuan a core hour, 0.5 a GiB hour unless told otherwise."""
    body = PLAIN | {
        "core_hour": "1",
        "gib_hour": "0.5",
        "accelerator_hour": {},
        "valid_from": START - timedelta(days=30),
    }
    return str(prices.add_price_list(database, OPERATOR, body | given)["id"])


def account(database: Database, *records: dict[str, Any]) -> None:
    """What the scheduler leaves when attempts end."""
    with database.transaction() as session:
        accounts.insert_segments(session, records)


def state(database: Database) -> list[tuple[Any, ...]]:
    """The ledger without what depends on when and in which order it was written."""
    columns = [c for c in ledger_table.c if c.name not in ("id", "reverses", "posted_at", "price_list")]
    with database.reading() as session:
        entries = {row.id: tuple(row)[1:] for row in session.execute(sa.select(ledger_table.c.id, *columns))}
        parts = [
            (entries[row.entry], *tuple(row)[1:])
            for table in (item_table, postings)
            for row in session.execute(sa.select(table))
        ]
    return sorted([*entries.values(), *parts], key=repr)


def total(database: Database) -> int:
    """The sum of all postings."""
    with database.reading() as session:
        return int(session.execute(sa.select(sa.func.coalesce(sa.func.sum(postings.c.amount), 0))).scalar_one())


def entries(database: Database, org: str | None = None, **filters: Any) -> list[dict[str, Any]]:
    """Entries as the API gives them, to the operator or to somebody of an organisation."""
    asking = Actor(OPERATOR) if org is None else actor(org)
    found = ledger.list_entries(database, asking, filters, after="", limit=1000)
    return list(found["items"])


__all__ = ["NEIGHBOUR", "ORG", "START", "TENANT"]
