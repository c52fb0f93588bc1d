"""The ledger: every accounted attempt is posted once, with a price and two sides; corrections only reverse.

A worker posts what attempts left in `accounting`, beside the work of the scheduler. What it writes is decided by the
record, the price lists and the closed months alone, and an attempt that the ledger has is passed over: so records may
come in any order and any number of times.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import month_of, rfc3339, utc_now
from brain_kit.database import Database
from sqlalchemy.orm import Session

from compute_scheduler.domain import ledger as rules
from compute_scheduler.domain.hourly import Hourly
from compute_scheduler.domain.ledger import EnergyFactors, PriceList, Usage
from compute_scheduler.domain.tariffs import electricity
from compute_scheduler.service import carbon
from compute_scheduler.service.errors import AlreadyReversed, CorrectionInvalid, EntryUnknown
from compute_scheduler.service.metrics import LedgerMetrics
from compute_scheduler.service.tariffs import Tariffs
from compute_scheduler.service.tenancy import Actor
from compute_scheduler.store import centres
from compute_scheduler.store import jobs as attempts
from compute_scheduler.store import ledger as store

Row = dict[str, Any]
# Others write between two batches.
BATCH = 200
LOOK_EVERY_S = 1.0
PLATFORM = "platform"
# What was nobody's to pay stays so under other prices.
_FREE = {"providers_fault": "lost", "taken_back": "preempted"}


@dataclass(frozen=True)
class Books:
    """What a posting is decided by, as it stands in this transaction."""

    lists: Mapping[str, PriceList]
    factors: Mapping[str, list[EnergyFactors]]
    series: Mapping[str, list[tuple[datetime, Hourly]]]
    owners: Mapping[str, str]
    closed: frozenset[str]
    tariffs: Tariffs = field(default_factory=Tariffs)

    @classmethod
    def load(cls, session: Session) -> Books:
        """Reads it."""
        return cls(
            store.all_price_lists(session),
            store.all_energy_factors(session),
            carbon.versions(session),
            {row["id"]: row["org"] for row in centres.all_centres(session)},
            frozenset(store.closed_periods(session)),
            Tariffs.load(session),
        )

    def moments(self, centre: str) -> list[datetime]:
        """When prices, factors or tariff of a centre change."""
        lists = [one.valid_from for one in self.lists.values() if one.centre in ("", centre)]
        factors = [one.valid_from for one in self.factors.get(centre, [])]
        return lists + factors + self.tariffs.moments(centre)


def post_pending(database: Database) -> int:
    """Posts what was accounted and is not in the ledger yet; returns how many records it looked at."""
    with database.reading() as session:
        if not store.unposted(session, 1):
            return 0
    looked = 0
    while True:
        with database.transaction() as session:
            store.lock(session)
            records = store.unposted(session, BATCH)
            post(session, records)
            store.mark_posted(session, [row["id"] for row in records])
        looked += len(records)
        if len(records) < BATCH:
            return looked


def post(session: Session, records: list[Row]) -> int:
    """Adds the entries of accounting records, those of known attempts left out; returns how many entries.

    records: rows of `accounting`. The caller holds the ledger's lock.
    """
    fresh = {row["attempt"]: row for row in records}
    known = store.known_attempts(session, fresh)
    books = Books.load(session)
    # A member that is stopped because another was lost ends as cancelled, and by nobody's wish.
    stopped = [attempt for attempt, row in fresh.items() if row["outcome"] == "cancelled"]
    faults = attempts.gangs_at_fault(session, stopped, rules.PROVIDERS_FAULT | rules.TAKEN_BACK)
    entries = [
        entry
        for attempt, row in fresh.items()
        if attempt not in known
        for entry in entries_of(row, books, faults.get(attempt))
    ]
    store.insert_entries(session, entries)
    return len(entries)


def entries_of(record: Row, books: Books, fault: str | None = None) -> list[Row]:
    """The entries of one accounting record: a stretch for each price list that was in force while it ran.

    fault: the outcome of another member of its gang that it was stopped for.
    """
    usage = usage_of(record)
    base = {
        "attempt": record["attempt"],
        "revision": 0,
        "kind": "usage",
        "reverses": None,
        "job": record["job"],
        "org": record["org"],
        "owner": books.owners[record["centre"]],
        "centre": record["centre"],
        "outcome": record["outcome"],
        "reason": "",
        "posted_by": PLATFORM,
        "posted_at": utc_now(),
    }
    stretches = rules.cut(usage, books.moments(record["centre"]))
    outcome = fault or record["outcome"]
    return [_entry(base | {"segment": n}, stretch, books, outcome) for n, stretch in enumerate(stretches)]


def usage_of(record: Row) -> Usage:
    """The exact quantities of an accounting record, whose seconds are good to the millisecond."""
    return Usage(
        min(record["started_at"], record["ended_at"]),
        record["ended_at"],
        round(record["wall_s"] * 1000),
        round(record["core_s"] * rules.MICRO),
        round(record["memory_mb_s"] * 1000),
        {kind: round(seconds * 1000) for kind, seconds in record["accelerator_s"].items()},
        int(record.get("moved_bytes") or 0),
    )


def _entry(base: Row, usage: Usage, books: Books, outcome: str, prices: PriceList | None = None) -> Row:
    """One entry, charged by an outcome; prices: instead of those in force when the stretch began."""
    found = prices or rules.in_force(books.lists.values(), base["centre"], usage.started_at)
    factors = rules.factors_at(books.factors.get(base["centre"], []), usage.started_at)
    charge = rules.charge_of(outcome, found)
    items = rules.priced(usage, found, charge)
    energy = rules.energy_uwh(usage, factors)
    amount = sum(item.amount for item in items)
    values = {
        "charge": charge,
        "started_at": usage.started_at,
        "ended_at": usage.ended_at,
        "price_list": found.id if found else None,
        "wall_ms": usage.wall_ms,
        "energy_uwh": energy,
        "electricity": electricity(usage, energy, books.tariffs.at(base["centre"], usage.started_at)),
        "carbon_ug": rules.carbon_ug(energy, rules.carbon_mg_kwh(usage, factors, books.series.get(base["centre"], ()))),
    }
    return _with_sides(
        base | values, [(one.resource, one.quantity, one.price, one.amount) for one in items], amount, books
    )


def _with_sides(row: Row, items: list[tuple[str, int, int | None, int]], amount: int, books: Books) -> Row:
    period = rules.next_open(month_of(row["ended_at"]), books.closed)
    sides = rules.sides(row["org"], row["owner"], amount)
    return row | {
        "period": period,
        "amount": amount,
        "items": [dict(zip(("resource", "quantity", "price", "amount"), item, strict=True)) for item in items],
        "postings": [
            {"side": side, "org": org, "counterparty": other, "ownership": ownership, "period": period, "amount": part}
            for side, org, other, ownership, part in sides
        ],
    }


def correct(
    database: Database, principal: Principal, entry_id: int, *, kind: str, price_list: str | None, reason: str
) -> list[Row]:
    """Takes an entry back and, for `reprice`, posts it anew under another price list; returns the new entries.

    They belong to the entry's month, or to the first open one after it. Raises EntryUnknown, AlreadyReversed,
    CorrectionInvalid.
    """
    with database.transaction() as session:
        store.lock(session)
        entry = store.entry(session, entry_id)
        if entry is None:
            raise EntryUnknown(f"账本没有记录 {entry_id}")
        if entry["kind"] == "reversal":
            raise CorrectionInvalid("冲销记录不能再更正；请更正它之后的那条记录")
        if store.is_reversed(session, entry_id):
            raise AlreadyReversed(f"记录 {entry_id} 已被冲销，请更正最新的那条记录")
        books = Books.load(session)
        revision = store.newest_revision(session, entry["attempt"], entry["segment"]) + 1
        base = {name: entry[name] for name in ("attempt", "segment", "job", "org", "owner", "centre", "outcome")}
        base |= {"reason": reason, "posted_by": principal.subject, "posted_at": utc_now()}
        added = [_reversal(base | {"revision": revision}, entry, books)]
        if kind == "reprice":
            prices = _list_for(books, entry, price_list)
            anew = base | {"revision": revision + 1, "kind": "repriced", "reverses": None}
            outcome = str(_FREE.get(entry["charge"], entry["outcome"]))
            added.append(_entry(anew, _usage_of_entry(entry), books, outcome, prices))
        ids = store.insert_entries(session, added)
        detail = {"entries": ids, "reason": reason, "price_list": price_list}
        audit.record(session, principal, action=f"ledger.{kind}", object=str(entry_id), detail=detail)
        made = [store.entry(session, one) for one in ids]
    return [shown(one) for one in made if one is not None]


def _reversal(base: Row, entry: Row, books: Books) -> Row:
    """The entry with every amount and quantity negative."""
    values = {"kind": "reversal", "reverses": entry["id"]}
    values |= {name: entry[name] for name in ("charge", "started_at", "ended_at", "price_list")}
    for name in ("wall_ms", "energy_uwh", "carbon_ug", "electricity"):
        values[name] = None if entry[name] is None else -entry[name]
    items = [(one["resource"], -one["quantity"], one["price"], -one["amount"]) for one in entry["items"]]
    return _with_sides(base | values, items, -entry["amount"], books)


def _list_for(books: Books, entry: Row, price_list: str | None) -> PriceList:
    found = books.lists.get(price_list or "")
    if found is None or found.centre not in ("", entry["centre"]):
        errors = [{"field": "price_list", "reason": f"中心 {entry['centre']} 没有价目 {(price_list or '')[:40]}"}]
        raise CorrectionInvalid("改价要给出该中心或通用的价目编号", errors=errors)
    return found


def _usage_of_entry(entry: Row) -> Usage:
    amounts = {one["resource"]: one["quantity"] for one in entry["items"]}
    kinds = {
        name.removeprefix(rules.ACCELERATOR): quantity
        for name, quantity in amounts.items()
        if name.startswith(rules.ACCELERATOR)
    }
    return Usage(
        entry["started_at"], entry["ended_at"], entry["wall_ms"], amounts["core"], amounts["memory"], kinds,
        amounts.get("moved", 0),
    )  # fmt: skip


def list_entries(database: Database, actor: Actor, filters: Mapping[str, Any], *, after: str, limit: int) -> Row:
    """A page of entries in the order in which they were posted: those that the caller pays or is paid for."""
    with database.reading() as session:
        rows = store.page(session, actor.scope, filters, after=int(after or 0), limit=limit + 1)
    more = len(rows) > limit
    return {"items": [shown(row) for row in rows[:limit]], "next": str(rows[limit - 1]["id"]) if more else None}


def get_entry(database: Database, actor: Actor, entry_id: int) -> Row:
    """One entry. Raises EntryUnknown for those of others too."""
    with database.reading() as session:
        row = store.entry(session, entry_id)
    if row is None or not (actor.may_see(row["org"]) or actor.may_see(row["owner"])):
        raise EntryUnknown(f"账本没有记录 {entry_id}")
    return shown(row)


def shown(row: Row) -> Row:
    """An entry as the API gives it: money as decimals in words, energy in kWh, carbon in g."""
    names = (
        "attempt", "segment", "revision", "kind", "job", "org", "owner", "centre", "outcome", "charge", "period",
        "price_list", "reason", "posted_by",
    )  # fmt: skip
    return {
        "id": str(row["id"]),
        **{name: row[name] for name in names},
        "reverses": None if row["reverses"] is None else str(row["reverses"]),
        "started_at": rfc3339(row["started_at"]),
        "ended_at": rfc3339(row["ended_at"]),
        "posted_at": rfc3339(row["posted_at"]),
        "wall_s": row["wall_ms"] / 1000,
        "items": [item_shown(item) for item in row["items"]],
        "energy_kwh": None if row["energy_uwh"] is None else row["energy_uwh"] / 1e9,
        "carbon_g": None if row["carbon_ug"] is None else row["carbon_ug"] / 1e6,
        "electricity": None if row["electricity"] is None else rules.yuan(row["electricity"]),
        "amount": rules.yuan(row["amount"]),
        "currency": "CNY",
    }


def item_shown(item: Row) -> Row:
    """A line of one resource in the units that prices are in."""
    resource, quantity = item["resource"], item["quantity"]
    if resource == "core":
        shown_as = ("core_hour", quantity / rules.MICRO / 3600)
    elif resource == "memory":
        shown_as = ("gib_hour", quantity * 1000 / rules.GIB / 3600)
    elif resource == "moved":
        shown_as = ("gb", quantity / 1e9)
    else:
        shown_as = ("accelerator_hour", quantity / 1000 / 3600)
    return {
        "resource": resource,
        "quantity": round(shown_as[1], 9),
        "unit": shown_as[0],
        "price": None if item["price"] is None else rules.yuan(item["price"]),
        "amount": rules.yuan(item["amount"]),
    }


class Poster:
    """The worker that posts."""

    def __init__(self, database: Database, metrics: LedgerMetrics) -> None:
        self._database = database
        self._metrics = metrics

    def run(self, stop: threading.Event) -> None:
        """Posts what has come, again and again, until stopped."""
        while not stop.wait(LOOK_EVERY_S):
            try:
                self._metrics.posted.inc(post_pending(self._database))
            finally:
                with self._database.reading() as session:
                    self._metrics.waiting.set(store.count_unposted(session))
