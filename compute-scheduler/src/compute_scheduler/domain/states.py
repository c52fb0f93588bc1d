"""States of jobs and attempts, and which may follow which: the tables that every writer goes through.

A job is what somebody asked for. An attempt is one try to run it, named `<job>.<epoch>`; at most one attempt of a job
is alive. A gang has one attempt a member, `<job>.<epoch>.<rank>`, all alive ones of one epoch. `prepared` is a decision
of the scheduler, `submitting` was handed to an agent, `submitted` is held by the agent (a member waits there for the
others), `running` has claimed its epoch and may execute, `ended` has an outcome and never changes again.
"""

from __future__ import annotations

from typing import Literal

JobState = Literal["queued", "starting", "running", "succeeded", "failed", "cancelled"]
AttemptState = Literal["prepared", "submitting", "submitted", "running", "ended"]
# `lost`: nobody can say how it ended. `returned`: it is proven that the command never began.
# `preempted`: it was stopped to make way and its job queues again.
Outcome = Literal["succeeded", "failed", "cancelled", "lost", "returned", "preempted"]

JOB_STATES: tuple[JobState, ...] = ("queued", "starting", "running", "succeeded", "failed", "cancelled")
FINAL: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})
LIVE: frozenset[str] = frozenset(JOB_STATES) - FINAL

# From a final state only `retry`, which a person asks for, leads back into the queue.
JOB_TRANSITIONS: dict[str, frozenset[str]] = {
    "queued": frozenset({"starting", "failed", "cancelled"}),
    "starting": frozenset({"running", "queued", "failed", "cancelled"}),
    "running": frozenset({"succeeded", "failed", "cancelled", "queued"}),
    "succeeded": frozenset(),
    "failed": frozenset({"queued"}),
    "cancelled": frozenset({"queued"}),
}
ATTEMPT_TRANSITIONS: dict[str, frozenset[str]] = {
    "prepared": frozenset({"submitting", "ended"}),
    "submitting": frozenset({"submitted", "ended"}),
    "submitted": frozenset({"running", "ended"}),
    "running": frozenset({"ended"}),
    "ended": frozenset(),
}


class TransitionRefused(ValueError):
    """A state was asked to follow one that it may not follow."""


def check_job(before: str, after: str) -> None:
    """Raises TransitionRefused unless a job in `before` may become `after`."""
    if after not in JOB_TRANSITIONS[before]:
        raise TransitionRefused(f"a job that is {before} cannot become {after}")


def check_attempt(before: str, after: str) -> None:
    """Raises TransitionRefused unless an attempt in `before` may become `after`."""
    if after not in ATTEMPT_TRANSITIONS[before]:
        raise TransitionRefused(f"an attempt that is {before} cannot become {after}")


def is_claimed(attempt_state: str) -> bool:
    """Whether the command may have begun: only its agent's word, or a fenced centre, ends such an attempt."""
    return attempt_state == "running"


def attempt_id(job: str, epoch: int, rank: int | None = None) -> str:
    """The id of an attempt, or of a gang's member in it."""
    return f"{job}.{epoch}" if rank is None else f"{job}.{epoch}.{rank}"


def job_of(attempt: str) -> str:
    """The job of an attempt id."""
    return attempt.partition(".")[0]
