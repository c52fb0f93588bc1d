"""Events that the data hub consumes."""

from __future__ import annotations

from brain_contracts.events import LineageReported
from brain_kit.events import Event
from sqlalchemy.orm import Session

from data_hub.service.lineage import reports


def lineage_reported(session: Session, event: Event) -> None:
    """A run of another service goes into the graph."""
    reports.reported(session, event.payload(LineageReported))


HANDLERS = {LineageReported.topic: lineage_reported}
