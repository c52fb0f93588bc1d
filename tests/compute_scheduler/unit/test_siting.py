"""Which centre a job gets when the policy weighs staging, price and carbon, by hand."""

from __future__ import annotations

import pytest
from compute_scheduler.domain.decisions import Decisions, Site
from compute_scheduler.domain.hourly import Hourly, constant
from compute_scheduler.domain.plan import plan
from compute_scheduler.domain.resources import resources
from compute_scheduler.domain.snapshot import Centre, Node, Policy, QueuedJob, RunningJob, Snapshot, Tenant

NOW, HOUR = 36_000.0, 3600.0
POWER = {"cores": 10.0, "A100": 400.0}
HOME = Centre("home", "本地", prices={"cores": 0.5, "A100": 10.0}, power_w=POWER, carbon=constant(600.0))
CLEAN = Centre("clean", "清洁", prices={"cores": 0.5, "A100": 12.0}, power_w=POWER, carbon=constant(50.0))
WEIGHTS = Policy(staging_weight=1.0, carbon_s=500.0)


def told(
    *jobs: QueuedJob, centres: tuple[Centre, ...] = (HOME, CLEAN), running: tuple[RunningJob, ...] = ()
) -> Snapshot:
    """Each centre with one machine of 8 cores and 2 cards."""
    nodes = tuple(Node(f"{centre.id}-1", centre.id, resources(8, 0, {"A100": 2})) for centre in centres)
    return Snapshot(centres, nodes, (Tenant("t"),), jobs, running)


def job(name: str, hours: float, **more: object) -> QueuedJob:
    """A job of two cores and one card (420 W) with its data at home, ten minutes from elsewhere."""
    values = {"home": "home", "staging_s": 600.0, "submitted_at": NOW, **more}
    return QueuedJob(name, "t", resources(2, 0, {"A100": 1}), time_limit_s=hours * HOUR, **values)  # type: ignore[arg-type]


def centres_of(decisions: Decisions) -> dict[str, str]:
    """Job to centre."""
    return {start.job_id: start.centre for start in decisions.starts}


def test_a_job_moves_when_its_saving_is_worth_the_staging() -> None:
    """550 g/kWh less. Five hours: 2.1 kWh, 1.155 kg, 577.5 s: stays. Six hours: 1.386 kg, 693 s, over 600 s: moves."""
    assert centres_of(plan(told(job("a", 5.0), job("b", 6.0)), NOW, WEIGHTS)) == {"a": "home", "b": "clean"}
    assert centres_of(plan(told(job("b", 6.0)), NOW, Policy())) == {"b": "home"}


def test_every_term_is_kept_with_the_decision() -> None:
    """Ten hours of 420 W are 4.2 kWh: 2.52 kg at home, 0.21 kg there; 1 + 100 yuan at home, 1 + 120 there an hour."""
    (start,) = plan(told(job("a", 10.0)), NOW, WEIGHTS).starts

    assert start.site == Site("clean", 600.0, pytest.approx(130.0), pytest.approx(4.2), pytest.approx(0.21), 705.0)
    assert start.others == (
        Site("home", 0.0, pytest.approx(110.0), pytest.approx(4.2), pytest.approx(2.52), pytest.approx(1260.0)),
    )


def test_costs_are_told_also_where_nothing_is_weighed() -> None:
    """At home, as without weights; and nothing at all where nothing is known."""
    assert plan(told(job("a", 10.0)), NOW, Policy()).starts[0].site == Site(
        "home", 0.0, pytest.approx(110.0), pytest.approx(4.2), pytest.approx(2.52)
    )
    plain = told(job("a", 10.0, staging_s=0.0), centres=(Centre("home", "本地"),))
    assert plan(plain, NOW, Policy()).starts[0].site is None


def test_electricity_is_part_of_the_price_by_the_time_of_use() -> None:
    """At home 4.2 kWh at 1 yuan, elsewhere 2.1 yuan by a tariff of half that: with money alike elsewhere is better by
    2.1 yuan; a centre that does not tell its tariff counts as the dearest."""
    home = Centre("home", "本地", power_w={"cores": 2100.0}, electricity=constant(1.0))
    cheap = Centre("cheap", "谷电", power_w={"cores": 2100.0}, electricity=Hourly(NOW, (0.25, 0.75)))
    silent = Centre("silent", "没有电价", power_w={"cores": 2100.0})
    job_ = QueuedJob("a", "t", resources(1, 0), NOW, time_limit_s=2 * HOUR, home="home")
    nodes = tuple(Node(f"n-{name}", name, resources(1, 0)) for name in ("home", "cheap", "silent"))
    snapshot = Snapshot((home, cheap, silent), nodes, (Tenant("t"),), (job_,))
    (start,) = plan(snapshot, NOW, Policy(price_s=10.0)).starts
    assert start.site is not None
    assert (start.centre, start.site.energy_yuan, start.site.score_s) == (
        "cheap",
        pytest.approx(2.1),
        pytest.approx(21.0),
    )
    assert [(site.centre, site.energy_yuan, site.score_s) for site in start.others] == [
        ("home", pytest.approx(4.2), pytest.approx(42.0)),
        ("silent", None, pytest.approx(42.0)),
    ]


def test_money_follows_the_tariff_of_the_hours() -> None:
    """At 10:00 the valley of one hour at half the price begins, then the peak at double: 1.5 hours are 0.5 + 1 hours'
    worth of 11 yuan. Elsewhere 13 yuan: 19.5, so home is dearer by 3 yuan when the tariff is turned round."""
    tariff = Hourly(NOW, (0.5, 2.0))
    valley = Centre("home", "本地", prices=HOME.prices, tariff=tariff)
    peak = Centre("home", "本地", prices=HOME.prices, tariff=Hourly(NOW + HOUR, (0.5, 2.0)))
    policy = Policy(price_s=60.0)

    (cheap,) = plan(told(job("a", 1.5, staging_s=0.0), centres=(valley, CLEAN)), NOW, policy).starts
    (moved,) = plan(told(job("a", 1.5, staging_s=0.0), centres=(peak, CLEAN)), NOW, policy).starts

    assert (cheap.centre, cheap.site and cheap.site.money) == ("home", pytest.approx(16.5))
    assert (moved.centre, [other.money for other in moved.others]) == ("clean", [pytest.approx(24.75)])


def test_a_centre_that_tells_nothing_is_not_taken_for_clean() -> None:
    """It counts as the dirtiest that tells; between equals home wins."""
    silent = Centre("silent", "未报")

    assert centres_of(plan(told(job("a", 6.0), centres=(HOME, silent)), NOW, WEIGHTS)) == {"a": "home"}
    assert centres_of(plan(told(job("a", 99.0, staging_s=0.0), centres=(HOME, silent)), NOW, WEIGHTS)) == {"a": "home"}


def test_data_that_may_not_leave_stay_whatever_it_costs() -> None:
    """A job that names its home alone never goes elsewhere."""
    assert centres_of(plan(told(job("a", 99.0, centres=("home",))), NOW, WEIGHTS)) == {"a": "home"}


def full(hours: float) -> tuple[RunningJob, ...]:
    """A job that holds both cards of the clean centre for so long."""
    return (RunningJob("r", "t", resources(1, 0, {"A100": 2}), "clean-1", 0.0, NOW + hours * HOUR),)


def test_a_job_is_held_back_for_a_better_centre_within_bounds() -> None:
    """Forty hours: 16.8 kWh, 9.24 kg, 4620 - 600 = 4020 s better there. An hour of waiting is less; two hours are more;
    ten times an hour is more; and one that has waited nine hours of ten is not held for another two."""
    held = Policy(staging_weight=1.0, carbon_s=500.0, longest_hold_s=10 * HOUR)
    (waiting,) = plan(told(job("a", 40.0), running=full(1.0)), NOW, held).waiting

    assert (waiting.reason.code, waiting.reason.resource) == ("better_site", "clean")
    assert waiting.reason.predicted_start_at == NOW + HOUR
    assert centres_of(plan(told(job("a", 40.0), running=full(2.0)), NOW, held)) == {"a": "home"}
    assert centres_of(plan(told(job("a", 40.0), running=full(1.0)), NOW, WEIGHTS)) == {"a": "home"}
    late = job("a", 40.0, submitted_at=NOW - 9.5 * HOUR)
    assert centres_of(plan(told(late, running=full(1.0)), NOW, held)) == {"a": "home"}
    dear = Policy(staging_weight=1.0, carbon_s=500.0, longest_hold_s=10 * HOUR, wait_weight=10.0)
    assert centres_of(plan(told(job("a", 40.0), running=full(1.0)), NOW, dear)) == {"a": "home"}


def test_a_job_is_not_held_past_its_deadline() -> None:
    """It must end by 40.5 hours from now: an hour of waiting is too much."""
    held = Policy(staging_weight=1.0, carbon_s=500.0, longest_hold_s=10 * HOUR)
    due = job("a", 40.0, deadline_at=NOW + 40.5 * HOUR)

    assert centres_of(plan(told(due, running=full(1.0)), NOW, held)) == {"a": "home"}
