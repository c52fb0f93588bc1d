"""Events that identity consumes."""

from __future__ import annotations

from brain_contracts.events import AuditRecorded
from brain_kit.events import Event
from sqlalchemy.orm import Session

from identity.service import audit


def audit_recorded(session: Session, event: Event) -> None:
    """Appends an audit record to the hash chain."""
    audit.append(session, event.id, event.payload(AuditRecorded))


HANDLERS = {AuditRecorded.topic: audit_recorded}
