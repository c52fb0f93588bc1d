"""Settlement between tenants and the owners of centres: statements of a month, and closing it.

Statements are sums over the ledger. A closed month gets no more entries (postings go to the first open month), so that
its statements stay what they were; the digest kept at its closing proves it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import CHINA, month_of, rfc3339, utc_now
from brain_kit.database import Database
from sqlalchemy.orm import Session

from compute_scheduler.domain import ledger as rules
from compute_scheduler.service.errors import PeriodNotClosable, StatementUnknown
from compute_scheduler.service.ledger import item_shown, post_pending
from compute_scheduler.service.tenancy import Actor
from compute_scheduler.store import ledger as store

Row = dict[str, Any]
COLUMNS = (
    "period", "state", "tenant", "owner", "ownership", "centre", "charge", "price_list", "resource", "entries",
    "quantity", "unit", "price", "amount", "currency",
)  # fmt: skip
TITLES = (
    "账期", "状态", "租户", "中心所有者", "归属", "算力中心", "计费", "价目", "资源", "记录数", "数量", "单位", "单价",
    "金额", "币种",
)  # fmt: skip
NUMBERS = frozenset({"entries", "quantity", "price", "amount"})


def list_periods(database: Database, actor: Actor) -> list[Row]:
    """Months with usage that the caller may see, the newest first, with their state."""
    with database.reading() as session:
        closed = store.closed_periods(session)
        rows = store.months(session, actor.scope)
    return [_period_shown(row["period"], closed.get(row["period"]), row) for row in rows]


def list_statements(database: Database, actor: Actor, period: str, *, org: str = "", owner: str = "") -> Row:
    """What each tenant owes each owner in a month, of those that the caller may see, and the sums."""
    with database.reading() as session:
        closed = store.closed_periods(session).get(period)
        rows = store.pairs(session, actor.scope, period, org, owner)
        waiting = store.count_unposted(session, _end_of(period))
    amounts = [row["amount"] for row in rows]
    borrowed = sum(row["amount"] for row in rows if row["org"] != row["owner"])
    return {
        "period": period,
        "state": "closed" if closed else "draft",
        "currency": "CNY",
        "items": [_statement_shown(period, closed, row) for row in rows],
        "amount": rules.yuan(sum(amounts)),
        "borrowed_amount": rules.yuan(borrowed),
        "unposted": waiting if actor.scope is None else None,
    }


def get_statement(database: Database, actor: Actor, period: str, org: str, owner: str) -> Row:
    """A statement with its lines. Raises StatementUnknown, for those of others too."""
    rows: list[Row] = []
    if actor.may_see(org) or actor.may_see(owner):
        with database.reading() as session:
            closed = store.closed_periods(session).get(period)
            rows = store.pairs(session, None, period, org, owner)
            found = store.lines(session, None, period, org, owner)
    if not rows:
        raise StatementUnknown(f"{period} 没有 {org[:18]} 与 {owner[:18]} 之间的结算单")
    return _statement_shown(period, closed, rows[0]) | {"lines": [_line_shown(line) for line in found]}


def close_period(database: Database, principal: Principal, period: str) -> Row:
    """Closes a month that is over; what comes later goes to the next one. Raises PeriodNotClosable."""
    now = utc_now()
    if month_of(now) <= period:
        raise PeriodNotClosable(f"{period} 还没有结束，{rfc3339(_end_of(period))} 之后才能关账")
    post_pending(database)
    with database.transaction() as session:
        store.lock(session)
        closed = store.closed_periods(session)
        _check_closable(session, period, closed)
        rows = store.pairs(session, None, period)
        assert sum(store.balances(session, period).values()) == 0, "the postings of a month do not sum to zero"
        row = {
            "period": period,
            "closed_at": now,
            "closed_by": principal.subject,
            "entries": sum(pair["entries"] for pair in rows),
            "amount": sum(pair["amount"] for pair in rows),
            "digest": digest_of(session, period),
        }
        store.insert_period(session, row)
        detail = {name: row[name] for name in ("entries", "digest")} | {"amount": rules.yuan(row["amount"])}
        audit.record(session, principal, action="settlement.close", object=period, detail=detail)
    return _period_shown(period, row, row)


def digest_of(session: Session, period: str) -> str:
    """SHA-256 over every line of a month's statements, in a fixed order."""
    lines = [
        _line_shown(line) | {"tenant": line["org"], "owner": line["owner"]}
        for line in store.lines(session, None, period)
    ]
    text = json.dumps(lines, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def export_csv(database: Database, actor: Actor, period: str, *, org: str = "", owner: str = "") -> Iterator[bytes]:
    """The lines of a month's statements as CSV in UTF-8 with a mark, which spreadsheets need to read Chinese right."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in _export_rows(database, actor, period, org, owner):
        writer.writerow(["" if row[name] is None else row[name] for name in COLUMNS])
    yield "\ufeff".encode() + text.getvalue().encode()


def export_xlsx(database: Database, actor: Actor, period: str, *, org: str = "", owner: str = "") -> bytes:
    """The statements of a month as a workbook: a sheet of totals and a sheet of lines."""
    from openpyxl import Workbook
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    found = list_statements(database, actor, period, org=org, owner=owner)
    book = Workbook()
    totals = book.active
    totals.title = "结算单"
    totals.append([f"算力结算 {period}", "已关账" if found["state"] == "closed" else "草稿"])
    totals.append(
        ["租户", "中心所有者", "归属", "记录数", "未计费", "电量 kWh", "碳排放 kg", "金额 元（六位）", "应付 元"]
    )
    for item in found["items"]:
        owned = "自有" if item["ownership"] == "own" else "借用"
        carbon = None if item["carbon_g"] is None else item["carbon_g"] / 1000
        totals.append(
            [item["tenant"], item["owner"], owned, item["entries"], item["not_charged"], item["energy_kwh"], carbon,
             item["amount"], float(item["payable"])]
        )  # fmt: skip
    lines = book.create_sheet("明细")
    lines.append(TITLES)
    for row in _export_rows(database, actor, period, org, owner):
        lines.append([float(row[n]) if n in NUMBERS and row[n] is not None else row[n] for n in COLUMNS])
    for sheet, head in ((totals, 2), (lines, 1)):
        for cell in sheet[head]:
            cell.font = Font(bold=True)
        for column in range(1, sheet.max_column + 1):
            sheet.column_dimensions[get_column_letter(column)].width = 22
        sheet.freeze_panes = f"A{head + 1}"
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def _export_rows(database: Database, actor: Actor, period: str, org: str, owner: str) -> list[Row]:
    with database.reading() as session:
        state = "closed" if period in store.closed_periods(session) else "draft"
        rows = store.lines(session, actor.scope, period, org, owner)
    return [
        {"period": period, "state": state, "tenant": row["org"], "owner": row["owner"], "currency": "CNY"}
        | {"ownership": "own" if row["org"] == row["owner"] else "borrowed"}
        | _line_shown(row)
        for row in rows
    ]


def _check_closable(session: Session, period: str, closed: dict[str, Row]) -> None:
    if period in closed:
        raise PeriodNotClosable(f"{period} 已于 {rfc3339(closed[period]['closed_at'])} 关账")
    earlier = [row["period"] for row in store.months(session, None) if row["period"] < period]
    still_open = sorted(month for month in earlier if month not in closed)
    if still_open:
        raise PeriodNotClosable(f"请先关 {still_open[0]}：账期按先后关闭", earlier=still_open)
    waiting = store.count_unposted(session, _end_of(period))
    if waiting:
        raise PeriodNotClosable(f"{period} 还有 {waiting} 条用量没有入账，请稍后再关", unposted=waiting)


def _end_of(period: str) -> datetime:
    after = rules.following(period)
    return datetime(int(after[:4]), int(after[5:]), 1, tzinfo=CHINA).astimezone(UTC)


def _period_shown(period: str, closed: Row | None, sums: Row) -> Row:
    return {
        "period": period,
        "state": "closed" if closed else "draft",
        "entries": sums["entries"],
        "amount": rules.yuan(sums["amount"]),
        "currency": "CNY",
        "closed_at": rfc3339(closed["closed_at"]) if closed else None,
        "closed_by": closed["closed_by"] if closed else None,
        "digest": closed["digest"] if closed else None,
    }


def _statement_shown(period: str, closed: Row | None, row: Row) -> Row:
    energy, carbon = row["energy_uwh"], row["carbon_ug"]
    return {
        "period": period,
        "state": "closed" if closed else "draft",
        "tenant": row["org"],
        "owner": row["owner"],
        "ownership": "own" if row["org"] == row["owner"] else "borrowed",
        "entries": row["entries"],
        "not_charged": row["not_charged"],
        "energy_kwh": None if energy is None else energy / 1e9,
        "carbon_g": None if carbon is None else carbon / 1e6,
        # Of how many entries energy and carbon are known.
        "with_energy": row["with_energy"],
        "with_carbon": row["with_carbon"],
        "amount": rules.yuan(row["amount"]),
        "payable": rules.fen(row["amount"]),
        "currency": "CNY",
    }


def _line_shown(line: Row) -> Row:
    return {name: line[name] for name in ("centre", "charge", "price_list", "entries")} | item_shown(line)
