"""What the usage of the last days would have cost under a price list that is not published yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database

from compute_scheduler.domain import ledger as rules
from compute_scheduler.domain.ledger import PriceList
from compute_scheduler.service.known import centre_unknown
from compute_scheduler.service.prices import amounts_of
from compute_scheduler.store import centres
from compute_scheduler.store import ledger as store

Row = dict[str, Any]
# Usage that had no list in force would have been charged; what was nobody's to pay stays so.
_CHARGED = ("charged", "no_price_list")


def preview(database: Database, body: Mapping[str, Any]) -> Row:
    """What the ledger says was paid in the last days, and what it would have been. Raises PriceListInvalid,
    CentreUnknown.

    body: a price list, days. A list for all centres counts where a centre has no list of its own in force. Each
    resource of a tenant at a centre is rounded once here, and once an entry in the ledger.
    """
    now = utc_now()
    since = now - timedelta(days=body["days"])
    prices = PriceList("", body["centre"], now, **amounts_of(body))
    with database.reading() as session:
        known = {row["id"] for row in centres.all_centres(session)}
        if prices.centre and prices.centre not in known:
            raise centre_unknown(prices.centre)
        lists = store.all_price_lists(session).values()
        rows = store.used_since(session, since, prices.centre)
    own = {name for name in known if (one := rules.in_force(lists, name, now)) is not None and one.centre}
    kept_out = set() if prices.centre else own
    lines = [_line(row, prices) for row in rows if row["centre"] not in kept_out]
    unpriced = {row["resource"] for row in lines if row["price"] is None and row["charge"] in _CHARGED}
    return {
        "centre": prices.centre,
        "days": body["days"],
        "since": rfc3339(since),
        "until": rfc3339(now),
        "currency": "CNY",
        **_sums(lines),
        "resources": _by(lines, "resource"),
        "centres": _by(lines, "centre"),
        "tenants": _by(lines, "org"),
        "unpriced": sorted(unpriced),
        "kept_out": sorted(kept_out & {row["centre"] for row in rows}),
    }


def _line(row: Row, prices: PriceList) -> Row:
    charge: rules.Charge = "charged" if row["charge"] in _CHARGED else row["charge"]
    item = rules.item_of(row["resource"], row["quantity"], prices, charge)
    return row | {"price": item.price, "would": item.amount}


def _by(lines: list[Row], name: str) -> list[Row]:
    """Sums by a member, the largest change first."""
    keys = {row[name] for row in lines}
    found = [(key, [row for row in lines if row[name] == key]) for key in sorted(keys)]
    found.sort(key=lambda pair: -abs(_change(pair[1])))
    return [{name: key, **_sums(part)} for key, part in found]


def _sums(lines: Iterable[Row]) -> Row:
    rows = list(lines)
    was = sum(row["amount"] for row in rows)
    return {
        "amount": rules.yuan(was),
        "would_be": rules.yuan(sum(row["would"] for row in rows)),
        "change": rules.yuan(_change(rows)),
        "change_pct": round(100 * _change(rows) / was, 2) if was else None,
    }


def _change(rows: list[Row]) -> int:
    return sum(row["would"] - row["amount"] for row in rows)
