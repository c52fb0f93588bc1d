"""The audit chain: appended from events, read by pages, verified as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from brain_contracts.events import AuditRecorded
from brain_kit.auth import Principal
from brain_kit.clock import rfc3339
from brain_kit.database import Database
from sqlalchemy.orm import Session

from identity.domain.chain import GENESIS, first_broken, record_hash
from identity.store import audit as store


def append(session: Session, event_id: str, record: AuditRecorded) -> None:
    """Appends a record to the chain; the inbox sees to it that each event comes once."""
    seq, previous = store.lock_head(session)
    body: dict[str, Any] = {
        "seq": seq + 1,
        "event_id": event_id,
        "at": rfc3339(record.at),
        "subject": record.subject,
        "kind": record.kind,
        "org": record.org,
        "name": record.name[:200],
        "action": record.action,
        "object": record.object[:400],
        "outcome": record.outcome,
        "detail": record.detail,
    }
    body |= {"previous_hash": previous, "hash": record_hash(body, previous)}
    store.append(session, body)


def list_records(
    database: Database, principal: Principal, *, before: int | None, limit: int, **filters: str | None
) -> dict[str, Any]:
    """A page, newest first; operators and auditors of the operator see all, others their own organisation's."""
    sees_all = principal.is_operator or (principal.has("auditor") and principal.org_kind == "operator")
    wanted = filters.pop("org", None)
    org = wanted if sees_all else principal.org
    with database.reading() as session:
        rows = store.page(session, org=org, before=before, limit=limit + 1, **filters)
    return {"items": rows[:limit], "next": str(rows[limit - 1]["seq"]) if len(rows) > limit else None}


def verify(database: Database) -> dict[str, Any]:
    """Computes the whole chain again: {ok, records, first_broken, head}."""
    with database.reading() as session:
        seq, last = store.head(session)
        seen: list[tuple[int, str]] = [(0, GENESIS)]
        broken = first_broken(_remembering(store.in_order(session), seen))
    if broken is None and seen[-1] != (seq, last):
        broken = seen[-1][0] + 1  # records were cut off the end
    return {"ok": broken is None, "records": seq, "first_broken": broken, "head": last}


def _remembering(records: Iterable[dict[str, Any]], seen: list[tuple[int, str]]) -> Iterator[dict[str, Any]]:
    for record in records:
        seen[-1] = (record["seq"], record["hash"])
        yield record
