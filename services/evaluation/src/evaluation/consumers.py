"""Events that evaluation consumes."""

from __future__ import annotations

from brain_contracts.events import WarehouseCommitted
from brain_kit.events import Event
from sqlalchemy.orm import Session

from evaluation.service import requests


def warehouse_committed(session: Session, event: Event) -> None:
    """A commit marks the clusters; they are computed anew when commits have paused."""
    requests.on_commit(session, event.payload(WarehouseCommitted))


HANDLERS = {WarehouseCommitted.topic: warehouse_committed}
