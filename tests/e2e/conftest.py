"""A running platform for end-to-end tests, embedded and as a cluster on PostgreSQL, Kafka and S3."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from brain_testing.process import PlatformProcess
from brain_testing.servers.kafka import Kafka
from brain_testing.servers.postgres import Postgres
from brain_testing.servers.s3 import S3

from tests.e2e.journey import Journey
from tests.e2e.played import Stage
from tests.e2e.record_examples import ENVIRONMENT, stage_of

CLUSTER = pytest.param("cluster", marks=pytest.mark.servers)


@dataclass(frozen=True)
class Cluster:
    """One process per service on servers of its own, which may all be killed; `journey` is the operator's view."""

    process: PlatformProcess
    journey: Journey
    postgres: Postgres
    kafka: Kafka
    s3: S3


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster of all end-to-end tests: each works on organisations and data sets of its own, some kill its parts.

    Its start takes a minute of two cores, and what went through faults must still give exact counts afterwards.
    """
    home: Path = tmp_path_factory.mktemp("cluster")
    prefix = f"e{uuid4().hex[:10]}"
    with Postgres() as postgres, Kafka() as kafka, S3() as s3:
        environment = ENVIRONMENT | {
            "BRAIN_DATABASE_URL": postgres.database_url(f"{prefix}_{{service}}"),
            "BRAIN_EVENTS_URL": kafka.url,
            "BRAIN_OBJECTS_URL": s3.make_bucket(prefix),
        }
        with PlatformProcess(home, env=environment, command=("cluster",), ready_timeout_s=600) as process:
            yield Cluster(process, Journey(process.url, home), postgres, kafka, s3)


@pytest.fixture(scope="module", params=["embedded", CLUSTER])
def journey(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """The operator's view of a running platform, embedded and as the cluster."""
    if request.param == "cluster":
        shared: Cluster = request.getfixturevalue("cluster")
        yield shared.journey
    else:
        with PlatformProcess(tmp_path_factory.mktemp("embedded"), env=ENVIRONMENT) as process:
            yield Journey(process.url, process.home)


@pytest.fixture(scope="package")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """An embedded platform with a small demonstration on which every example of every service was played."""
    home: Path = tmp_path_factory.mktemp("stage")
    with PlatformProcess(home / "home", env=ENVIRONMENT) as running:
        stage = stage_of(running)
        stage.play_all()
        yield stage
