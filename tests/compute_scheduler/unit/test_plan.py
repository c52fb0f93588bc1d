"""The plan on small networks, each figure worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from compute_scheduler.domain.decisions import Decisions, Reason
from compute_scheduler.domain.plan import plan
from compute_scheduler.domain.resources import resources
from compute_scheduler.domain.snapshot import (
    Centre,
    Node,
    Policy,
    QueuedJob,
    Quota,
    RunningJob,
    Snapshot,
    Tenant,
    Usage,
)

NOW = 10_000.0
HOUR, DAY = 3600.0, 86_400.0


def job(name: str, cores: float, limit: float = HOUR, tenant: str = "t", **more: object) -> QueuedJob:
    """A job of so many cores, submitted at NOW unless said otherwise."""
    demand = resources(cores, int(more.pop("memory_mb", 0)), more.pop("cards", {}))  # type: ignore[arg-type, call-overload]
    submitted = float(more.pop("at", NOW))  # type: ignore[arg-type]
    return QueuedJob(name, tenant, demand, submitted, limit, **more)  # type: ignore[arg-type]


def node(name: str, cores: float, memory_mb: int = 0, centre: str = "c", **cards: int) -> Node:
    """A node of a centre."""
    return Node(name, centre, resources(cores, memory_mb, cards))


def network(nodes: list[Node], queued: list[QueuedJob], *running: RunningJob, **more: object) -> Snapshot:
    """One open centre and one tenant unless said otherwise."""
    values = {"centres": (Centre("c", "淄博中心"),), "tenants": (Tenant("t"), Tenant("u")), **more}
    return Snapshot(nodes=tuple(nodes), queued=tuple(queued), running=running, **values)  # type: ignore[arg-type]


def started(decisions: Decisions) -> list[tuple[str, str]]:
    """Job and node in order."""
    return [(start.job_id, start.node) for start in decisions.starts]


def why(decisions: Decisions, job_id: str) -> Reason:
    """The reason of one job."""
    return dict(decisions.waits())[job_id]


def test_the_fullest_node_that_fits_is_taken() -> None:
    """Three cores fit on n1 (4) and n2 (8): n1 is left fuller; then n2."""
    decisions = plan(network([node("n1", 4), node("n2", 8), node("n3", 2)], [job("a", 3), job("b", 3)]), NOW, Policy())

    assert started(decisions) == [("a", "n1"), ("b", "n2")]


def test_work_without_accelerators_keeps_off_nodes_with_them() -> None:
    """The card node is the smaller, yet the job goes to the node without cards, and the card stays usable."""
    nodes = [node("gpu", 4, A100=1), node("cpu", 16)]
    decisions = plan(network(nodes, [job("a", 4), job("b", 4, cards={"A100": 1})]), NOW, Policy())

    assert started(decisions) == [("a", "cpu"), ("b", "gpu")]


def test_a_cheaper_centre_is_filled_first() -> None:
    """Cost goes before fit."""
    centres = (Centre("c", "贵", cost=2.0), Centre("d", "廉", cost=1.0))
    decisions = plan(network([node("n1", 2), node("n2", 8, centre="d")], [job("a", 2)], centres=centres), NOW, Policy())

    assert started(decisions) == [("a", "n2")]


def test_a_short_job_passes_the_blocked_one_and_a_long_one_does_not() -> None:
    """Four cores, two of them until NOW + 2 h. `big` wants four: reserved for then. One hour passes, three hours wait.

    The same with backfill off: nothing of the kind passes.
    """
    runs = RunningJob("r", "t", resources(2, 0), "n", NOW - HOUR, NOW + 2 * HOUR)
    queue = [job("big", 4, at=NOW - 9), job("long", 1, 3 * HOUR, at=NOW - 8), job("short", 1, 2 * HOUR, at=NOW - 7)]
    decisions = plan(network([node("n", 4)], queue, runs), NOW, Policy())

    assert started(decisions) == [("short", "n")]
    assert [(kept.job_id, kept.start_at) for kept in decisions.reservations] == [("big", NOW + 2 * HOUR)]
    assert (why(decisions, "big").code, why(decisions, "big").predicted_start_at) == ("resources", NOW + 2 * HOUR)
    assert (why(decisions, "long").code, why(decisions, "long").resource) == ("reservation", "big")

    strict = plan(network([node("n", 4)], queue, runs), NOW, Policy(backfill=False))
    assert started(strict) == []
    assert [why(strict, name).code for name in ("big", "long", "short")] == ["resources", "priority", "priority"]


def test_what_the_reserved_job_leaves_is_open_to_long_jobs() -> None:
    """Of five cores four are reserved from NOW + 2 h; a job of one core may run past it, a second one may not."""
    runs = RunningJob("r", "t", resources(3, 0), "n", NOW - HOUR, NOW + 2 * HOUR)
    queue = [job("big", 4, at=NOW - 9), job("one", 1, DAY, at=NOW - 8), job("two", 1, DAY, at=NOW - 7)]
    decisions = plan(network([node("n", 5)], queue, runs), NOW, Policy())

    assert started(decisions) == [("one", "n")]
    assert why(decisions, "two").code == "reservation"


def test_a_blocked_job_for_cards_does_not_hold_up_others() -> None:
    """Kinds of accelerators queue apart: the card job waits, and a long job without cards starts elsewhere."""
    runs = RunningJob("r", "t", resources(1, 0, {"A100": 1}), "gpu", NOW, NOW + HOUR)
    queue = [job("card", 1, cards={"A100": 1}, at=NOW - 9), job("plain", 4, DAY, at=NOW - 8)]
    decisions = plan(network([node("gpu", 4, A100=1), node("cpu", 4)], queue, runs), NOW, Policy())

    assert started(decisions) == [("plain", "cpu")]
    assert (why(decisions, "card").resource, why(decisions, "card").predicted_start_at) == ("A100", NOW + HOUR)


def test_priority_is_worth_its_seconds_and_waiting_makes_up_for_it() -> None:
    """High counts as a day earlier: it passes a normal job of yesterday noon, not one of two days ago."""
    queue = [job("old", 1, at=NOW - 2 * DAY), job("noon", 1, at=NOW - DAY / 2), job("new", 1, priority="high")]
    decisions = plan(network([node("n", 9)], queue), NOW, Policy(priority_s=DAY))

    assert [name for name, _ in started(decisions)] == ["old", "new", "noon"]


def test_tenants_take_turns_by_dominant_share() -> None:
    """Ten cores and ten cards. t asks two cores, u one card a job: shares rise by 0.2 and 0.1, so u gets two to one.

    Worked out with fair share alone: t1 (0.2), u1 (0.1), u2 (0.2), t2 (0.4; equal keys go by id), u3, u4, t3.
    """
    queue = [job(f"t{n}", 2, at=NOW) for n in range(1, 5)]
    queue += [job(f"u{n}", 0, tenant="u", cards={"A100": 1}, at=NOW) for n in range(1, 7)]
    decisions = plan(network([node("n", 10, A100=10)], queue), NOW, Policy(fair_share_s=DAY, most_starts=7))

    assert [name for name, _ in started(decisions)] == ["t1", "u1", "u2", "t2", "u3", "u4", "t3"]
    assert why(decisions, "u6").code == "cycle_limit"


def test_past_use_counts_half_after_a_half_life() -> None:
    """t used 8 of 10 cores for long until one half-life ago (share 0.4); u holds 3 (0.3) and comes first."""
    past = Usage("t", NOW - DAY, {"cores": 8 * DAY / 0.6931471805599453})
    runs = RunningJob("r", "u", resources(3, 0), "n", NOW - HOUR, NOW + HOUR)
    queue = [job("t1", 1), job("u1", 1, tenant="u")]
    snapshot = network([node("n", 10)], queue, runs, usages=(past,))

    first = plan(snapshot, NOW, Policy(half_life_s=DAY)).starts[0]
    later = plan(snapshot, NOW + DAY, Policy(half_life_s=DAY)).starts[0]

    assert (first.job_id, later.job_id) == ("u1", "t1")


def test_a_full_quota_stops_its_tenant_only() -> None:
    """t may hold two cores: its second job waits for its own quota while u's runs."""
    tenants = (Tenant("t", Quota({"cores": 2})), Tenant("u"))
    queue = [job("a", 2, at=NOW - 3), job("b", 1, at=NOW - 2), job("huge", 3, at=NOW - 1), job("x", 3, tenant="u")]
    decisions = plan(network([node("n", 9)], queue, tenants=tenants), NOW, Policy())

    assert started(decisions) == [("a", "n"), ("x", "n")]
    assert why(decisions, "b") == Reason(
        "quota", "配额不足：租户 t 的CPU 核还可用 0 核，本作业要 1 核，本租户或同组的作业结束后安排", "cores"
    )
    assert why(decisions, "huge").code == "quota_never"


@pytest.mark.parametrize(
    ("snapshot", "code", "word"),
    [
        (network([node("n", 2)], [job("j", 3)]), "never_fits", "单个节点最多 2 核，本作业要 3 核"),
        (network([node("n", 2, 10), node("m", 1, 99)], [job("j", 2, memory_mb=50)]), "never_fits", "同时"),
        (network([node("n", 2)], [job("j", 1, centres=("x",))]), "centre_unknown", "x"),
        (network([node("n", 2)], [job("j", 1)], centres=(Centre("c", "淄博", "drained"),)), "centre_closed", "淄博"),
        (network([node("n", 2)], [job("j", 1)], centres=(Centre("c", "淄博", "lost"),)), "centre_closed", "淄博"),
        (network([Node("n", "c", resources(2, 0), "down")], [job("j", 1)]), "nodes_closed", "维护"),
        (network([node("n", 2)], [job("j", 1, tenant="x")]), "tenant_unknown", "x"),
        (network([node("n", 2)], [job("j", 1, not_before_at=NOW + 1)]), "not_before", "时间"),
    ],
)
def test_each_obstacle_has_its_reason(snapshot: Snapshot, code: str, word: str) -> None:
    """A stable code, and words that name what stands in the way."""
    reason = why(plan(snapshot, NOW, Policy()), "j")

    assert reason.code == code
    assert word in reason.words


def test_the_resource_that_is_short_is_named() -> None:
    """Cores, memory and cards in turn, on a node that is full of just that."""
    runs = RunningJob("r", "t", resources(3, 50, {"A100": 1}), "n", NOW, NOW + HOUR)
    nodes = [node("n", 4, 100, A100=1)]
    for queued, resource in (
        (job("j", 2), "cores"),
        (job("j", 1, memory_mb=60), "memory_mb"),
        (job("j", 1, cards={"A100": 1}), "A100"),
    ):
        reason = why(plan(network(nodes, [queued], runs), NOW, Policy()), "j")
        assert (reason.code, reason.resource) == ("resources", resource)


def test_a_deadline_that_cannot_be_met_is_refused_and_a_doubtful_one_is_said() -> None:
    """An hour's limit: refused when the deadline is in 59 minutes; a reserved start that is too late is said."""
    runs = RunningJob("r", "t", resources(2, 0), "n", NOW, NOW + HOUR)
    queue = [job("late", 1, deadline_at=NOW + HOUR - 60), job("doubtful", 2, deadline_at=NOW + HOUR * 1.5)]
    decisions = plan(network([node("n", 2)], queue, runs), NOW, Policy())

    assert [(refusal.job_id, refusal.reason.code) for refusal in decisions.refusals] == [("late", "deadline")]
    assert "可能赶不上截止时间" in why(decisions, "doubtful").words


def test_a_large_job_starts_in_time_however_many_small_ones_come() -> None:
    """Ten cores, always ten jobs of one core waiting, each an hour long. A job of ten cores submitted at the start must
    be running once it heads the queue and all that ran then has ended: within two hours, though something always waits.
    """
    running: list[RunningJob] = [
        RunningJob(f"r{n}", "t", resources(1, 0), "n", NOW - n * 360, NOW - n * 360 + HOUR) for n in range(10)
    ]
    queued = [job("big", 10, tenant="u")]
    for step in range(200):
        now = NOW + step * 60
        running = [item for item in running if item.ends_by_at > now]
        queued += [job(f"s{step:03}-{n}", 1, at=now) for n in range(max(0, 10 - len(queued)))]
        decisions = plan(network([node("n", 10)], queued, *running), now, Policy())
        for start in decisions.starts:
            chosen = next(item for item in queued if item.id == start.job_id)
            queued.remove(chosen)
            running.append(RunningJob(chosen.id, chosen.tenant, chosen.demand, "n", now, now + chosen.time_limit_s))
        if any(item.id == "big" for item in running):
            break

    assert now <= NOW + 2 * HOUR


@pytest.mark.parametrize(("ago_min", "first"), [(59, "other"), (61, "mine")])
def test_a_share_counts_as_a_multiple_of_the_fair_part(ago_min: int, first: str) -> None:
    """Ten tenants, so one of ten cores is a fair part: it sets its holder back by fair_share_s, an hour here, not by a
    tenth of that, its part of the whole."""
    others = [f"t{number}" for number in range(8)]
    runs = [RunningJob("r", "t", resources(1, 0), "n", NOW, NOW + DAY)]
    runs += [RunningJob(f"r{name}", name, resources(1, 0), "n", NOW, NOW + DAY) for name in others]
    queue = [job("mine", 1, at=NOW - 60 * ago_min), job("other", 1, tenant="u")]
    snapshot = network([node("n", 10)], queue, *runs, tenants=tuple(Tenant(name) for name in ["t", "u", *others]))

    assert [start.job_id for start in plan(snapshot, NOW, Policy(fair_share_s=HOUR)).starts] == [first]


def test_of_two_jobs_waiting_lifts_the_older_past_any_weight() -> None:
    """Low against high, twice all that two tenants share against nothing: 2 * priority_s + 4 * fair_share_s apart, the
    older comes first."""
    weights = Policy(priority_s=HOUR, fair_share_s=HOUR, half_life_s=DAY)
    past = Usage("t", NOW, {"cores": 10 * DAY / 0.6931471805599453})
    runs = RunningJob("r", "t", resources(10, 0), "n", NOW, NOW + DAY)
    queue = [job("old", 1, at=NOW - 6 * HOUR - 1, priority="low"), job("new", 1, tenant="u", priority="high")]
    snapshot = network([node("n", 10), node("m", 1)], queue, runs, usages=(past,))

    assert [start.job_id for start in plan(snapshot, NOW, weights).starts] == ["old"]


def test_parts_of_a_device_share_it_until_it_is_full() -> None:
    """Two devices: parts of 0.5 and 0.5 share one, a whole one takes the other, then 0.1 waits for an accelerator."""
    jobs = [job("a", 1, cards={"A100": 0.5}), job("b", 1, cards={"A100": 0.5}), job("c", 1, cards={"A100": 1})]
    told = network([node("n", 9, A100=2)], [*jobs, job("d", 1, cards={"A100": 0.1})])
    decisions = plan(told, NOW, Policy())

    assert [name for name, _ in started(decisions)] == ["a", "b", "c"]
    assert why(decisions, "d").code == "resources"
    assert why(decisions, "d").words == "加速卡 A100不足，已在节点 n 预留开始时间"


def test_parts_on_two_devices_leave_no_whole_one() -> None:
    """0.7 and 0.6 are on two devices: 0.7 of a device is left in all, but of neither more than 0.4."""
    runs = [RunningJob(f"r{part}", "t", resources(1, 0, {"A100": part}), "n", NOW, NOW + HOUR) for part in (0.7, 0.6)]
    told = network([node("n", 9, A100=2)], [job("a", 1, cards={"A100": 0.5}), job("b", 1, cards={"A100": 0.4})], *runs)

    assert started(plan(told, NOW, Policy(reservations=0))) == [("b", "n")]


def test_a_start_is_reserved_where_something_ends_and_not_where_parts_only_add_up() -> None:
    """0.8 of a device is left on m, on two of them, until the end of its runs; n gives half a device back before."""
    runs = [
        RunningJob(f"r{place}{part}", "t", resources(1, 0, {"A100": part}), place, NOW, NOW + hours * HOUR)
        for place, part, hours in (("m", 0.5, 2), ("m", 0.7, 2), ("n", 0.5, 1))
    ]
    told = network([node("m", 9, A100=2), node("n", 9, A100=1)], [job("a", 1, cards={"A100": 0.7})], *runs)

    (reserved,) = plan(told, NOW, Policy()).reservations

    assert (reserved.node, reserved.start_at) == ("n", NOW + HOUR)


def test_a_job_of_several_kinds_takes_one_that_its_quota_allows() -> None:
    """A100 is first by name but not in the quota of t; u has no limit. Both nodes are large enough."""
    limited = Tenant("t", Quota({"A100": 1.0, "V100": 9.0}))
    jobs = [job("a", 1, cards={"V100|A100": 2}), job("b", 1, tenant="u", cards={"V100|A100": 2})]
    told = network([node("x", 4, A100=2), node("y", 4, V100=2)], jobs, tenants=(limited, Tenant("u")))
    decisions = plan(told, NOW, Policy())

    assert dict(started(decisions)) == {"a": "y", "b": "x"}


def test_a_job_of_kinds_that_no_quota_allows_waits_for_quota() -> None:
    """Neither kind suffices: the reason names the first."""
    limited = Tenant("t", Quota({"A100": 1.0, "V100": 1.0}))
    told = network([node("x", 4, A100=2)], [job("a", 1, cards={"V100|A100": 2})], tenants=(limited,))
    reason = why(plan(told, NOW, Policy()), "a")

    assert (reason.code, reason.resource) == ("quota_never", "A100")


def test_a_job_too_large_for_every_kind_names_them() -> None:
    """The most of any of the kinds is told."""
    told = network([node("x", 4, A100=2), node("y", 4, V100=1)], [job("a", 1, cards={"V100|A100": 3})])

    assert (
        why(plan(told, NOW, Policy()), "a").words
        == "加速卡 A100 或 V100：单个节点最多 2 张，本作业要 3 张，请减小申请量"
    )


@pytest.mark.parametrize(
    "asked", [{"a": 1.5}, {"a": 0.0004}, {"a": 0.5, "b": 1}, {"a|b": 1, "c": 1}, {"a|": 1}, {"a": -1}]
)
def test_amounts_of_accelerators_that_cannot_be_are_refused(asked: dict[str, float]) -> None:
    """Parts of one device only, parts and choices alone, and no empty kind."""
    with pytest.raises(ValueError, match=r"accelerator|never negative"):
        resources(1, 0, asked)


def test_thousands_of_jobs_of_one_tenant_do_not_delay_the_others() -> None:
    """t fills the queue with five thousand jobs of a core before u and v come, on 100 cores.

    At once: u and v get what they ask for, t the rest. With t holding all but one core, that one goes to u, who holds
    three and comes last; had t asked with high priority, too: a class is a day, and t holds nearly three fair parts.
    """
    nodes = [node(f"n{number}", 10) for number in range(10)]
    flood = [job(f"t{number:04}", 1, at=NOW - 600 + number / 100) for number in range(5000)]
    late = [job(f"{name}{number}", 1, tenant=name, at=NOW) for name in "uv" for number in range(3)]
    everybody = (Tenant("t"), Tenant("u"), Tenant("v"))

    first = [name for name, _ in started(plan(network(nodes, [*flood, *late], tenants=everybody), NOW, Policy()))]
    assert len(first) == 100
    assert {"u0", "u1", "u2", "v0", "v1", "v2"} <= set(first)

    held = [
        RunningJob(f"r{at}", "u" if at < 3 else "t", resources(1, 0), f"n{at // 10}", NOW, NOW + DAY)
        for at in range(99)
    ]
    urgent = [replace(item, priority="high") for item in flood]
    for queue in (flood, urgent):
        decisions = plan(
            network(nodes, [*queue, job("u3", 1, tenant="u", at=NOW)], *held, tenants=everybody), NOW, Policy()
        )
        assert started(decisions) == [("u3", "n9")]
