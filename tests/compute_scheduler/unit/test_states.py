"""The tables of states: no dead ends, no way around the steps."""

from __future__ import annotations

import pytest
from compute_scheduler.domain import states


def reachable(table: dict[str, frozenset[str]], start: str) -> set[str]:
    """Every state that can follow `start`, however late."""
    found, queue = {start}, [start]
    while queue:
        for after in table[queue.pop()] - found:
            found.add(after)
            queue.append(after)
    return found


def test_every_job_state_can_be_reached_and_every_live_one_can_end() -> None:
    """No job can get stuck in a state that nothing leads out of."""
    assert reachable(states.JOB_TRANSITIONS, "queued") == set(states.JOB_STATES)
    for state in states.LIVE:
        assert reachable(states.JOB_TRANSITIONS, state) & states.FINAL == states.FINAL


def test_an_attempt_runs_only_after_every_step_before_and_can_end_from_each() -> None:
    """Four steps in one order; whatever crashes, the attempt can still be ended."""
    order = ["prepared", "submitting", "submitted", "running", "ended"]
    for number, state in enumerate(order[:-1]):
        assert states.ATTEMPT_TRANSITIONS[state] == {order[number + 1], "ended"}
    assert states.ATTEMPT_TRANSITIONS["ended"] == frozenset()


def test_a_transition_that_the_table_does_not_know_is_refused() -> None:
    """The tables are asked, not only shown."""
    with pytest.raises(states.TransitionRefused):
        states.check_job("succeeded", "queued")
    with pytest.raises(states.TransitionRefused):
        states.check_attempt("prepared", "running")
    states.check_job("failed", "queued")


def test_the_attempt_id_names_job_and_epoch() -> None:
    """An agent that knows only the id can say which job it is."""
    assert states.attempt_id("job_01X", 3) == "job_01X.3"
    assert states.job_of("job_01X.3") == "job_01X"
