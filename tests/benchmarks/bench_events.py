"""Events through outbox, relay, Kafka and inbox, against the plain Kafka client with the same messages."""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import orjson
from brain_kit.database import Database
from brain_kit.events import Consumer, Event, EventBus, LocalBus, Relay, emit, emit_all, open_bus
from brain_kit.events.kafka_bus import KafkaBus
from brain_testing.servers import Kafka, Postgres
from kafka import KafkaConsumer, KafkaProducer
from pydantic import BaseModel
from sqlalchemy.orm import Session

from tests.brain_kit.sample_service import write_package

ROUNDS = 3
BATCH = 500


class Measured(BaseModel):
    """About 200 bytes of data, as the platform's own events have."""

    topic: ClassVar[str] = "brain.bench.measured.v1"
    number: int
    dataset: str = "enterprise.enterprise_monthly"
    note: str = "x" * 120

    def key(self) -> str:
        """One of 16 aggregates."""
        return f"aggregate-{self.number % 16}"


def run(events: int = 20_000) -> dict[str, Any]:
    """Best of three rounds each, taken in turn so that both meet the same machine."""
    with tempfile.TemporaryDirectory() as folder, Kafka() as kafka, Postgres() as postgres:
        write_package(Path(folder), "bench_schema")
        sys.path.insert(0, folder)
        try:
            plain, ours = [], []
            for round_number in range(ROUNDS):
                plain.append(events / _plain(kafka.bootstrap, events, f"plain-{round_number}"))
                producer, consumer = (
                    Database(postgres.database_url(f"{name}_{round_number}")) for name in ("producer", "consumer")
                )
                ours.append(events / _through(open_bus(kafka.url), producer, consumer, events))
            latency = _local_latency(Path(folder))
        finally:
            sys.path.remove(folder)
    return {
        "events, plain Kafka client": {"value": max(plain), "unit": "1/s"},
        "events, outbox to inbox": {"value": max(ours), "unit": "1/s"},
        "outbox to inbox / plain client": {"value": max(ours) / max(plain), "unit": "ratio", "bound": 0.25},
        "embedded: commit to handler, median": {"value": latency * 1000, "unit": "ms", "bound": 50, "better": "less"},
    }


def _plain(servers: str, number: int, topic: str) -> float:
    """Seconds to produce (acks=all) and consume the same messages, both at once, with kafka-python alone."""
    with closing(KafkaBus(servers)) as bus:
        bus.ensure_topics([topic])
    values = [orjson.dumps(Measured(number=n).model_dump(mode="json")) for n in range(number)]
    consumer = KafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest", group_id=topic)
    producer = KafkaProducer(bootstrap_servers=servers, acks="all", linger_ms=5, batch_size=131_072)
    started = time.perf_counter()
    sender = threading.Thread(target=_send, args=(producer, topic, values))
    sender.start()
    seen = 0
    while seen < number:
        seen += sum(len(records) for records in consumer.poll(500).values())
    took = time.perf_counter() - started
    sender.join()
    producer.close()
    consumer.close()
    return took


def _send(producer: KafkaProducer, topic: str, values: list[bytes]) -> None:
    for number, value in enumerate(values):
        producer.send(topic, value, key=b"aggregate-%d" % (number % 16))
    producer.flush()


def _through(bus: EventBus, producer: Database, consumer: Database, number: int) -> float:
    """Seconds from the first emission to the last handled event, all stages at work at once."""
    seen: list[int] = []

    def handler(_session: Session, event: Event) -> None:
        seen.append(event.data["number"])

    for database in (producer, consumer):
        database.migrate("bench_schema")
    stop = threading.Event()
    relay, reader = Relay(producer, bus), Consumer(consumer.name, consumer, bus, {Measured.topic: handler})
    # The group reads a fresh topic position: earlier rounds belong to other groups but share the topic.
    skip = sum(bus.lag(consumer.name, consumer, [Measured.topic]).values())
    workers = [threading.Thread(target=work.run, args=(stop,)) for work in (relay, reader)]
    for worker in workers:
        worker.start()
    while len(seen) < skip:
        time.sleep(0.01)
    started = time.perf_counter()
    for start in range(0, number, BATCH):
        with producer.transaction() as session:
            emit_all(session, [Measured(number=n) for n in range(start, min(start + BATCH, number))])
    while len(seen) < skip + number:
        time.sleep(0.005)
    took = time.perf_counter() - started
    stop.set()
    for worker in workers:
        worker.join()
    bus.close()
    producer.close()
    consumer.close()
    if sorted(seen[skip:]) != list(range(number)):
        raise AssertionError("an event was lost or doubled")
    return took


def _local_latency(folder: Path) -> float:
    """Median seconds from the end of the commit to the start of the handler on SQLite and the local bus."""
    databases = {name: Database(f"sqlite:///{folder}/{name}.db") for name in ("producer", "consumer")}
    bus = LocalBus()
    for name, database in databases.items():
        database.migrate("bench_schema")
        bus.register(name, database)
    arrived: dict[int, float] = {}

    def handler(_session: Session, event: Event) -> None:
        arrived[event.data["number"]] = time.perf_counter()

    stop = threading.Event()
    consumer = Consumer("consumer", databases["consumer"], bus, {Measured.topic: handler})
    worker = threading.Thread(target=consumer.run, args=(stop,))
    worker.start()
    committed: dict[int, float] = {}
    for number in range(100):
        with databases["producer"].transaction() as session:
            emit(session, Measured(number=number))
        committed[number] = time.perf_counter()
        time.sleep(0.01)
    while len(arrived) < 100:
        time.sleep(0.01)
    stop.set()
    worker.join()
    bus.close()
    for database in databases.values():
        database.close()
    return sorted(arrived[number] - committed[number] for number in committed)[50]


def main() -> None:
    """Print the figures as JSON."""
    sys.stdout.write(json.dumps(run(), indent=2) + "\n")


if __name__ == "__main__":
    main()
