"""Jobs that come after others, and deadlines tried when a job is submitted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from compute_scheduler.domain.dependencies import objections
from compute_scheduler.domain.spec import JobSpec
from compute_scheduler.service import control
from compute_scheduler.service.errors import JobRefused

from tests.compute_scheduler.network import Network

NONCE = "a" * 32


@pytest.fixture
def network(database: Database) -> Network:
    """A centre with a fresh session."""
    made = Network(database)
    made.open()
    return made


def spec(**more: object) -> JobSpec:
    """A small job."""
    return JobSpec.model_validate(
        {"name": "t", "command": ["true"], "resources": {"cores": 1, "memory_mb": 100}} | more
    )


def batch(network: Network, *specs: JobSpec) -> list[dict[str, Any]]:
    """Rows of jobs submitted together."""
    return network.submissions.submit(network.actor, specs, token="")[0]


def refusal(network: Network, *specs: JobSpec) -> dict[str, str]:
    """Fields of a refused submission with what is said of them."""
    with pytest.raises(JobRefused) as refused:
        batch(network, *specs)
    return {error["field"]: error["reason"] for error in refused.value.members["errors"]}


def end(network: Network, job_id: str, **record: Any) -> None:
    """The job is handed out, begins and ends."""
    attempt = network.job(job_id)
    name = f"{job_id}.{attempt['attempt']}"
    network.pull()
    assert network.claim(name, NONCE)
    network.end(name, NONCE, **record)


def test_a_job_waits_until_the_one_before_it_has_succeeded(network: Network) -> None:
    """It says for which; then it starts."""
    first = network.submit()
    second = network.submit(after=[first])
    network.schedule()

    assert (network.job(first)["state"], network.job(second)["state"]) == ("starting", "queued")
    assert network.job(second)["reason_code"] == "dependency"
    assert first in network.job(second)["reason"]
    end(network, first)
    network.schedule()
    assert network.job(second)["state"] == "starting"


def test_what_comes_after_a_failed_job_fails_with_it_and_down_the_line(network: Network) -> None:
    """Each names the one before it; a retry of the first lets the second be retried."""
    first = network.submit()
    second = network.submit(after=[first])
    third = network.submit(after=[second])
    network.schedule()
    end(network, first, exit_code=3)
    network.schedule()
    network.schedule()

    assert [network.job(job)["state"] for job in (second, third)] == ["failed", "failed"]
    assert first in network.job(second)["reason"]
    assert second in network.job(third)["reason"]
    control.retry(network.database, network.actor, first)
    network.schedule()
    end(network, first)
    control.retry(network.database, network.actor, second)
    network.schedule()
    assert network.job(second)["state"] == "starting"


def test_jobs_of_one_batch_name_each_other_by_place(network: Network) -> None:
    """Whatever their order; the ids are put in."""
    last, first, _ = batch(network, spec(after=["#1", "#2"]), spec(), spec(after=["#1"]))
    network.schedule()

    assert network.job(first["id"])["state"] == "starting"
    assert network.job(last["id"])["state"] == "queued"
    assert first["id"] in network.job(last["id"])["spec"]["after"]


def test_a_circle_is_refused_and_shown(network: Network) -> None:
    """A job after itself is the smallest."""
    assert "#0 → #2 → #1 → #0" in refusal(network, spec(after=["#2"]), spec(after=["#0"]), spec(after=["#1"]))["after"]
    assert "#0 → #0" in refusal(network, spec(after=["#0"]))["after"]
    assert "不在这一批里" in refusal(network, spec(after=["#1"]))["after.0"]


def test_only_jobs_that_may_still_succeed_can_be_named(network: Network) -> None:
    """One that is not there, or that has failed, is named with what to do."""
    failed = network.submit()
    network.schedule()
    end(network, failed, exit_code=1)

    assert "没有这个作业" in refusal(network, spec(after=["job_" + "0" * 26]))["after.0"]
    assert "没有成功" in refusal(network, spec(after=[failed]))["after.0"]


def test_long_lines_have_no_circle() -> None:
    """Five hundred jobs in a row, and the same row closed: looked at once each."""
    row = [spec(after=[f"#{number + 1}"] if number < 499 else []) for number in range(500)]
    assert objections(row) == []
    row[-1] = spec(after=["#0"])
    assert [place for place, *_ in objections(row)] == [0]


def test_a_deadline_that_what_runs_does_not_allow_is_refused_or_warned_of(database: Database) -> None:
    """Four cores run for an hour: two cores within half an hour are refused with the time, within two they are not."""
    network = Network(database)
    network.open()
    network.submit(resources={"cores": 4, "memory_mb": 100}, time_limit_s=3600)
    network.schedule()
    soon, late = (rfc3339(utc_now() + timedelta(hours=hours)) for hours in (0.5, 2))
    asked: dict[str, Any] = {"resources": {"cores": 2, "memory_mb": 100}, "time_limit_s": 60}

    assert "最早" in refusal(network, spec(**asked, deadline=soon))["deadline"]
    (accepted,) = batch(network, spec(**asked, deadline=late))
    assert accepted["reason_code"] == ""

    network.submissions._settings = network.settings.model_copy(update={"compute_scheduler_late_jobs": "warn"})
    (warned,) = batch(network, spec(**asked, deadline=soon))
    assert (warned["state"], warned["reason_code"]) == ("queued", "deadline_profile")
    assert "晚于截止时间" in warned["reason"]
