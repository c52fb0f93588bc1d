"""Workers of the data hub."""

from __future__ import annotations

from brain_kit.database import Database
from brain_kit.events import Consumer, Relay
from brain_kit.service import Platform, Worker

from data_hub.consumers import HANDLERS
from data_hub.service.commit import Committer
from data_hub.service.sweep import Sweeper

GROUP = "data-hub"


def relay(platform: Platform, database: Database) -> Worker:
    """Publishes the service's own events."""
    return Worker("relay", "relay", Relay(database, platform.bus).run)


def consumer(platform: Platform, database: Database) -> Worker:
    """Handles the events of other services."""
    return Worker("consumer", "consumer", Consumer(GROUP, database, platform.bus, HANDLERS).run)


def committer(committing: Committer) -> Worker:
    """Makes validated pushes part of their tables."""
    return Worker("committer", "committer", committing.run)


def sweeper(sweeping: Sweeper) -> Worker:
    """Cleans up after processes that died."""
    return Worker("sweeper", "periodic", sweeping.run)
