"""Making clients of kafka-python that leave nothing behind when the broker is away."""

from __future__ import annotations

from typing import Any, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

Client = TypeVar("Client", KafkaAdminClient, KafkaConsumer, KafkaProducer)


def connect(kind: type[Client], **config: Any) -> Client:
    """A client of that kind. Raises KafkaError when the broker does not answer.

    A constructor that fails leaves its I/O thread behind (kafka-python 3.0), which goes on trying to connect for ever:
    an outage of an hour would leave hundreds of them. So the connection is kept at hand and closed here.
    """
    begun: list[Any] = []

    def connection(**options: Any) -> Any:
        begun.append(kind.DEFAULT_CONFIG["kafka_client"](**options))
        return begun[-1]

    try:
        return kind(kafka_client=connection, **config)
    except BaseException:
        for made in begun:
            made.close()
        raise
