"""Remembering who did what, beside the audit trail: the history stands on the page of the object itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import rfc3339
from sqlalchemy.orm import Session

from evaluation.service.problems import EditedMeanwhile
from evaluation.store import choices as store


def remember(
    session: Session,
    caller: Principal,
    subject: tuple[str, str],
    action: str,
    now: datetime,
    *,
    before: Any = None,
    after: Any = None,
    note: str = "",
) -> None:
    """Adds to the history of `subject` (kind, id) and to the audit trail, in the caller's transaction."""
    kind, identity = subject
    store.add_history(
        session,
        {
            "subject_kind": kind,
            "subject_id": identity,
            "action": action,
            "before": before,
            "after": after,
            "note": note,
            "by": caller.subject,
            "by_name": caller.name or caller.org_name or caller.subject,
            "org": caller.org,
            "at": now,
        },
    )
    audit.record(session, caller, action=f"{kind}.{action}", object=identity)


def history_items(session: Session, kind: str, identity: str) -> list[dict[str, Any]]:
    """What was done to an object, newest first."""
    return [
        {
            "action": row.action,
            "before": row.before,
            "after": row.after,
            "note": row.note,
            "by": row.by,
            "by_name": row.by_name,
            "org": row.org,
            "at": rfc3339(row.at),
        }
        for row in store.history_of(session, kind, identity)
    ]


def check_version(given: str | None, version: int) -> None:
    """Compares an If-Match header with the version. Raises EditedMeanwhile."""
    if given is None or given.strip() == "*":
        return
    if given.strip().removeprefix("W/").strip('"') != str(version):
        raise EditedMeanwhile(f"内容已被他人修改（现为第 {version} 版），请重新读取后再改", version=version)
