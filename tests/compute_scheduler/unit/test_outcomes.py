"""How an ended attempt is put into words, and what follows for its job."""

from __future__ import annotations

from typing import Any

import pytest
from compute_scheduler.domain.outcomes import Ending, ending_of, next_of

LIMITS = {"memory_mb": 100, "time_limit_s": 60, "disk_mb": 10, "processes": 4}


@pytest.mark.parametrize(
    ("record", "outcome", "word"),
    [
        ({"cause": "exit", "exit_code": 0}, "succeeded", "退出码 0"),
        ({"cause": "exit", "exit_code": 3}, "failed", "退出码 3"),
        ({"cause": "exit", "signal": 11}, "failed", "信号 11"),
        ({"cause": "memory", "signal": 9}, "failed", "内存超过 100 MB"),
        ({"cause": "time_limit", "signal": 15}, "failed", "时限 60 秒"),
        ({"cause": "disk", "signal": 9}, "failed", "磁盘超过 10 MB"),
        ({"cause": "processes", "signal": 9}, "failed", "进程数超过 4"),
        ({"cause": "cancelled", "signal": 15}, "cancelled", "取消"),
        ({"cause": "supervisor_lost"}, "lost", "监督进程"),
        ({"cause": "agent_record_missing"}, "lost", "没有这次运行的记录"),
        ({"cause": "centre_fenced"}, "lost", "声明失效"),
        ({"cause": "refused"}, "returned", "没有开始"),
        ({"cause": "input_missing", "detail": "a.csv：不存在"}, "failed", "a.csv"),
        ({"cause": "never heard of"}, "failed", "never heard of"),
    ],
)
def test_every_record_of_the_engine_has_an_outcome_and_a_reason(
    record: dict[str, Any], outcome: str, word: str
) -> None:
    """The reason names the limit that was met."""
    ending = ending_of(record, [], LIMITS)
    assert ending.outcome == outcome
    assert word in ending.reason


def test_a_command_that_leaves_no_declared_output_has_failed() -> None:
    """Exit code 0 alone is not success."""
    ending = ending_of({"cause": "exit", "exit_code": 0}, ["a.csv"], LIMITS)
    assert (ending.outcome, ending.exit_code) == ("failed", 0)
    assert "a.csv" in ending.reason


@pytest.mark.parametrize("outcome", ["failed", "lost"])
def test_retries_are_spent_one_by_one(outcome: Any) -> None:
    """Two retries are three attempts; a lost one counts, since its command may have run."""
    ending = Ending(outcome, "x")
    states = [next_of(ending, failures=number, returns=0, retries=2, is_cancelled=False).state for number in range(3)]
    assert states == ["queued", "queued", "failed"]


def test_attempts_that_never_began_cost_no_retry_but_end_some_day() -> None:
    """Twenty returns in a row are no accident."""
    ending = Ending("returned", "x")
    assert next_of(ending, failures=0, returns=0, retries=0, is_cancelled=False).state == "queued"
    assert next_of(ending, failures=0, returns=19, retries=0, is_cancelled=False).state == "failed"


def test_a_cancelled_job_is_not_retried_and_a_finished_one_stays_finished() -> None:
    """Whichever came first at the command decides."""
    assert next_of(Ending("failed", "x"), failures=0, returns=0, retries=5, is_cancelled=True).state == "cancelled"
    assert next_of(Ending("returned", "x"), failures=0, returns=0, retries=5, is_cancelled=True).state == "cancelled"
    assert next_of(Ending("succeeded", "x"), failures=0, returns=0, retries=5, is_cancelled=True).state == "succeeded"
