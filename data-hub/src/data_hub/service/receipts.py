"""What a caller is shown of a push."""

from __future__ import annotations

from typing import Any

from brain_contracts.events import PushChanged
from brain_kit.auth import Principal
from brain_kit.clock import rfc3339
from brain_kit.database import Database

from data_hub.domain.refusals import PushUnknown
from data_hub.store import PushRecord, get_push, list_pushes

PUBLIC_PATH = "/api/data-hub/v1/pushes"


def receipt(record: PushRecord) -> dict[str, Any]:
    """The receipt of a push."""
    return {
        "id": record.id,
        "dataset": record.dataset,
        "owner": record.owner,
        "mode": record.mode,
        "state": record.state,
        "received": record.received,
        "accepted": record.accepted,
        "rejected": record.rejected,
        "bytes": record.bytes,
        "snapshot": record.snapshot,
        "rejects_url": f"{PUBLIC_PATH}/{record.id}/rejects" if record.rejects_key else None,
        "rejects": record.rejects or [],
        "problems": record.problems or [],
        "contract_version": record.contract_version,
        "created_at": rfc3339(record.created_at),
        "validated_at": None if record.validated_at is None else rfc3339(record.validated_at),
        "committed_at": None if record.committed_at is None else rfc3339(record.committed_at),
    }


def load_push(database: Database, caller: Principal, push_id: str) -> PushRecord:
    """A push that the caller may know of. Raises PushUnknown for others' as for none."""
    with database.reading() as session:
        record = get_push(session, push_id)
    if record is None or not (caller.is_government or record.owner == caller.org):
        raise PushUnknown(f"没有推送 {push_id[:60]}")
    return record


def page_of_pushes(
    database: Database,
    caller: Principal,
    *,
    dataset: str | None,
    state: str | None,
    after: str | None,
    limit: int,
) -> dict[str, Any]:
    """Receipts, newest first; `next` is given as `after` for the following page."""
    owner = None if caller.is_government else caller.org
    with database.reading() as session:
        found = list_pushes(session, owner=owner, dataset=dataset, state=state, before=after, limit=limit + 1)
    items = [receipt(record) | {"rejects": []} for record in found[:limit]]
    return {"items": items, "next": found[limit - 1].id if len(found) > limit else None}


def changed_event(record: PushRecord) -> PushChanged:
    """The event that tells of a validated or refused push."""
    return PushChanged(
        push_id=record.id,
        dataset=record.dataset,
        owner=record.owner,
        state="refused" if record.state == "refused" else "validated",
        accepted=record.accepted,
        rejected=record.rejected,
    )
