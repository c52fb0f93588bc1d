"""Events that the government side consumes."""

from __future__ import annotations

from brain_contracts.events import WarehouseCommitted
from brain_kit.events import Event
from sqlalchemy.orm import Session

from government_services.service import refresh


def warehouse_committed(session: Session, event: Event) -> None:
    """A commit to a data set marks the chains that read it."""
    refresh.on_commit(session, event.payload(WarehouseCommitted), event.id)


HANDLERS = {WarehouseCommitted.topic: warehouse_committed}
