"""Loans: what this brain lends to an organisation that stands for another brain, and what it borrows elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from brain_contracts.events import LoanChanged
from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from brain_kit.events import emit_all
from brain_kit.ids import new_id
from sqlalchemy.orm import Session

from compute_scheduler.clients import CentreKeys
from compute_scheduler.domain.lending import PARTNER_ENGINE, Amounts, availability
from compute_scheduler.domain.states import LIVE
from compute_scheduler.service import centres as centre_service
from compute_scheduler.service.lending_errors import (
    BorrowerHasQuota,
    LoanExists,
    LoanInvalid,
    LoanUnknown,
    NotYourLoan,
)
from compute_scheduler.service.moves import demand_of
from compute_scheduler.store import accounts
from compute_scheduler.store import lending as store

Row = dict[str, Any]
HISTORY = 50
_TIMES = ("from_at", "until_at", "over_since", "seen_at", "created_at", "updated_at")


def brain_id(database: Database) -> str:
    """The id by which other brains know this one; made the first time that it is asked for."""
    with database.reading() as session:
        known = store.brain(session)
    if known is not None:
        return known
    with database.transaction() as session:
        name_brain(session, utc_now())
    with database.reading() as session:
        found = store.brain(session)  # of two that came together, the older stands
    assert found is not None
    return found


def name_brain(session: Session, now: datetime) -> str:
    """The same within a transaction."""
    known = store.brain(session)
    if known is None:
        known = new_id("brn")
        store.insert_brain(session, known, now)
    return known


def overview(database: Database) -> Row:
    """What is lent out and what is borrowed, with what of it is in use now."""
    now, own = utc_now(), brain_id(database)
    with database.reading() as session:
        loans = [_shown(session, row, now) for row in store.all_loans(session)]
    partners = [
        centre
        for centre in centre_service.list_centres(database)
        if centre["capabilities"].get("engine") == PARTNER_ENGINE
    ]
    return {"brain": own, "loans": loans, "borrowed": [_borrowed(centre) for centre in partners]}


def get_loan(database: Database, loan_id: str) -> Row:
    """A loan with its newest jobs. Raises LoanUnknown."""
    now = utc_now()
    with database.reading() as session:
        row = _known(session, loan_id)
        jobs = [_job_shown(job) for job in store.newest_of(session, loan_id, HISTORY)]
        return _shown(session, row, now) | {"jobs": jobs}


def make_loan(database: Database, principal: Principal, given: Mapping[str, Any]) -> Row:
    """Lends: from now on the borrower may hold the amounts here. Raises LoanExists, LoanInvalid, BorrowerHasQuota.

    given: id, borrower, title, amounts, hours, from_at, until_at, reclaim, notice_s.
    """
    now = utc_now()
    _check(given, now)
    fresh = {"state": "open", "created_by": principal.subject, "created_at": now, "updated_at": now}
    try:
        with database.transaction() as session:
            store.insert_loan(session, {**given, **fresh})
            tenant = accounts.tenant(session, given["borrower"], lock=True)
            others = [row for row in store.all_loans(session) if row["borrower"] == given["borrower"]]
            if tenant is not None and tenant["quota"] is not None and len(others) == 1:
                raise BorrowerHasQuota(
                    f"机构 {given['borrower']} 已有自己的配额；请先用 brain quota 收回，或为对方平台登记另一个机构"
                )
            _changed(session, principal, "loan.add", given["id"], now, dict(given))
    except sa.exc.IntegrityError as error:
        raise LoanExists(f"已有名为 {given['id']} 的出借，请换一个名字") from error
    return get_loan(database, given["id"])


def change_loan(database: Database, principal: Principal, loan_id: str, given: Mapping[str, Any]) -> Row:
    """Changes what is lent; less is in force at once for new jobs. Raises LoanUnknown, LoanInvalid.

    given: any of title, amounts, hours, from_at, until_at, reclaim, notice_s, state (`open` or `recalled`).
    """
    now = utc_now()
    with database.transaction() as session:
        row = store.loan(session, loan_id, lock=True)
        if row is None:
            raise _unknown(loan_id)
        _check({**row, **given}, now, changed=given.keys())
        store.update_loan(session, loan_id, {**given, "updated_at": now})
        action = "loan.recall" if given.get("state") == "recalled" else "loan.change"
        _changed(session, principal, action, loan_id, now, dict(given))
    return get_loan(database, loan_id)


def make_key(database: Database, principal: Principal, keys: CentreKeys, loan_id: str, token: str) -> Row:
    """A key with which the borrower's agent uses the loan; the answer carries it once. Raises LoanUnknown."""
    with database.reading() as session:
        _known(session, loan_id)
    # A crash after this leaves a key that belongs to no loan, and therefore can do nothing.
    made = keys.make_for_loan(loan_id, principal.org, token)
    with database.transaction() as session:
        store.add_key(session, made["id"], loan_id, utc_now())
        audit.record(session, principal, action="loan.key", object=loan_id, detail={"key": made["id"]})
    return {"loan": loan_id, "id": made["id"], "key": made["key"], "created_at": made["created_at"]}


def borrower_of(database: Database, principal: Principal, loan_id: str) -> Principal:
    """The caller as the borrower for which it acts. Raises NotYourLoan unless its key belongs to the loan.

    The key is one of the lender's own organisation with an agent's role, so that it sees nobody's rows.
    """
    with database.reading() as session:
        owned = store.loan_of_key(session, principal.subject)
        row = store.loan(session, loan_id) if owned == loan_id else None
    if row is None:
        raise NotYourLoan(f"这个密钥不属于出借 {loan_id}；请出借方用 brain lending key {loan_id} 生成")
    return replace(principal, org=row["borrower"], org_kind="enterprise")


def lent_amounts(loan: Mapping[str, Any], now: datetime) -> Amounts:
    """What the loan gives at a moment, nothing when it is not open."""
    amounts: Amounts = loan["amounts"] if availability(loan, now).is_open else {}
    return amounts


def _check(loan: Mapping[str, Any], now: datetime, changed: Any = None) -> None:
    errors: list[Row] = []
    amounts = loan["amounts"]
    missing = sorted({"cores", "memory_mb"} - amounts.keys())
    errors += [{"field": f"amounts.{name}", "reason": "缺少该字段"} for name in missing]
    errors += [{"field": f"amounts.{name}", "reason": "不能为负"} for name, amount in amounts.items() if amount < 0]
    for place, (start, end) in enumerate(loan["hours"]):
        if start == end:
            errors.append({"field": f"hours.{place}", "reason": "起止相同；整天出借请不写 hours"})
    begins, ends = loan["from_at"], loan["until_at"]
    if begins is not None and ends is not None and begins >= ends:
        errors.append({"field": "until_at", "reason": "应晚于 from_at"})
    if ends is not None and ends <= now and (changed is None or "until_at" in changed):
        errors.append({"field": "until_at", "reason": "已经过去；立即收回请用 brain lending recall"})
    if errors:
        named = "；".join(f"{item['field']}：{item['reason']}" for item in errors)
        raise LoanInvalid(f"出借不合要求：{named}", errors=errors)


def _changed(
    session: Session, principal: Principal, action: str, loan_id: str, now: datetime, detail: dict[str, Any]
) -> None:
    """What follows on a change: the borrower's quota, the event, the audit record."""
    row = _known(session, loan_id)
    set_quota(session, row["borrower"], now)
    emit_all(session, [loan_changed(row)])
    told = {name: rfc3339(value) if isinstance(value, datetime) else value for name, value in detail.items()}
    audit.record(session, principal, action=action, object=loan_id, detail=told)


def set_quota(session: Session, borrower: str, now: datetime) -> None:
    """Makes the borrower's quota the sum of what is lent to it; hours only say when jobs are taken."""
    total: dict[str, float] = {"cores": 0.0, "memory_mb": 0.0}
    for row in store.all_loans(session):
        if row["borrower"] == borrower and row["state"] == "open":
            for name, amount in row["amounts"].items():
                total[name] = total.get(name, 0.0) + amount
    accounts.save_tenant(session, borrower, now, quota=total)


def loan_changed(row: Mapping[str, Any]) -> LoanChanged:
    """The event of a loan's present state."""
    return LoanChanged(
        loan=row["id"],
        borrower=row["borrower"],
        state=row["state"],
        amounts=dict(row["amounts"]),
        until_at=row["until_at"],
        reclaim=row["reclaim"],
        notice_s=row["notice_s"],
    )


def _known(session: Session, loan_id: str) -> Row:
    row = store.loan(session, loan_id)
    if row is None:
        raise _unknown(loan_id)
    return row


def _unknown(loan_id: str) -> LoanUnknown:
    return LoanUnknown(f"没有出借 {loan_id[:60]}")


def _shown(session: Session, row: Row, now: datetime) -> Row:
    state = availability(row, now)
    live = store.lent_with_jobs(session, row["id"], None)
    used: dict[str, float] = {}
    for job in live:
        if job["state"] != "queued":
            for name, amount in demand_of(job["spec"]).amounts().items():
                used[name] = used.get(name, 0.0) + amount
    names = ("id", "borrower", "title", "amounts", "hours", "reclaim", "notice_s", "state", "partner", "created_by")
    return {
        **{name: row[name] for name in names},
        **{name: rfc3339(row[name]) if row[name] else None for name in _TIMES},
        "available": state.is_open,
        "reason": state.words,
        "used": used,
        "running": sum(job["state"] == "running" for job in live),
        "waiting": sum(job["state"] in ("queued", "starting") for job in live),
    }


def _job_shown(job: Row) -> Row:
    names = ("id", "state", "reason")
    times = ("submitted_at", "started_at", "ended_at")
    return {
        **{name: job[name] for name in names},
        "attempt": job["lent_attempt"],
        "resources": job["spec"]["resources"],
        "reclaimed": job["reclaimed_at"] is not None,
        "is_live": job["state"] in LIVE,
        **{name: rfc3339(job[name]) if job[name] else None for name in times},
    }


def _borrowed(centre: Row) -> Row:
    nodes = [node for node in centre["nodes"] if node["state"] == "up"]
    partner = centre["capabilities"].get("partner", {})
    return {
        "centre": centre["id"],
        "title": centre["title"],
        "owner": centre["owner"],
        "state": centre["state"],
        "detail": centre["capabilities"].get("health", {}).get("detail", ""),
        "brain": partner.get("brain"),
        "loan": partner.get("loan"),
        "cores": sum(node["cores"] for node in nodes),
        "memory_mb": sum(node["memory_mb"] for node in nodes),
        "used_cores": sum(node["used"]["cores"] for node in centre["nodes"]),
        "jobs": sum(node["used"]["jobs"] for node in centre["nodes"]),
        "seen_at": centre["seen_at"],
    }
