"""What both brains say that borrowed attempts used, side by side, and what differs."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from sqlalchemy.orm import Session

from compute_scheduler.domain.ledger import yuan
from compute_scheduler.domain.lending import PARTNER_ENGINE, differences
from compute_scheduler.service.errors import CentreUnknown
from compute_scheduler.service.lending_errors import LoanUnknown
from compute_scheduler.store import centres
from compute_scheduler.store import lending as store

Row = dict[str, Any]
PAGE = 500
NUMBERS = ("wall_s", "core_s", "memory_mb_s")
COLUMNS = (
    "attempt", "here_job", "there_job", "here_wall_s", "there_wall_s", "here_core_s", "there_core_s", "here_outcome",
    "there_outcome", "here_amount", "there_amount", "state", "differs",
)  # fmt: skip


def exchange(
    database: Database, *, loan: str = "", centre: str = "", told: Sequence[Mapping[str, Any]], after: int
) -> Row:
    """Takes the partner's figures and answers this brain's that are newer than entry `after` of the ledger.

    loan: it is asked by who borrows; centre: by the agent through which we borrow. A repeat changes nothing.
    """
    now = utc_now()
    with database.transaction() as session:
        said = {str(item["attempt"]): {name: item[name] for name in item if name != "attempt"} for item in told}
        store.save_figures(session, _party(loan, centre), said, now)
        rows, last = store.charged(session, loan_id=loan, centre=centre, after=after, limit=PAGE)
    return {"items": [_figure(row, loan) for row in rows], "next": last}


def statement(
    database: Database, *, loan: str = "", centre: str = "", since: datetime | None, until: datetime | None, limit: int
) -> Row:
    """Attempt by attempt what this brain and its partner say, the newest first, with what differs and the sums.

    Raises LoanUnknown, CentreUnknown.
    """
    with database.reading() as session:
        _check(session, loan, centre)
        listed = store.record_ids(session, loan_id=loan, centre=centre, since=since, until=until, limit=limit)
        names = {row["attempt"]: row["lent_attempt"] or row["attempt"] for row in listed}
        records = reversed(store.records(session, names))
        charged = {row["attempt"]: _figure(row, loan) for row in records}
        there = store.figures(session, _party(loan, centre), list(names.values()))
        # What only the partner has belongs to no time of ours, so it is told with the whole account.
        is_whole = since is None and until is None
        unknown = _unmatched(session, loan, centre, set(names.values())) if is_whole else []
    items = [_line(names[attempt], figure, there.get(names[attempt])) for attempt, figure in charged.items()]
    items += [_line(name, None, figure) for name, figure in unknown]
    states = Counter(item["state"] for item in items)
    return {
        "loan": loan or None,
        "centre": centre or None,
        "items": items,
        "attempts": len(items),
        **{state: states[state] for state in ("same", "differs", "untold", "unknown_here")},
        "here": _sums(item["here"] for item in items),
        "there": _sums(item["there"] for item in items),
        "currency": "CNY",
    }


def as_csv(found: Row) -> bytes:
    """The lines of a statement as CSV in UTF-8 with a mark, which spreadsheets need to read Chinese right."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for item in found["items"]:
        here, there = item["here"] or {}, item["there"] or {}
        pairs = [side.get(name) for name in ("job", "wall_s", "core_s", "outcome", "amount") for side in (here, there)]
        writer.writerow(
            [item["attempt"], *pairs, item["state"], "；".join(one["field"] for one in item["differences"])]
        )
    return "\ufeff".encode() + text.getvalue().encode()


def _unmatched(session: Session, loan: str, centre: str, known: set[str]) -> list[tuple[str, Row]]:
    """Attempts of which only the partner speaks."""
    told = store.figures(session, _party(loan, centre))
    missing = told.keys() - known
    ours = store.recorded(session, missing, loan_id=loan, centre=centre)
    return [(name, told[name]) for name in sorted(missing - ours)]


def _check(session: Session, loan: str, centre: str) -> None:
    if loan and store.loan(session, loan) is None:
        raise LoanUnknown(f"没有出借 {loan[:60]}")
    row = centres.centre(session, centre) if centre else None
    if centre and (row is None or row["capabilities"].get("engine") != PARTNER_ENGINE):
        raise CentreUnknown(f"没有名为 {centre[:60]} 的借入中心")


def _party(loan: str, centre: str) -> str:
    return f"loan:{loan}" if loan else f"centre:{centre}"


def _figure(row: Mapping[str, Any], loan: str) -> Row:
    return {
        "attempt": row["lent_attempt"] if loan else row["attempt"],
        "job": row["job"],
        "outcome": row["outcome"],
        **{name: round(row[name], 3) for name in NUMBERS},
        "accelerator_s": {kind: round(amount, 3) for kind, amount in row["accelerator_s"].items()},
        "amount": yuan(int(row["amount"] or 0)),
        "price_list": row["price_list"],
        "ended_at": rfc3339(row["ended_at"]),
    }


def _line(attempt: str, here: Row | None, there: Row | None) -> Row:
    found = differences(here, there) if here is not None and there is not None else []
    state = "untold" if there is None else "unknown_here" if here is None else "differs" if found else "same"
    return {
        "attempt": attempt,
        "state": state,
        "here": here,
        "there": None if there is None else {name: value for name, value in there.items() if name != "told_at"},
        "told_at": rfc3339(there["told_at"]) if there else None,
        "differences": [{"field": item.field, "here": item.here, "there": item.there} for item in found],
    }


def _sums(sides: Iterable[Row | None]) -> Row:
    told = [side for side in sides if side is not None]
    micro = sum(round(float(side["amount"]) * 1_000_000) for side in told)
    return {
        "attempts": len(told),
        **{name: round(sum(side[name] for side in told), 3) for name in NUMBERS},
        "amount": yuan(micro),
    }
