"""Reading and adding entries of the ledger, price lists, energy factors and settled periods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from brain_kit.database.bulk import insert_rows, list_parameter, rows_of, rows_of_list
from sqlalchemy.orm import Session

from compute_scheduler.domain.ledger import EnergyFactors, PriceList
from compute_scheduler.store.ledger_tables import energy_factors, items, ledger, periods, postings, price_lists
from compute_scheduler.store.tables import leases, segments

Row = dict[str, Any]
LOCK = "ledger"


def lock(session: Session) -> None:
    """Makes this transaction the only one that posts, closes or sets prices."""
    session.execute(sa.select(leases.c.token).where(leases.c.name == LOCK).with_for_update())


# price lists and energy factors -------------------------------------------------------------------------------------


def insert_price_list(session: Session, row: Row) -> None:
    """Adds a version. Raises IntegrityError when the centre has one from that moment."""
    session.execute(sa.insert(price_lists).values(row))


def price_list_rows(session: Session, centre: str | None = None) -> list[Row]:
    """Versions, the newest first; centre '' is for all centres, None gives every list."""
    query = sa.select(price_lists).order_by(price_lists.c.valid_from.desc(), price_lists.c.centre)
    if centre is not None:
        query = query.where(price_lists.c.centre == centre)
    return _rows(session, query)


def all_price_lists(session: Session) -> dict[str, PriceList]:
    """Every version by id."""
    return {
        row["id"]: PriceList(row["id"], row["centre"], row["valid_from"], **row["prices"])
        for row in price_list_rows(session)
    }


def insert_energy_factors(session: Session, row: Row) -> None:
    """Adds a version. Raises IntegrityError when the centre has one from that moment."""
    session.execute(sa.insert(energy_factors).values(row))


def energy_rows(session: Session, centre: str | None = None) -> list[Row]:
    """Versions of a centre's energy factors, the newest first."""
    query = sa.select(energy_factors).order_by(energy_factors.c.valid_from.desc(), energy_factors.c.centre)
    if centre is not None:
        query = query.where(energy_factors.c.centre == centre)
    return _rows(session, query)


def all_energy_factors(session: Session) -> dict[str, list[EnergyFactors]]:
    """Every version by centre."""
    found: dict[str, list[EnergyFactors]] = {}
    for row in energy_rows(session):
        version = EnergyFactors(
            row["valid_from"], row["core_mw"], row["accelerator_mw"], row["pue_milli"], row["carbon_mg_kwh"]
        )
        found.setdefault(row["centre"], []).append(version)
    return found


def newest_end(session: Session, centre: str) -> datetime | None:
    """The latest end of any usage in the ledger, of a centre or ('') of all."""
    query = sa.select(sa.func.max(ledger.c.ended_at))
    if centre:
        query = query.where(ledger.c.centre == centre)
    return session.execute(query).scalar()


# entries ------------------------------------------------------------------------------------------------------------


def unposted(session: Session, limit: int) -> list[Row]:
    """Accounting records that the ledger does not have yet, the oldest first."""
    query = sa.select(segments).where(~segments.c.posted).order_by(segments.c.id).limit(limit)
    return _rows(session, query)


def count_unposted(session: Session, before: datetime | None = None) -> int:
    """How many records wait, of those that ended before a moment."""
    query = sa.select(sa.func.count()).select_from(segments).where(~segments.c.posted)
    if before is not None:
        query = query.where(segments.c.ended_at < before)
    return int(session.execute(query).scalar_one())


def mark_posted(session: Session, ids: Sequence[int]) -> None:
    """The ledger has these accounting records."""
    if ids:
        listed = sa.text(f"accounting.id IN (SELECT value FROM {rows_of_list(session, 'ids', 'bigint')})")
        session.execute(sa.update(segments).where(listed).values(posted=True), {"ids": list_parameter(session, ids)})


def known_attempts(session: Session, attempts: Iterable[str]) -> set[str]:
    """Which of the attempts the ledger has."""
    wanted = sorted(set(attempts))
    if not wanted:
        return set()
    query = sa.select(ledger.c.attempt).where(_of_attempts(session)).distinct()
    return set(session.execute(query, {"attempts": list_parameter(session, wanted)}).scalars())


def insert_entries(session: Session, entries: Sequence[Row]) -> list[int]:
    """Adds entries, each with its `items` and `postings`; returns their ids in the same order."""
    if not entries:
        return []
    columns = [{name: value for name, value in row.items() if name not in ("items", "postings")} for row in entries]
    # Asked for afterwards: SQLite gives ids back in order only when rows are added one by one.
    insert_rows(session, ledger, columns)
    ids = _ids_of(session, entries)
    placed = list(zip(ids, entries, strict=True))
    insert_rows(session, items, [item | {"entry": at} for at, row in placed for item in row["items"]])
    insert_rows(session, postings, [side | {"entry": at} for at, row in placed for side in row["postings"]])
    return ids


def _ids_of(session: Session, entries: Sequence[Row]) -> list[int]:
    """Ids of entries that are there, by what names each: attempt, segment and revision."""
    wanted = sorted({row["attempt"] for row in entries})
    query = sa.select(ledger.c.id, ledger.c.attempt, ledger.c.segment, ledger.c.revision)
    query = query.where(_of_attempts(session))
    found = session.execute(query, {"attempts": list_parameter(session, wanted)})
    ids = {(row.attempt, row.segment, row.revision): int(row.id) for row in found}
    return [ids[row["attempt"], row["segment"], row["revision"]] for row in entries]


def _of_attempts(session: Session) -> sa.TextClause:
    return sa.text(f"ledger.attempt IN (SELECT value FROM {rows_of_list(session, 'attempts', 'text')})")


def entry(session: Session, entry_id: int) -> Row | None:
    """An entry with its items."""
    row = session.execute(sa.select(ledger).where(ledger.c.id == entry_id)).mappings().first()
    return with_items(session, [dict(row)])[0] if row else None


def newest_revision(session: Session, attempt: str, segment: int) -> int:
    """The highest revision of a stretch."""
    query = sa.select(sa.func.max(ledger.c.revision))
    where = (ledger.c.attempt == attempt) & (ledger.c.segment == segment)
    return int(session.execute(query.where(where)).scalar_one())


def is_reversed(session: Session, entry_id: int) -> bool:
    """Whether an entry was taken back."""
    return session.execute(sa.select(ledger.c.id).where(ledger.c.reverses == entry_id)).first() is not None


def with_items(session: Session, rows: list[Row]) -> list[Row]:
    """The entries, each with its `items`."""
    by_entry: dict[int, list[Row]] = {row["id"]: [] for row in rows}
    if rows:
        query = sa.select(items).where(items.c.entry.in_(list(by_entry))).order_by(items.c.entry, items.c.resource)
        for item in session.execute(query).mappings():
            by_entry[item["entry"]].append(dict(item))
    return [row | {"items": by_entry[row["id"]]} for row in rows]


def page(session: Session, scope: str | None, filters: Mapping[str, Any], *, after: int, limit: int) -> list[Row]:
    """Entries by id, with their items. scope: the organisation that may see them, as tenant or as owner; None: all.

    filters: org, owner, centre, job, period.
    """
    query = sa.select(ledger).where(ledger.c.id > after)
    if scope is not None:
        query = query.where(sa.or_(ledger.c.org == scope, ledger.c.owner == scope))
    for name in ("org", "owner", "centre", "job", "period"):
        if filters.get(name):
            query = query.where(ledger.c[name] == filters[name])
    return with_items(session, _rows(session, query.order_by(ledger.c.id).limit(limit)))


# settlement ---------------------------------------------------------------------------------------------------------


def closed_periods(session: Session) -> dict[str, Row]:
    """Closed periods by month."""
    return {row["period"]: row for row in _rows(session, sa.select(periods))}


def insert_period(session: Session, row: Row) -> None:
    """Keeps that a period is closed."""
    session.execute(sa.insert(periods).values(row))


def months(session: Session, scope: str | None) -> list[Row]:
    """Months with entries, the newest first: entries, amount."""
    query = sa.select(ledger.c.period, sa.func.count().label("entries"), sa.func.sum(ledger.c.amount).label("amount"))
    query = _visible(query, scope).group_by(ledger.c.period).order_by(ledger.c.period.desc())
    return [row | {"amount": int(row["amount"])} for row in _rows(session, query)]


def pairs(session: Session, scope: str | None, period: str, org: str = "", owner: str = "") -> list[Row]:
    """What each tenant owes each owner in a month: org, owner, entries, not_charged, energy, carbon, amount."""
    query = sa.select(
        ledger.c.org,
        ledger.c.owner,
        sa.func.count().label("entries"),
        sa.func.sum(sa.case((ledger.c.charge == "charged", 0), else_=1)).label("not_charged"),
        sa.func.count(ledger.c.energy_uwh).label("with_energy"),
        sa.func.count(ledger.c.carbon_ug).label("with_carbon"),
        sa.func.sum(ledger.c.energy_uwh).label("energy_uwh"),
        sa.func.sum(ledger.c.carbon_ug).label("carbon_ug"),
        sa.func.sum(ledger.c.amount).label("amount"),
    ).where(ledger.c.period == period)
    query = _visible(query, scope).group_by(ledger.c.org, ledger.c.owner).order_by(ledger.c.org, ledger.c.owner)
    if org:
        query = query.where(ledger.c.org == org)
    if owner:
        query = query.where(ledger.c.owner == owner)
    whole = ("entries", "not_charged", "with_energy", "with_carbon", "amount")
    return [
        row
        | {name: int(row[name]) for name in whole}
        | {name: None if row[name] is None else int(row[name]) for name in ("energy_uwh", "carbon_ug")}
        for row in _rows(session, query)
    ]


def lines(session: Session, scope: str | None, period: str, org: str = "", owner: str = "") -> list[Row]:
    """The statement lines of a month: centre, price list, resource and price with quantity, amount, entries."""
    keys = (
        ledger.c.org,
        ledger.c.owner,
        ledger.c.centre,
        ledger.c.charge,
        ledger.c.price_list,
        items.c.resource,
        items.c.price,
    )
    query = _summed(keys).where(ledger.c.period == period)
    query = _visible(query, scope)
    if org:
        query = query.where(ledger.c.org == org)
    if owner:
        query = query.where(ledger.c.owner == owner)
    found = _whole(_rows(session, query.group_by(*keys)))
    return sorted(found, key=lambda row: [str(row[column.name] or "") for column in keys])


def charged(session: Session, jobs: Sequence[str]) -> list[Row]:
    """Sums of the entries of jobs that have any: job, entries, with_energy, with_carbon, with_electricity, sums."""
    query = (
        sa.select(
            ledger.c.job,
            sa.func.count().label("entries"),
            sa.func.count(ledger.c.energy_uwh).label("with_energy"),
            sa.func.count(ledger.c.carbon_ug).label("with_carbon"),
            sa.func.count(ledger.c.electricity).label("with_electricity"),
            sa.func.sum(ledger.c.amount).label("amount"),
            sa.func.sum(ledger.c.electricity).label("electricity"),
            sa.func.sum(ledger.c.energy_uwh).label("energy_uwh"),
            sa.func.sum(ledger.c.carbon_ug).label("carbon_ug"),
        )
        .where(ledger.c.job.in_(jobs))
        .group_by(ledger.c.job)
    )
    names = ("amount", "energy_uwh", "carbon_ug", "electricity")
    return [
        row | {name: None if row[name] is None else int(row[name]) for name in names} for row in _rows(session, query)
    ]


def used_since(session: Session, since: datetime, centre: str = "") -> list[Row]:
    """What was used in the ledger since a moment: org, centre, charge, resource, sums of quantity and amount, entries.

    centre: '' for all.
    """
    keys = (ledger.c.org, ledger.c.centre, ledger.c.charge, items.c.resource)
    query = _summed(keys).where(ledger.c.ended_at >= since)
    if centre:
        query = query.where(ledger.c.centre == centre)
    return _whole(_rows(session, query.group_by(*keys).order_by(*keys)))


def balances(session: Session, period: str) -> dict[str, int]:
    """What each organisation is owed (over zero) or owes in a month; together nothing."""
    query = sa.select(postings.c.org, sa.func.sum(postings.c.amount)).where(postings.c.period == period)
    return {org: int(amount) for org, amount in session.execute(query.group_by(postings.c.org))}


def _summed(keys: Sequence[sa.ColumnElement[Any]]) -> sa.Select[Any]:
    """Items of entries, by keys: how many, and the sums of quantity and amount."""
    sums = (sa.func.sum(items.c[name]).label(name) for name in ("quantity", "amount"))
    query = sa.select(*keys, sa.func.count().label("entries"), *sums)
    return query.join(items, items.c.entry == ledger.c.id)


def _whole(rows: list[Row]) -> list[Row]:
    """Sums as integers, whatever type the database adds them up in."""
    return [row | {name: int(row[name]) for name in ("entries", "quantity", "amount")} for row in rows]


def _visible(query: Any, scope: str | None) -> Any:
    return query if scope is None else query.where(sa.or_(ledger.c.org == scope, ledger.c.owner == scope))


def _rows(session: Session, query: Any) -> list[Row]:
    return rows_of(session.execute(query))
