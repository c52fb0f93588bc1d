"""The audit chain: appended from events, read by pages, verified as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from brain_contracts.events import AuditRecorded
from brain_kit.auth import Principal
from brain_kit.clock import rfc3339
from brain_kit.database import Database
from sqlalchemy.orm import Session

from identity.domain.chain import GENESIS, first_broken, record_hash, storable
from identity.store import audit as store


def append(session: Session, event_id: str, record: AuditRecorded) -> None:
    """Appends a record to the chain; the inbox sees to it that each event comes once."""
    seq, previous = store.lock_head(session)
    fields = {"subject", "kind", "org", "name", "action", "object", "outcome", "detail"}
    body = storable(record.model_dump(mode="json", include=fields))
    body |= {"seq": seq + 1, "event_id": event_id, "at": rfc3339(record.at)}
    body |= {"previous_hash": previous, "hash": record_hash(body, previous)}
    store.append(session, body)


def list_records(
    database: Database,
    principal: Principal,
    *,
    before: int | None,
    limit: int,
    since: datetime | None = None,
    until: datetime | None = None,
    **equal: str | None,
) -> dict[str, Any]:
    """A page, newest first; operators and the operator's auditors see all, others their own organisation's.

    since, until: from the one (inclusive) to the other (exclusive). equal: org, subject, action, outcome.
    """
    sees_all = principal.is_operator or (principal.has("auditor") and principal.org_kind == "operator")
    wanted = equal.pop("org", None)
    if not sees_all and wanted not in (None, principal.org):
        return {"items": [], "next": None}
    org = wanted if sees_all else principal.org
    span = {"since": rfc3339(since) if since else None, "until": rfc3339(until) if until else None}
    with database.reading() as session:
        rows = store.page(session, org=org, before=before, limit=limit + 1, **span, **equal)
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
