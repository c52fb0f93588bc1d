"""The local bus: consumers read the outbox tables of the services in the process, each group with its own positions."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from brain_kit.clock import gather, utc_now
from brain_kit.database import Database
from brain_kit.database.tables import CONSUMER_OFFSET, OUTBOX
from brain_kit.database.types import UtcDateTime
from brain_kit.events import wakeup
from brain_kit.events.bus import Delivery
from brain_kit.events.outbox import event_of

# Under load events are looked for this often, so that they come in batches; the first after a pause comes at once.
GATHER_S = 0.05
# Commits of this process are told; those of other processes are looked for.
LOOK_EVERYWHERE_S = 0.4
# What nobody wants is passed over; that it was is written this often, and when nothing comes.
KEEP_EVERY_S = 1.0
# All groups share what was found out about an outbox this long.
HEAD_S = 0.1
_NEWEST = sa.select(sa.func.max(OUTBOX.c.id))
_COLUMNS = [OUTBOX.c[name] for name in ("id", "event_id", "topic", "key", "source", "time", "data", "traceparent")]
_ADVANCE = sa.text("""
    INSERT INTO consumer_offset ("group", source, topic, position, at)
    VALUES (:group_name, :source, :topic, :place, :at)
    ON CONFLICT ("group", source, topic) DO UPDATE SET position = excluded.position, at = excluded.at
    WHERE excluded.position > consumer_offset.position
""").bindparams(sa.bindparam("at", type_=UtcDateTime))


class LocalBus:
    """Delivers straight from the outbox tables.

    Positions are kept in the consumer's database, in the transaction of the handler: exactly once by themselves.
    A commit in this process wakes the consumers at once; those of other processes see it within half a second.
    """

    def __init__(self) -> None:
        self._databases: dict[str, Database] = {}
        self._heads: dict[str, tuple[float, int]] = {}

    @property
    def databases(self) -> dict[str, Database]:
        """The registered databases by service name."""
        return dict(self._databases)

    def register(self, service: str, database: Database) -> None:
        """Read the outbox of this service from now on."""
        database.ordered_outbox = True
        self._databases[service] = database
        self._heads.pop(service, None)
        wakeup.notify()

    def subscribe(
        self, group: str, database: Database, topics: Sequence[str], words: Mapping[str, str] = {}
    ) -> LocalSubscription:
        """A subscription whose positions live in `database`; the outboxes' databases look for the words."""
        return LocalSubscription(self, group, database, topics, words)

    def publisher(self) -> None:
        """Nothing needs publishing."""
        return

    def pending(self, database: Database) -> sa.ColumnElement[bool]:
        """Rows in front of the slowest group that reads their topic."""
        source = next((name for name, known in self._databases.items() if known is database), database.name)
        behind: dict[str, int] = {}
        for consumer in self._databases.values():
            for topic, position in _positions_of(consumer, source):
                behind[topic] = min(position, behind.get(topic, position))
        waiting = [sa.and_(OUTBOX.c.topic == topic, OUTBOX.c.id > position) for topic, position in behind.items()]
        return sa.or_(sa.false(), *waiting)

    def lag(self, group: str, database: Database, topics: Sequence[str]) -> dict[str, int]:
        """Outbox rows behind the group's positions, per topic."""
        lag = dict.fromkeys(topics, 0)
        positions = _load(database, group)
        for source, producer in self._databases.items():
            with producer.reading() as session:
                for topic in topics:
                    behind = sa.and_(OUTBOX.c.topic == topic, OUTBOX.c.id > positions.get((source, topic), 0))
                    lag[topic] += session.execute(
                        sa.select(sa.func.count()).select_from(OUTBOX).where(behind)
                    ).scalar_one()
        return lag

    def head(self, source: str, database: Database) -> int:
        """The newest row of an outbox, as anybody here has seen it within the last tenth of a second."""
        seen_at, newest = self._heads.get(source, (float("-inf"), 0))
        now = time.monotonic()
        if now - seen_at >= HEAD_S:
            with database.reading() as session:
                newest = session.execute(_NEWEST).scalar() or 0
            self._heads[source] = (now, newest)
        return newest

    def ping(self) -> None:
        """The bus is the databases; each service checks its own."""

    def close(self) -> None:
        """Forget the databases; they belong to the services."""
        self._databases.clear()
        self._heads.clear()


class LocalSubscription:
    """Reads every registered outbox behind the group's positions."""

    def __init__(
        self, bus: LocalBus, group: str, database: Database, topics: Sequence[str], words: Mapping[str, str]
    ) -> None:
        self._bus = bus
        self._group = group
        self._database = database
        self._topics = list(topics)
        self._leaves_out = bool(words)
        self._wanted = (
            sa.select(*_COLUMNS)
            .where(OUTBOX.c.id > sa.bindparam("after"), OUTBOX.c.id <= sa.bindparam("newest"))
            .where(OUTBOX.c.topic.in_(self._topics), *[_has_word(topic, word) for topic, word in words.items()])
            .order_by(OUTBOX.c.id)
            .limit(sa.bindparam("most"))
        )
        self._positions = _load(database, group)
        self._ready: set[str] = set()
        # Up to here the outbox has nothing for us; saves reading over other topics' rows again at each poll.
        self._scanned: dict[str, int] = {}
        # Commits of our topics to a source before the last look at it, which found nothing.
        self._quiet: dict[str, int] = {}
        self._looked = self._looked_everywhere = float("-inf")
        self._is_behind = False
        self._served = ""
        self._pending: list[Delivery] = []
        # By source how far deliveries were passed over, where that is not written yet.
        self._passed: dict[str, int] = {}
        self._kept = time.monotonic()

    def poll(self, timeout_s: float, limit: int) -> list[Delivery]:
        """The next deliveries of the first outbox that has some."""
        if time.monotonic() - self._kept >= KEEP_EVERY_S:
            self._keep_passed()
        seen = wakeup.told(self._topics)
        found = self._look(limit)
        if not found:
            wakeup.wait_for(self._topics, seen, timeout_s)
            found = self._look(limit)
        if not found:
            self._keep_passed()
        self._pending = found
        self._is_behind = len(found) == limit
        return found

    def store(self, session: Session, deliveries: Sequence[Delivery]) -> None:
        """Move the group's positions forward, never back."""
        self._store(session, _last(deliveries))

    def acknowledge(self) -> None:
        """Take over the positions that were committed."""
        for source, position in _last(self._pending).items():
            for topic in self._topics:
                self._positions[source, topic] = max(position, self._positions.get((source, topic), 0))
            self._passed.pop(source, None)
        self._pending = []

    def pass_over(self) -> None:
        """Go on behind the deliveries; a transaction for each batch that nobody wants would cost more than reading."""
        passed = self._passed | _last(self._pending)
        self.acknowledge()
        self._passed = passed

    def close(self) -> None:
        """Write what was passed over; nothing is held open."""
        self._keep_passed()

    def _keep_passed(self) -> None:
        self._kept = time.monotonic()
        if self._passed:
            with self._database.transaction() as session:
                self._store(session, self._passed)
            self._passed = {}

    def _store(self, session: Session, positions: Mapping[str, int]) -> None:
        # All rows up to a position were read for all our topics, so all their positions move together: the next read
        # starts behind this row for each of them.
        now = utc_now()
        rows = [
            {"group_name": self._group, "source": source, "topic": topic, "place": position, "at": now}
            for source, position in positions.items()
            for topic in self._topics
        ]
        session.execute(_ADVANCE, rows)

    def _look(self, limit: int) -> list[Delivery]:
        if not self._is_behind:
            gather(self._looked, GATHER_S)
        self._looked = time.monotonic()
        if self._looked - self._looked_everywhere >= LOOK_EVERYWHERE_S:
            self._looked_everywhere = self._looked
            for source, database in self._bus.databases.items():
                if source in self._quiet and self._bus.head(source, database) > self._scanned.get(source, -1):
                    del self._quiet[source]
        return self._read_any(limit)

    def _read_any(self, limit: int) -> list[Delivery]:
        sources = self._bus.databases
        # Begin behind the source served last: one busy service must not starve the others.
        names = sorted(sources)
        start = names.index(self._served) + 1 if self._served in sources else 0
        for source in names[start:] + names[:start]:
            commits = wakeup.commits(sources[source], self._topics)
            if self._quiet.get(source) == commits or not self._has_outbox(source, sources[source]):
                continue
            found = self._read(source, sources[source], limit)
            if found:
                self._served = source
                return found
            self._quiet[source] = commits
        return []

    def _has_outbox(self, source: str, database: Database) -> bool:
        """False while the service has not made its schema yet; it must not stop the others."""
        if source not in self._ready:
            with database.reading() as session:
                if sa.inspect(session.connection()).has_table("outbox"):
                    self._ready.add(source)
        return source in self._ready

    def _read(self, source: str, database: Database, limit: int) -> list[Delivery]:
        position = {topic: self._positions.get((source, topic), 0) for topic in self._topics}
        after = max(min(position.values(), default=0), self._scanned.get(source, 0))
        with database.reading() as session:
            newest = session.execute(_NEWEST).scalar() or 0
            while after < newest:
                rows = session.execute(self._wanted, {"after": after, "newest": newest, "most": limit}).all()
                # Topics stand at different places only after one was added: those ahead were handled before.
                found = [Delivery(event_of(row), source, row.id) for row in rows if row.id > position[row.topic]]
                if found:
                    return found
                after = rows[-1].id if len(rows) == limit else newest
        self._scanned[source] = after
        if self._leaves_out and after > min(position.values()):
            self._passed[source] = after
        return []


def _has_word(topic: str, word: str) -> sa.ColumnElement[bool]:
    """Whether an event is of another topic, or its data contain the word."""
    return (OUTBOX.c.topic != topic) | sa.cast(OUTBOX.c.data, sa.Text).contains(word, autoescape=True)


def _last(deliveries: Sequence[Delivery]) -> dict[str, int]:
    last: dict[str, int] = {}
    for delivery in deliveries:
        last[str(delivery.origin)] = max(delivery.position, last.get(str(delivery.origin), 0))
    return last


def _load(database: Database, group: str) -> dict[tuple[str, str], int]:
    columns = (CONSUMER_OFFSET.c.source, CONSUMER_OFFSET.c.topic, CONSUMER_OFFSET.c.position)
    with database.reading() as session:
        rows = session.execute(sa.select(*columns).where(CONSUMER_OFFSET.c.group == group)).all()
    return {(row.source, row.topic): row.position for row in rows}


def _positions_of(database: Database, source: str) -> list[tuple[str, int]]:
    columns = (CONSUMER_OFFSET.c.topic, CONSUMER_OFFSET.c.position)
    with database.reading() as session:
        rows = session.execute(sa.select(*columns).where(CONSUMER_OFFSET.c.source == source)).all()
    return [(row.topic, row.position) for row in rows]
