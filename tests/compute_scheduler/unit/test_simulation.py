"""The simulator: the plan replays logs as EASY does when told to, and better when told to."""

from __future__ import annotations

import pytest
from compute_scheduler.domain.simulation.easy import easy
from compute_scheduler.domain.simulation.jobs import Trace, TraceJob, bounded_slowdown, metrics
from compute_scheduler.domain.simulation.policies import POLICIES
from compute_scheduler.domain.simulation.run import simulate
from compute_scheduler.domain.simulation.swf import BadTrace, read_swf
from hypothesis import given, settings
from hypothesis import strategies as st


def trace(*jobs: tuple[float, float, float, int], processors: int = 4) -> Trace:
    """Jobs of (submitted, runs, limit, processors)."""
    made = tuple(TraceJob(f"{n:03}", "u", float(a), float(b), float(c), d) for n, (a, b, c, d) in enumerate(jobs))
    return Trace("made", processors, made)


# The first holds 3 of 4 until 100. The second needs all 4: promised 100. The third fits beside the first and its limit
# ends at 100, so it passes; the fourth would run to 103 and waits for the second (done at 150).
FOUR = trace((0, 100, 100, 3), (1, 50, 50, 4), (2, 90, 98, 1), (3, 10, 100, 1))


def test_easy_lets_a_job_pass_only_when_it_does_not_delay_the_first() -> None:
    """Worked out by hand above."""
    assert easy(FOUR) == [0.0, 100.0, 2.0, 150.0]


def test_the_plan_with_all_weights_at_zero_is_easy_and_without_backfill_first_come_first_served() -> None:
    """The same four jobs: with backfill as EASY, without it the last two wait for the second."""
    assert simulate(FOUR, POLICIES["easy"]) == [0.0, 100.0, 2.0, 150.0]
    assert simulate(FOUR, POLICIES["fcfs"]) == [0.0, 100.0, 150.0, 150.0]


random_jobs = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 30), st.integers(0, 30), st.integers(1, 8)), min_size=1, max_size=40
)


@settings(max_examples=150, deadline=None)
@given(random_jobs)
def test_plan_and_textbook_easy_give_the_same_schedule(jobs: list[tuple[int, int, int, int]]) -> None:
    """Two implementations that share nothing, on random logs with loose limits."""
    log = trace(*sorted((at, run, run + slack, size) for at, run, slack, size in jobs), processors=8)

    assert simulate(log, POLICIES["easy"]) == easy(log)


@settings(max_examples=60, deadline=None)
@given(random_jobs, st.sampled_from(sorted(POLICIES)))
def test_every_job_runs_once_and_the_machine_is_never_overfull(
    jobs: list[tuple[int, int, int, int]], name: str
) -> None:
    """Whatever the policy: no start before its submission, never more processors in use than there are."""
    log = trace(*sorted((at, run, run + slack, size) for at, run, slack, size in jobs), processors=8)
    starts = simulate(log, POLICIES[name])

    assert all(start >= job.submitted_at for job, start in zip(log.jobs, starts, strict=True))
    for now in starts:
        used = sum(
            job.processors for job, start in zip(log.jobs, starts, strict=True) if start <= now < start + job.run_s
        )
        assert used <= 8


def test_short_jobs_first_shortens_the_slowdown_and_bounds_the_wait() -> None:
    """One processor, an hour of a long job ahead of ten of a minute each: together they wait less, and the long job is
    overtaken only by jobs that came within its set-back."""
    jobs = trace((0, 60, 60, 1), (1, 3600, 3600, 1), *[(2, 60, 60, 1)] * 10, processors=1)
    plain, short = easy(jobs), simulate(jobs, POLICIES["short-first"])

    assert metrics(jobs, short)["mean_bounded_slowdown"] < 0.2 * metrics(jobs, plain)["mean_bounded_slowdown"]
    assert short[1] == 660.0


def test_the_metrics_by_hand() -> None:
    """Waits 0, 99, 0, 147 s. Slowdowns 1, 149/50, 1, 157/10. Work 300 + 200 + 90 + 10 of 4 * 160 processor seconds."""
    found = metrics(FOUR, [0.0, 100.0, 2.0, 150.0])

    assert found["mean_bounded_slowdown"] == pytest.approx((1 + 149 / 50 + 1 + 15.7) / 4)
    assert found["utilisation"] == pytest.approx(100 * 600 / 640)
    assert (found["mean_wait_s"], found["longest_wait_s"]) == (61.5, 147.0)
    assert bounded_slowdown(5.0, 1.0) == 1.0
    with pytest.raises(ValueError, match="no jobs"):
        metrics(Trace("none", 1, ()), [])


LOG = """; MaxProcs: 8
;  Note: three jobs that can be replayed
1 0 5 100 2 -1 -1 4 60 -1 1 7 1 -1 -1 -1 -1 -1
2 10 5 30 2 -1 -1 -1 -1 -1 1 8 1 -1 -1 -1 -1 -1
3 20 5 30 9 -1 -1 9 60 -1 1 7 1 -1 -1 -1 -1 -1
4 20 5 0 1 -1 -1 1 60 -1 0 7 1 -1 -1 -1 -1 -1
5 5 5 30 1 -1 -1 1 60 -1 1 7 1 -1 -1 -1 -1 -1
""".splitlines()


def test_a_log_is_read_as_it_can_be_replayed() -> None:
    """Stopped at its limit (1), limit and processors from what it had (2); too large (3) or never run (4): left out."""
    log = read_swf("log", LOG)

    assert log.processors == 8
    assert log.jobs == (
        TraceJob("00000001", "user-7", 0.0, 60.0, 60.0, 4),
        TraceJob("00000005", "user-7", 5.0, 30.0, 60.0, 1),
        TraceJob("00000002", "user-8", 10.0, 30.0, 30.0, 2),
    )
    assert [job.id for job in read_swf("log", LOG, limit=2).jobs] == ["00000001", "00000005"]
    assert len(read_swf("log", LOG, processors=9).jobs) == 4


def test_a_seed_shakes_the_log_and_repeats_itself() -> None:
    """Submissions move by at most a minute; the same seed gives the same log, another another."""
    as_it_is, shaken = read_swf("log", LOG), read_swf("log", LOG, seed=3)
    before = {job.id: job.submitted_at for job in as_it_is.jobs}

    assert shaken == read_swf("log", LOG, seed=3) != read_swf("log", LOG, seed=4)
    assert all(0.0 <= job.submitted_at - before[job.id] <= 60.0 for job in shaken.jobs)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["1 2 3"], "line 1: .* 18 columns, this has 3"),
        ([LOG[2].replace("100", "x")], "line 1: could not convert"),
        (["; MaxProcs: many"], "MaxProcs is no number"),
        ([], "no job that ran"),
        ([LOG[4]], "no job that ran"),
    ],
)
def test_a_log_that_cannot_be_read_is_refused_with_its_line(lines: list[str], words: str) -> None:
    """Rather than replaying something else; the last job asks for nine processors of eight."""
    with pytest.raises(BadTrace, match=words):
        read_swf("log", lines, processors=8 if lines == [LOG[4]] else None)
