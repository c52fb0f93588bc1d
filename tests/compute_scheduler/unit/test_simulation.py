"""The simulator: the plan replays logs as EASY does when told to, and better when told to."""

from __future__ import annotations

import json

import pytest
from compute_scheduler.domain.hourly import BadSeries, Hourly, constant
from compute_scheduler.domain.simulation.costs import Costs, as_json, from_json
from compute_scheduler.domain.simulation.easy import easy
from compute_scheduler.domain.simulation.elasticflow import read_elasticflow
from compute_scheduler.domain.simulation.jobs import (
    MACHINE,
    BadTrace,
    Served,
    Trace,
    TraceJob,
    bounded_slowdown,
    metrics,
)
from compute_scheduler.domain.simulation.policies import POLICIES, policy_with
from compute_scheduler.domain.simulation.run import simulate
from compute_scheduler.domain.simulation.swf import read_swf
from compute_scheduler.domain.simulation.zones import with_carbon
from compute_scheduler.domain.tariffs import Period, Tariff
from hypothesis import given, settings
from hypothesis import strategies as st


def trace(*jobs: tuple[float, float, float, int], processors: int = 4) -> Trace:
    """Jobs of (submitted, runs, limit, processors)."""
    made = tuple(TraceJob(f"{n:03}", "u", float(a), float(b), float(c), d) for n, (a, b, c, d) in enumerate(jobs))
    return Trace("made", {MACHINE: processors}, made)


def starts(served: list[Served]) -> list[float]:
    """Times alone."""
    return [at.start_at for at in served]


# The first holds 3 of 4 until 100. The second needs all 4: promised 100. The third fits beside the first and its limit
# ends at 100, so it passes; the fourth would run to 103 and waits for the second (done at 150).
FOUR = trace((0, 100, 100, 3), (1, 50, 50, 4), (2, 90, 98, 1), (3, 10, 100, 1))


def test_easy_lets_a_job_pass_only_when_it_does_not_delay_the_first() -> None:
    """Worked out by hand above."""
    assert starts(easy(FOUR)) == [0.0, 100.0, 2.0, 150.0]


def test_the_plan_with_all_weights_at_zero_is_easy_and_without_backfill_first_come_first_served() -> None:
    """The same four jobs: with backfill as EASY, without it the last two wait for the second."""
    assert starts(simulate(FOUR, POLICIES["easy"])) == [0.0, 100.0, 2.0, 150.0]
    assert starts(simulate(FOUR, POLICIES["fcfs"])) == [0.0, 100.0, 150.0, 150.0]


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
    pairs = list(zip(log.jobs, starts(simulate(log, POLICIES[name])), strict=True))

    assert all(start >= job.submitted_at for job, start in pairs)
    for _, now in pairs:
        used = sum(job.processors for job, start in pairs if start <= now < start + job.run_s)
        assert used <= 8


def test_short_jobs_first_shortens_the_slowdown_and_bounds_the_wait() -> None:
    """One processor, an hour of a long job ahead of ten of a minute each: together they wait less, and the long job is
    overtaken only by jobs that came within its set-back."""
    jobs = trace((0, 60, 60, 1), (1, 3600, 3600, 1), *[(2, 60, 60, 1)] * 10, processors=1)
    plain, short = easy(jobs), simulate(jobs, POLICIES["short-first"])

    assert metrics(jobs, short)["mean_bounded_slowdown"] < 0.2 * metrics(jobs, plain)["mean_bounded_slowdown"]
    assert short[1].start_at == 660.0


def test_the_metrics_by_hand() -> None:
    """Waits 0, 99, 0, 147 s. Slowdowns 1, 149/50, 1, 157/10. Work 300 + 200 + 90 + 10 of 4 * 160 processor seconds."""
    found = metrics(FOUR, [Served(0.0), Served(100.0), Served(2.0), Served(150.0)])

    assert found["mean_bounded_slowdown"] == pytest.approx((1 + 149 / 50 + 1 + 15.7) / 4)
    assert found["utilisation"] == pytest.approx(100 * 600 / 640)
    assert (found["mean_wait_s"], found["longest_wait_s"]) == (61.5, 147.0)
    assert bounded_slowdown(5.0, 1.0) == 1.0
    with pytest.raises(ValueError, match="no jobs"):
        metrics(Trace("none", {MACHINE: 1}, ()), [])


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
        ([LOG[2].replace("100", "inf")], "line 1: a time is not finite"),
        (["; MaxProcs: many"], "MaxProcs is no number"),
        ([], "no job that ran"),
        ([LOG[4]], "no job that ran"),
    ],
)
def test_a_log_that_cannot_be_read_is_refused_with_its_line(lines: list[str], words: str) -> None:
    """Rather than replaying something else; the last job asks for nine processors of eight."""
    with pytest.raises(BadTrace, match=words):
        read_swf("log", lines, processors=8 if lines == [LOG[4]] else None)


# Two centres of 2. At home in a: the first fills a until 100, the second waits; b is idle and takes it at 1, 10 s of
# staging. The third, at home in b, finds one of two taken until 61 and the other free.
TWO = Trace(
    "two",
    {"a": 2, "b": 2},
    (
        TraceJob("0", "a", 0.0, 100.0, 100.0, 2, "a"),
        TraceJob("1", "a", 1.0, 50.0, 50.0, 1, "a"),
        TraceJob("2", "b", 2.0, 20.0, 20.0, 1, "b"),
    ),
    staging_s=10.0,
)


@pytest.mark.parametrize("schedule", [easy, lambda trace: simulate(trace, POLICIES["easy"])])
def test_an_idle_centre_takes_work_that_waits_elsewhere(schedule) -> None:  # type: ignore[no-untyped-def]
    """Worked out above, for the plain pull and for the plan. Delays 0, 10 and 0 s; one of three moved."""
    served = schedule(TWO)
    found = metrics(TWO, served)

    assert served == [Served(0.0, "a"), Served(1.0, "b"), Served(2.0, "b")]
    assert found["mean_delay_s"] == pytest.approx(10 / 3)
    assert found["moved_pct"] == pytest.approx(100 / 3)
    assert found["utilisation"] == pytest.approx(100 * (200 + 50 + 20) / (4 * 100))
    assert found["mean_bounded_slowdown"] == pytest.approx((1 + 60 / 50 + 1) / 3)


CLUSTERS = {
    "east": ["job_id,submission_time,duration,num_gpu", "x,0,100,4", "y,100,100,2", "z,50,0,1"],
    "west": ["num_gpu,job_id,duration,submission_time", "1,w,100,20"],
}


def test_logs_of_clusters_give_centres_of_the_size_that_their_load_says() -> None:
    """100 s between first and last submission. East has 600 GPU seconds: 12 GPUs at half load; west 100: two."""
    log = read_elasticflow("log", CLUSTERS, load=0.5)

    assert log.centres == {"east": 12, "west": 2}
    assert [(job.home, job.submitted_at, job.run_s, job.processors) for job in log.jobs] == [
        ("east", 0.0, 100.0, 4),
        ("west", 20.0, 100.0, 1),
        ("east", 100.0, 100.0, 2),
    ]
    assert read_elasticflow("log", CLUSTERS, load=9.0).centres == {"east": 4, "west": 1}
    assert len(read_elasticflow("log", CLUSTERS, limit=2).jobs) == 2


def test_carbon_of_a_schedule_by_hand() -> None:
    """A kilowatt a processor. a emits 600 g/kWh, b 0 in the first hour and 360 in the second.

    Job 0: 2 for 100 s at a: 200 kJ, 1/18 kWh, 33.3 g. Job 1 at b with 10 s of staging: in the first hour nothing;
    in the second 60 kJ, 6 g.
    """
    carbon = {"a": Hourly(0.0, (600.0,)), "b": Hourly(0.0, (0.0, 360.0))}
    costs = {name: Costs(power_w=1000.0, carbon=series) for name, series in carbon.items()}
    log = Trace("two", TWO.centres, TWO.jobs, TWO.staging_s, costs)

    at_once = metrics(log, [Served(0.0, "a"), Served(1.0, "b"), Served(2.0, "b")])
    later = metrics(log, [Served(0.0, "a"), Served(3600.0, "b"), Served(2.0, "b")])

    assert at_once["co2_kg"] == pytest.approx(0.6 / 18)
    assert later["co2_kg"] == pytest.approx(0.6 / 18 + 0.36 * 60 / 3600)


def test_money_of_a_schedule_by_hand_where_every_centre_tells_it() -> None:
    """Two processors for 100 s at 36 yuan an hour: 2 yuan. 2 kW for 100 s: 200 kJ, 1/18 kWh, at 0.9 yuan: 5 fen."""
    jobs = (TraceJob("0", "u", 0.0, 100.0, 100.0, 2, "a"),)
    tariff = Tariff((Period(tuple(range(1, 13)), 0, 1440, "flat", 900_000),))
    a, b = Costs(36.0, 1000.0, tariff, constant(500.0)), Costs(18.0, 1000.0, constant(0.5))
    log = Trace("two", {"a": 2, "b": 2}, jobs, costs={"a": a, "b": b})

    here, there = (metrics(log, [Served(0.0, centre)]) for centre in "ab")

    assert (here["cost_yuan"], there["cost_yuan"]) == (pytest.approx(2.0), pytest.approx(1.0))
    assert (here["electricity_yuan"], there["electricity_yuan"]) == (pytest.approx(0.05), pytest.approx(0.5 / 18))
    assert "co2_kg" not in here  # b does not tell it
    assert "cost_yuan" not in metrics(Trace("two", log.centres, jobs, costs={"a": a}), [Served(0.0, "a")])
    assert [from_json(json.loads(json.dumps(as_json(costs)))) for costs in (a, b, Costs())] == [a, b, Costs()]


def test_a_policy_that_weighs_money_moves_to_the_cheaper_centre() -> None:
    """An hour of a processor is 4 yuan dearer at home; a yuan is a second, so that is worth 3 s of staging."""
    jobs = (TraceJob("0", "u", 0.0, 3600.0, 3600.0, 1, "a"),)
    log = Trace("two", {"a": 1, "b": 1}, jobs, 3.0, {"a": Costs(5.0), "b": Costs(1.0)})
    assert [at.centre for at in simulate(log, policy_with("default", {"staging_weight": 1, "price_s": 1}))] == ["b"]
    assert [at.centre for at in simulate(log, policy_with("default", {"staging_weight": 1}))] == ["a"]


def test_the_carbon_policy_moves_what_saves_much_and_leaves_the_rest() -> None:
    """Ten hours of two processors of 1 kW save 20 kWh of 500 g, 10 kg; a minute of one saves 8 g and stays."""
    jobs = (TraceJob("0", "a", 0.0, 36_000.0, 36_000.0, 2, "a"), TraceJob("1", "a", 1.0, 60.0, 60.0, 1, "a"))
    costs = {name: Costs(power_w=1000.0, carbon=constant(g)) for name, g in (("a", 550.0), ("b", 50.0))}
    log = Trace("two", {"a": 4, "b": 2}, jobs, 10.0, costs)

    assert [at.centre for at in simulate(log, POLICIES["carbon"])] == ["b", "a"]
    assert [at.centre for at in simulate(log, POLICIES["short-first"])] == ["a", "a"]


def test_the_largest_centre_gets_the_cleanest_zone_unless_it_is_named() -> None:
    """East has twelve processors and west two; the third of three zones is left over."""
    log = read_elasticflow("log", CLUSTERS, load=0.5)
    zones = {"coal": constant(900.0), "hydro": constant(50.0), "gas": constant(400.0)}

    assert {name: told.carbon.values for name, told in with_carbon(log, zones).costs.items() if told.carbon} == {
        "east": (50.0,),
        "west": (400.0,),
    }
    assert with_carbon(log, zones, {"east": "coal"}).costs["east"].carbon == constant(900.0)
    with pytest.raises(BadSeries, match="north: no such centre; there are east, west"):
        with_carbon(log, zones, {"north": "coal"})
    with pytest.raises(BadSeries, match="wind: no such zone; there are coal, hydro, gas"):
        with_carbon(log, zones, {"east": "wind"})


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["job_id,duration,num_gpu", "x,1,1"], "east: columns are missing: submission_time"),
        ([CLUSTERS["east"][0], "x,0,10,1", "y,soon,10,1"], "east, line 3: could not convert"),
        ([CLUSTERS["east"][0], "x,0"], "east, line 2"),
        ([], "columns are missing"),
        (CLUSTERS["east"][:1], "no job that ran"),
    ],
)
def test_a_cluster_log_that_cannot_be_read_is_refused_with_its_line(lines: list[str], words: str) -> None:
    """The cluster, the line and what is wrong."""
    with pytest.raises(BadTrace, match=words):
        read_elasticflow("log", {"east": lines})
