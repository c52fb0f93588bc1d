"""Workers of government-services."""

from __future__ import annotations

from brain_kit.database import Database
from brain_kit.events import Consumer
from brain_kit.service import Platform, Worker

from government_services.consumers import HANDLERS

GROUP = "government-services"


def consumer(platform: Platform, database: Database) -> Worker:
    """Handles the events of other services."""
    return Worker("consumer", "consumer", Consumer(GROUP, database, platform.bus, HANDLERS).run)
