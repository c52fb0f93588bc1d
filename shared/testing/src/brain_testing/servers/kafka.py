"""Kafka: broker and controller in one process (KRaft)."""

import base64
import uuid
from typing import ClassVar

from brain_kit.events.kafka_clients import connect
from kafka import KafkaAdminClient

from brain_testing.servers.debian import run_quietly
from brain_testing.servers.packages import ensure_kafka
from brain_testing.servers.server import Server

_JVM = [
    "-Xms64m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
]

# broker.session.timeout.ms: the controller keeps a dead registration that long, so a restart after SIGKILL takes
# 12 s with the default of 9 s and 3 s with 2 s. Topics are never created by accident.
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
num.network.threads=1
num.io.threads=2
background.threads=2
log.cleaner.dedupe.buffer.size=4194304
log.segment.bytes=67108864
log.index.size.max.bytes=1048576
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
"""


class Kafka(Server):
    """A single broker. Its end by SIGTERM has exit code 143."""

    name: ClassVar[str] = "kafka"
    port_count: ClassVar[int] = 2

    @property
    def bootstrap(self) -> str:
        """host:port for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The platform's events URL."""
        return f"kafka://{self.bootstrap}"

    def prepare(self) -> None:
        """See Server."""
        data, settings = self.folder / "data", self.folder / "server.properties"
        settings.write_text(_PROPERTIES.format(port=self.port, controller=self.ports[1], data=data))
        if not (data / "meta.properties").exists():
            # An id may begin with a dash.
            cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            tool = [
                "kafka.tools.StorageTool",
                "format",
                f"--cluster-id={cluster}",
                "-c",
                str(settings),
            ]
            run_quietly([*self._java(), *tool], cwd=self.folder)

    def command(self) -> list[str]:
        """See Server."""
        return [*self._java(), "kafka.Kafka", str(self.folder / "server.properties")]

    def probe(self) -> None:
        """See Server."""
        # With the client's own waiting times it would notice seconds late that the broker is there.
        admin = connect(
            KafkaAdminClient,
            bootstrap_servers=self.bootstrap,
            bootstrap_timeout_ms=500,
            request_timeout_ms=2000,
            reconnect_backoff_ms=20,
            reconnect_backoff_max_ms=50,
        )
        try:
            admin.list_topics()
        finally:
            admin.close()

    @staticmethod
    def _java() -> list[str]:
        return ["java", *_JVM, "-cp", f"{ensure_kafka()}/*"]
