"""A running platform for end-to-end tests, embedded and as a cluster on PostgreSQL, Kafka and S3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
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


def environment_of(postgres: Postgres, kafka: Kafka, s3: S3) -> dict[str, str]:
    """Addresses for one cluster: databases and a bucket of its own."""
    prefix = f"e{uuid4().hex[:10]}"
    return {
        "BRAIN_DATABASE_URL": postgres.database_url(f"{prefix}_{{service}}"),
        "BRAIN_EVENTS_URL": kafka.url,
        "BRAIN_OBJECTS_URL": s3.make_bucket(prefix),
    }


@pytest.fixture(scope="module", params=["embedded", CLUSTER])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformProcess]:
    """The platform as a process, started once a module and way of running.

    A cluster gets a Kafka of its own: topics have fixed names, so two platforms must not share a broker.
    """
    home: Path = tmp_path_factory.mktemp(request.param)
    with ExitStack() as stack:
        if request.param == "embedded":
            process = PlatformProcess(home)
        else:
            kafka = stack.enter_context(Kafka())
            environment = environment_of(request.getfixturevalue("postgres"), kafka, request.getfixturevalue("s3"))
            process = PlatformProcess(home, env=environment, command=("cluster",), ready_timeout_s=300)
        yield stack.enter_context(process)


@pytest.fixture(scope="module")
def journey(running: PlatformProcess) -> Journey:
    """The operator's view of the running platform."""
    return Journey(running.url, running.home)


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """An embedded platform with a small demonstration on which every example of every service was played."""
    home: Path = tmp_path_factory.mktemp("stage")
    with PlatformProcess(home / "home", env=ENVIRONMENT) as running:
        stage = stage_of(running)
        stage.play_all()
        yield stage
