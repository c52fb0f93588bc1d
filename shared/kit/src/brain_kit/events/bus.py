"""What a way of carrying events must offer: the outbox tables themselves (local) or Kafka."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.orm import Session

from brain_kit.database import Database
from brain_kit.events.event import Event


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to a group. origin: the ordered stream it came from; position: its place there."""

    event: Event
    origin: Hashable
    position: int


class Subscription(Protocol):
    """The reading side of one group in one thread; not safe to share between threads."""

    def poll(self, timeout_s: float, limit: int) -> Sequence[Delivery]:
        """The next deliveries, at most `limit`, in order per key; empty when none comes within the timeout."""
        ...

    def store(self, session: Session, deliveries: Sequence[Delivery]) -> None:
        """Keep the positions behind the deliveries in the group's own transaction, where the bus does that."""
        ...

    def acknowledge(self) -> None:
        """All deliveries of the last poll are committed in the group's database: go on behind them."""
        ...

    def pass_over(self) -> None:
        """Nobody wants the deliveries of the last poll: go on behind them; after a crash they may come again."""
        ...

    def close(self) -> None:
        """Give up the subscription; what was not acknowledged is delivered again."""
        ...


class Publisher(Protocol):
    """The sending side of one relay."""

    def publish(self, events: Sequence[Event]) -> None:
        """Send the events in order per key; returns when all are stored by the broker, raises Unavailable if not."""
        ...

    def close(self) -> None:
        """Release the connections."""
        ...


class EventBus(Protocol):
    """Carries events from the outbox of one service to the consumers of others."""

    def register(self, service: str, database: Database) -> None:
        """Tell the bus of a service's database in this process: its outbox is read from now on, where that matters."""
        ...

    def subscribe(
        self, group: str, database: Database, topics: Sequence[str], words: Mapping[str, str] = {}
    ) -> Subscription:
        """A subscription of the group, from the first event that is still kept when the group is new to a topic.

        words: by topic, a text without which the data of an event are none of the group's business; a bus may leave
        such events out.
        """
        ...

    def publisher(self) -> Publisher | None:
        """A publisher for a relay, or None when outbox rows need no publishing."""
        ...

    def pending(self, database: Database) -> sa.ColumnElement[bool]:
        """The condition on outbox rows of this database that the broker or a known group still waits for."""
        ...

    def lag(self, group: str, database: Database, topics: Sequence[str]) -> dict[str, int]:
        """Events not yet handled by the group, per topic. Raises Unavailable when the bus does not answer."""
        ...

    def ping(self) -> None:
        """Raises Unavailable when the bus does not answer."""
        ...

    def close(self) -> None:
        """Release what the bus holds."""
        ...


def open_bus(url: str, *, partitions: int = 3) -> EventBus:
    """The bus of `local:` or `kafka://host:port[,host:port]`. partitions: of topics created on demand.

    Raises ValueError on another URL.
    """
    kind, _, rest = url.partition(":")
    if kind == "local":
        from brain_kit.events.local import LocalBus

        return LocalBus()
    if kind == "kafka" and rest.startswith("//") and rest[2:].strip("/"):
        # The Kafka client costs a quarter of a second to import: only those who use it pay.
        from brain_kit.events.kafka_bus import KafkaBus

        return KafkaBus(rest[2:].strip("/"), partitions=partitions)
    raise ValueError(f"events_url must be local: or kafka://host:port, not {url!r}")
