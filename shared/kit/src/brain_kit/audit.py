"""Audit: every write use case records who did what, in the transaction that does it."""

from __future__ import annotations

from typing import Any, Literal

from brain_contracts.events import AuditRecorded
from sqlalchemy.orm import Session

from brain_kit.auth import Principal
from brain_kit.clock import utc_now
from brain_kit.events import emit


def record(
    session: Session,
    principal: Principal,
    *,
    action: str,
    object: str,  # noqa: A002 - the field's name in the record
    outcome: Literal["ok", "refused", "failed"] = "ok",
    detail: dict[str, Any] | None = None,
) -> None:
    """Writes an audit record that identity appends to its hash chain.

    action: `<noun>.<verb>`. object: what was acted on. detail: small facts, never secrets or row values.
    """
    emit(
        session,
        AuditRecorded(
            at=utc_now(),
            subject=principal.subject,
            kind=principal.kind,
            org=principal.org,
            name=principal.name,
            action=action,
            object=object,
            outcome=outcome,
            detail=detail or {},
        ),
    )
