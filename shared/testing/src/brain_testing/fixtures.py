"""Pytest plugin: real servers shared by a session, fresh databases, buckets and topics for each test, honest CI.

With CI=true a skipped test fails: a test that needs something runs with it or not at all. Tests marked `realdata`
fail in CI when the data are missing; elsewhere they are left out and the summary says how many were not run.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

import pytest

from brain_testing.realdata import find_realdata, realdata_dir

if TYPE_CHECKING:
    from brain_testing.servers import S3, Kafka, Postgres

# The servers' clients take a second to import: only sessions that use a server pay for it.

_NOT_RUN = pytest.StashKey[int]()
_Report = TypeVar("_Report", pytest.TestReport, pytest.CollectReport)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """PostgreSQL, started at its first use in this session."""
    from brain_testing.servers import Postgres

    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    """Kafka, started at its first use in this session."""
    from brain_testing.servers import Kafka

    with Kafka() as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """The S3 server, started at its first use in this session."""
    from brain_testing.servers import S3

    with S3() as server:
        yield server


@pytest.fixture
def database_urls(postgres: Postgres) -> Iterator[str]:
    """A URL with the placeholder {service}, for databases of this test alone; they are dropped at its end."""
    prefix = f"t{uuid4().hex[:12]}_"
    yield postgres.database_url(prefix + "{service}")
    postgres.drop_databases(prefix)


@pytest.fixture
def database_url(postgres: Postgres) -> Iterator[str]:
    """The URL of a new empty database, dropped at the end of the test."""
    from brain_testing.databases import create_database

    name = f"t{uuid4().hex[:12]}"
    yield create_database(postgres.database_url(name))
    postgres.drop_databases(name)


@pytest.fixture
def events_url(kafka: Kafka) -> str:
    """The events URL of the broker; take topics and groups that start with `topic_prefix`."""
    return kafka.url


@pytest.fixture
def topic_prefix() -> str:
    """What the names of topics and groups of this test start with, so that tests do not meet on the broker."""
    return f"t{uuid4().hex[:12]}."


@pytest.fixture
def objects_url(s3: S3) -> str:
    """The objects URL of a new empty bucket."""
    return s3.make_bucket(f"t{uuid4().hex[:12]}")


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of the real public data."""
    return realdata_dir()


def in_ci() -> bool:
    """Whether this run must prove everything."""
    return os.environ.get("CI", "").lower() in {"true", "1"}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test into a failed one in CI."""
    report = yield
    return _never_skipped(report, item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a module that skips itself into an error in CI."""
    report = yield
    return _never_skipped(report, collector.nodeid)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs the real data where there are none; in CI it stays and fails."""
    if find_realdata() is not None or in_ci():
        return
    left_out = [item for item in items if item.get_closest_marker("realdata")]
    if left_out:
        config.stash[_NOT_RUN] = len(left_out)
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("realdata")]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the controlling process of pytest-xdist how many tests were not run."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["brain_not_run"] = session.config.stash.get(_NOT_RUN, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Every worker leaves out the same tests, so the largest number counts."""
    told = getattr(node, "workeroutput", {}).get("brain_not_run", 0)
    stash = node.config.stash
    stash[_NOT_RUN] = max(told, stash.get(_NOT_RUN, 0))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say aloud what was not run."""
    count = config.stash.get(_NOT_RUN, 0)
    if count:
        terminalreporter.write_line(f"NOT RUN: {count} tests need the real data (set BRAIN_REALDATA)", yellow=True)


def _never_skipped(report: _Report, node: str) -> _Report:
    if report.skipped and not hasattr(report, "wasxfail") and in_ci():
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{node} was skipped, and a skipped test proves nothing in CI: {reason}"
    return report
