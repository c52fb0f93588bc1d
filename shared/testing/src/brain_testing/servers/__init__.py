"""Real PostgreSQL, Kafka and S3 servers on loopback, installed from packages, without containers."""

from brain_testing.servers.debian import MissingServer
from brain_testing.servers.kafka import Kafka
from brain_testing.servers.postgres import Postgres
from brain_testing.servers.s3 import S3
from brain_testing.servers.server import Server, ServerFailed

__all__ = ["S3", "Kafka", "MissingServer", "Postgres", "Server", "ServerFailed"]
