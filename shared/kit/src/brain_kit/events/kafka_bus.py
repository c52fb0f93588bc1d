"""The Kafka bus: one topic per event type, one consumer group per service, CloudEvents in structured mode."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import orjson
import sqlalchemy as sa
import structlog
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError, RetriableError, TopicAlreadyExistsError, for_code
from sqlalchemy.orm import Session

from brain_kit.database import Database
from brain_kit.database.tables import OUTBOX
from brain_kit.events.bus import Delivery
from brain_kit.events.event import Event, from_cloudevent
from brain_kit.events.kafka_clients import connect
from brain_kit.problems import Unavailable

T = TypeVar("T")

HEADERS = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
# Must stay well below the producer's delivery timeout (120 s): the broker then refuses gaps in the sequence, so what
# a given-up producer still delivers is a prefix, and publishing again from the first unmarked row keeps the order.
PUBLISH_TIMEOUT_S = 10.0
# While the broker waits for news of an empty partition, the client asks it for no other one: with the default of 500 ms
# a backlog in few partitions is read three times slower. A group that has had nothing to do for a while asks with the
# default: the broker still answers at once when something comes, and asking ten times a second costs both of them most
# of what they use while nothing happens.
BUSY_WAIT_MS, IDLE_WAIT_MS = 100, 500
IDLE_AFTER_S = 2.0
_log = structlog.get_logger("brain_kit.events")


class BusUnavailable(Unavailable):
    """The broker does not answer. Events wait in the outbox; nothing is lost."""

    code = "event_bus_unavailable"
    title = "Event bus unavailable"


class KafkaBus:
    """Kafka at `host:port[,host:port]`. Topics are created on demand with the given number of partitions.

    answer_within_s: how long a new connection waits for the broker.
    """

    def __init__(self, servers: str, *, partitions: int = 3, answer_within_s: float = 5.0) -> None:
        self._connection: dict[str, Any] = {
            "bootstrap_servers": servers.split(","),
            # By default a client that found the broker away comes back up to 30 s late.
            "reconnect_backoff_max_ms": 1000,
            "bootstrap_timeout_ms": int(answer_within_s * 1000),
        }
        self._partitions = partitions
        self._lock = threading.Lock()
        self._admin: KafkaAdminClient | None = None
        self._topics: set[str] = set()

    def register(self, service: str, database: Database) -> None:
        """Nothing to do: a relay brings the outbox of the database to the broker."""

    def subscribe(
        self, group: str, database: Database, topics: Sequence[str], words: Mapping[str, str] = {}
    ) -> KafkaSubscription:
        """A member of the group; the broker does not look for words. Raises Unavailable when it does not answer."""
        self.ensure_topics(topics)
        with _guarded():
            return KafkaSubscription(
                connect(
                    KafkaConsumer,
                    group_id=group,
                    enable_auto_commit=False,
                    auto_offset_reset="earliest",
                    allow_auto_create_topics=False,
                    session_timeout_ms=10_000,
                    fetch_max_wait_ms=BUSY_WAIT_MS,
                    **self._connection,
                ),
                topics,
            )

    def publisher(self) -> KafkaPublisher:
        """An idempotent producer. Raises Unavailable when the broker does not answer."""
        with _guarded():
            producer = connect(
                KafkaProducer,
                acks="all",
                enable_idempotence=True,
                allow_auto_create_topics=False,
                linger_ms=5,
                batch_size=131_072,
                max_block_ms=int(PUBLISH_TIMEOUT_S * 1000),
                **self._connection,
            )
        return KafkaPublisher(self, producer)

    def pending(self, database: Database) -> sa.ColumnElement[bool]:
        """Rows that the broker has not stored yet."""
        return OUTBOX.c.published_at.is_(None)

    def lag(self, group: str, database: Database, topics: Sequence[str]) -> dict[str, int]:
        """End of each topic minus the group's committed position. Raises Unavailable when the broker is away."""

        def ask(admin: KafkaAdminClient) -> dict[str, int]:
            known = admin.describe_topics(sorted(set(topics) & set(admin.list_topics())))
            places = [
                TopicPartition(topic["name"], part["partition_index"])
                for topic in known
                for part in topic["partitions"]
            ]
            if not places:
                return dict.fromkeys(topics, 0)
            ends = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST))
            starts = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.EARLIEST))
            kept = admin.list_group_offsets({group: places}).get(group, {})
            lag = dict.fromkeys(topics, 0)
            for place in places:
                committed = kept[place].offset if place in kept and kept[place].offset >= 0 else starts[place].offset
                lag[place.topic] += max(0, ends[place].offset - committed)
            return lag

        return self._ask(ask)

    def ping(self) -> None:
        """Raises Unavailable when the broker does not answer."""
        self._ask(lambda admin: admin.list_topics())

    def close(self) -> None:
        """Close the administration client."""
        with self._lock:
            self._drop_admin()

    def ensure_topics(self, topics: Iterable[str]) -> None:
        """Create the topics that do not exist. Raises Unavailable when the broker does not answer."""
        missing = set(topics) - self._topics
        if not missing:
            return

        def create(admin: KafkaAdminClient) -> None:
            new = sorted(missing - set(admin.list_topics()))
            if new:
                layout = {"num_partitions": self._partitions, "replication_factor": -1}
                answer = admin.create_topics(dict.fromkeys(new, layout), raise_errors=False)
                for topic in answer["topics"]:
                    error = for_code(topic["error_code"])
                    # Another process may have been faster.
                    if topic["error_code"] and error is not TopicAlreadyExistsError:
                        raise error(topic["error_message"])
                admin.wait_for_topics(new)

        self._ask(create)
        self._topics |= missing

    def _ask(self, question: Callable[[KafkaAdminClient], T]) -> T:
        with self._lock, _guarded():
            if self._admin is None:
                self._admin = connect(KafkaAdminClient, request_timeout_ms=5000, **self._connection)
            try:
                return question(self._admin)
            except KafkaError:
                self._drop_admin()
                raise

    def _drop_admin(self) -> None:
        if self._admin is not None:
            self._admin.close()
            self._admin = None


class KafkaSubscription:
    """A member of a consumer group; offsets are committed after the group's database has committed."""

    def __init__(self, consumer: KafkaConsumer, topics: Sequence[str]) -> None:
        self._consumer = consumer
        self._came_at = time.monotonic()
        self._consumer.subscribe(list(topics))

    def poll(self, timeout_s: float, limit: int) -> list[Delivery]:
        """The next deliveries; messages that are no CloudEvents are logged and passed over."""
        with _guarded():
            found = self._consumer.poll(timeout_ms=int(timeout_s * 1000), max_records=limit)
        self._ask_as_often_as_it_pays(bool(found))
        deliveries: list[Delivery] = []
        for place, records in found.items():
            for record in records:
                event = _parse(record.value, place, record.offset)
                if event is not None:
                    deliveries.append(Delivery(event, place, record.offset))
        return deliveries

    def _ask_as_often_as_it_pays(self, came: bool) -> None:
        now = time.monotonic()
        if came:
            self._came_at = now
        is_idle = now - self._came_at > IDLE_AFTER_S
        # kafka-python reads it at each request and has no public way to change it.
        self._consumer._fetcher.config["fetch_max_wait_ms"] = IDLE_WAIT_MS if is_idle else BUSY_WAIT_MS

    def store(self, session: Session, deliveries: Sequence[Delivery]) -> None:
        """Nothing: positions live in Kafka."""

    def acknowledge(self) -> None:
        """Commit the offsets of everything polled. When the broker is away for the moment the next commit does it."""
        try:
            self._consumer.commit(timeout_ms=5000)
        except RetriableError as error:
            _log.info("offsets not committed yet", error=repr(error))
        except KafkaError as error:
            raise BusUnavailable("消息位点提交失败，将重新投递", reason=repr(error)) from error

    def pass_over(self) -> None:
        """Like `acknowledge`: positions live in Kafka alone."""
        self.acknowledge()

    def close(self) -> None:
        """Leave the group; uncommitted messages go to another member or come again."""
        self._consumer.close(autocommit=False, timeout_ms=2000)


class KafkaPublisher:
    """Sends batches and waits until the broker has stored all of each."""

    def __init__(self, bus: KafkaBus, producer: KafkaProducer) -> None:
        self._bus = bus
        self._producer = producer

    def publish(self, events: Sequence[Event]) -> None:
        """Send in order; returns when all are stored. Raises Unavailable after 10 s; close the publisher then."""
        self._bus.ensure_topics({event.topic for event in events})
        deadline = time.monotonic() + PUBLISH_TIMEOUT_S
        with _guarded():
            sent = [
                self._producer.send(
                    event.topic, orjson.dumps(event.cloudevent()), key=event.key.encode(), headers=HEADERS
                )
                for event in events
            ]
            for future in sent:
                future.get(timeout=max(0.0, deadline - time.monotonic()))

    def close(self) -> None:
        """Give up at once what is not stored yet; the outbox still has it."""
        self._producer.close(timeout=0)


def _parse(value: bytes | None, place: TopicPartition, offset: int) -> Event | None:
    try:
        members = orjson.loads(value or b"")
        if not isinstance(members, dict):
            raise ValueError("no JSON object")
        return from_cloudevent(members)
    except ValueError as error:
        where = {"topic": place.topic, "partition": place.partition, "offset": offset}
        _log.warning("message is no CloudEvent, passed over", error=str(error), **where)
        return None


@contextmanager
def _guarded() -> Iterator[None]:
    try:
        yield
    except KafkaError as error:
        raise BusUnavailable("消息总线暂时无法访问，请稍后重试", reason=repr(error)) from error
