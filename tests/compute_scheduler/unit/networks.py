"""Random small networks for the property tests, and shapes of networks written short."""

from __future__ import annotations

from dataclasses import replace

from compute_scheduler.domain.hourly import Hourly
from compute_scheduler.domain.resources import Resources, resources
from compute_scheduler.domain.snapshot import (
    Centre,
    Node,
    Policy,
    Popular,
    QueuedJob,
    Quota,
    RunningJob,
    Snapshot,
    Stage,
    Tenant,
    Usage,
    Window,
)
from hypothesis import strategies as st

NOW = 1000.0
KINDS = ("a", "b")
amount = st.integers(0, 4)
times = st.integers(1, 6).map(lambda number: 100.0 * number)


@st.composite
def demands(draw: st.DrawFn, most: int = 3) -> Resources:
    """What a job asks for; sometimes nothing, sometimes too much."""
    kinds: dict[str, float] = {}
    which = draw(st.integers(0, 5))
    if which < 2:
        kinds = {kind: draw(st.integers(0, 1)) for kind in KINDS}
    elif which == 2:
        kinds = {draw(st.sampled_from(["a", "a", "b", "a|b"])): draw(st.sampled_from([0.3, 0.5, 0.7, 0.81, 1]))}
    return resources(draw(st.integers(0, most)), draw(st.integers(0, most)), kinds)


@st.composite
def capacities(draw: st.DrawFn, most: int = 4, devices: int = 2) -> Resources:
    """What a node has."""
    kinds = {kind: draw(st.integers(0, devices)) for kind in KINDS}
    return resources(draw(st.integers(0, most)), draw(st.integers(0, most)), kinds)


popular = st.lists(st.builds(Popular, demands(), st.integers(1, 3).map(float)), max_size=4).map(tuple)


@st.composite
def quotas(draw: st.DrawFn) -> Quota:
    """Some limits."""
    names = st.sampled_from(["cores", "memory_mb", "a"])
    limits = st.dictionaries(names, st.integers(0, 6).map(float), max_size=2)
    return Quota(draw(limits), draw(limits), draw(limits))


@st.composite
def queued_jobs(draw: st.DrawFn, number: int) -> QueuedJob:
    """A queued job; a few of a tenant, centre or time that stands in its way."""
    demand = draw(demands())
    is_choice = any("|" in kind for kind, _ in demand.accelerators)
    return QueuedJob(
        f"q{number}",
        draw(st.sampled_from(["t0", "t1", "t2", "t0", "t1", "t2", "nobody"])),
        demand,
        draw(st.integers(0, 9).map(lambda ago: NOW - 100.0 * ago)),
        draw(times),
        draw(st.sampled_from(["low", "normal", "high"])),
        draw(st.sampled_from([None, None, None, NOW + 250.0])),
        draw(st.sampled_from([None, None, None, NOW - 50.0, NOW + 50.0])),
        draw(st.sampled_from([(), (), (), ("c0",), ("c1", "c0"), ("c9",)])),
        draw(st.sampled_from([None, "c0", "c1"])),
        draw(st.sampled_from([0.0, 100.0])),
        1 if is_choice else draw(st.sampled_from([1, 1, 1, 2, 3])),
        draw(st.sampled_from([(), (), (), (), ("e0",), ("e0", "e1"), ("r0",), ("e0", "r0"), ("e0", "q0")])),
        stages=draw(st.sampled_from([{}, {}, {"c0": Stage(50.0, 2.0)}, {"c0": Stage(0.0), "c1": Stage(200.0, 1.0)}])),
        nowhere=draw(st.sampled_from([False] * 9 + [True])),
    )


@st.composite
def networked_centres(draw: st.DrawFn, number: int) -> Centre:
    """A centre; some tell their price, tariff, power, carbon and electricity."""
    hours = st.lists(st.integers(0, 9).map(float), min_size=1, max_size=3).map(tuple)
    series = st.one_of(st.none(), st.builds(Hourly, st.just(NOW - 3400.0), hours))
    return Centre(
        f"c{number}",
        f"中心{number}",
        draw(st.sampled_from(["open", "open", "open", "drained"])),
        draw(st.integers(0, 1)),
        draw(st.sampled_from([{}, {"cores": 36.0}, {"cores": 72.0, "a": 36.0}])),
        draw(series),
        draw(st.sampled_from([{}, {"cores": 36_000.0, "a": 72_000.0}])),
        draw(series),
        draw(series),
    )


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """A small network whose running jobs fit on their nodes."""
    centres = tuple(draw(networked_centres(number)) for number in range(2))
    nodes = tuple(
        Node(
            f"n{n}",
            draw(st.sampled_from(["c0", "c0", "c1"])),
            draw(capacities()),
            draw(st.sampled_from(["up", "up", "up", "up", "drained"])),
        )
        for n in range(draw(st.integers(0, 4)))
    )
    tenants = [Tenant("g", draw(quotas()))]
    for number in range(3):
        parent, weight = draw(st.sampled_from([None, "g", "t0"])), draw(st.sampled_from([1.0, 2.0]))
        tenants.append(Tenant(f"t{number}", draw(quotas()), parent, weight))
    running = []
    free = {node.id: dict(node.capacity.amounts()) for node in nodes}
    for number in range(draw(st.integers(0, 4)) if nodes else 0):
        job = draw(demands(2))
        node = draw(st.sampled_from(nodes)).id
        if all(free[node].get(name, 0) >= asked for name, asked in job.amounts().items()):
            for name, asked in job.amounts().items():
                free[node][name] = free[node].get(name, 0) - asked
            end = NOW + draw(st.integers(-1, 5)) * 100.0
            tenant, more = draw(st.sampled_from(["t0", "t1", "nobody"])), ()
            if all(free[node].get(name, 0) >= asked for name, asked in job.amounts().items()) and draw(st.booleans()):
                for name, asked in job.amounts().items():
                    free[node][name] = free[node].get(name, 0) - asked
                more = (node,)
            priority, times_before = draw(st.sampled_from(["low", "low", "normal"])), draw(st.integers(0, 2))
            began, every = draw(st.sampled_from([0.0, 500.0, 900.0])), draw(st.sampled_from([None, None, 300.0]))
            standing = (priority, times_before, every)
            running.append(RunningJob(f"r{number}", tenant, job, node, began, end, more, *standing))
    usages = tuple(
        Usage(f"t{n}", draw(st.sampled_from([NOW, NOW - 500])), {"cores": draw(st.integers(0, 3)) * 1000.0})
        for n in range(draw(st.integers(0, 3)))
    )
    queued = tuple(draw(queued_jobs(number)) for number in range(draw(st.integers(0, 8))))
    outcomes = {"e0": True, "e1": draw(st.booleans())}
    return Snapshot(centres, nodes, tuple(tenants), queued, tuple(running), usages, outcomes, draw(popular))


@st.composite
def busy_networks(draw: st.DrawFn) -> Snapshot:
    """One or two nodes that are nearly full and a queue that fits only in part: what reservations are for."""
    nodes = tuple(Node(f"n{n}", "c0", resources(6, 0, {"a": 2})) for n in range(draw(st.integers(1, 3))))
    running = [
        RunningJob(
            f"r{number}",
            "t0",
            resources(draw(st.integers(1, 3)), 0),
            nodes[number % len(nodes)].id,
            draw(st.sampled_from([0.0, 500.0])),
            NOW + draw(times),
            priority=draw(st.sampled_from(["low", "normal"])),
        )
        for number in range(2 * len(nodes))
    ]
    sizes = st.tuples(st.integers(1, 6), st.sampled_from([0, 0, 0, 1, 2]), st.sampled_from([1, 1, 1, 2, 3]))
    queued = tuple(
        QueuedJob(
            f"q{n}",
            f"t{n % 2}",
            resources(cores, 0, {"a": gpus}),
            NOW - 100.0 + n,
            draw(times),
            draw(st.sampled_from(["normal", "normal", "high"])),
            gang=gang,
        )
        for n, (cores, gpus, gang) in enumerate(draw(st.lists(sizes, min_size=2, max_size=8)))
    )
    return Snapshot((Centre("c0", "中心"),), nodes, (Tenant("t0"), Tenant("t1")), queued, tuple(running))


@st.composite
def unlike_centres(draw: st.DrawFn) -> Snapshot:
    """Three centres of unlike price and carbon, partly taken: what weighing sites and holding back are for."""
    watts = st.sampled_from([36_000.0, 360_000.0])
    hours = st.lists(st.integers(0, 9).map(float), min_size=1, max_size=2).map(tuple)
    centres = tuple(
        Centre(f"c{n}", f"中心{n}", power_w={"cores": draw(watts)}, carbon=Hourly(NOW - 3400.0, draw(hours)))
        for n in range(3)
    )
    nodes = tuple(Node(f"n{n}", f"c{n % 3}", resources(4, 0)) for n in range(draw(st.integers(3, 4))))
    running = [
        RunningJob(f"r{n}", "t0", resources(draw(st.integers(2, 4)), 0), node.id, 0.0, NOW + draw(times) - 100.0)
        for n, node in enumerate(nodes)
        if draw(st.integers(0, 2))
    ]
    queued = tuple(
        QueuedJob(
            f"q{n}",
            f"t{n % 2}",
            resources(draw(st.integers(1, 4)), 0),
            NOW - draw(times),
            draw(times),
            deadline_at=draw(st.sampled_from([None, None, NOW + 700.0])),
            centres=draw(st.sampled_from([(), (), ("c0", "c1")])),
            home=draw(st.sampled_from([None, "c0", "c1"])),
            staging_s=draw(st.sampled_from([0.0, 100.0])),
            stages={f"c{k}": Stage(draw(times), draw(st.integers(0, 9)), 1) for k in range(draw(st.integers(0, 3)))},
        )
        for n in range(draw(st.integers(1, 6)))
    )
    return Snapshot(centres, nodes, (Tenant("t0"), Tenant("t1")), queued, tuple(running))


@st.composite
def shared_networks(draw: st.DrawFn) -> Snapshot:
    """Nodes with a few devices, part of them shared, and jobs that ask for parts: what fragmentation is about."""
    parts = st.tuples(st.sampled_from(["a", "a", "a", "b", "a|b"]), st.sampled_from([0.16, 0.3, 0.5, 0.7, 0.84, 1, 2]))
    asked = st.one_of(st.just(()), st.just(()), *[parts.map(lambda part: (part,))] * 5)
    sizes = st.builds(lambda cores, part: resources(cores, 0, dict(part)), st.integers(0, 3), asked)
    nodes = tuple(
        Node(f"n{n}", "c0", resources(draw(st.integers(4, 9)), 0, draw(st.sampled_from([{"a": 3}, {"a": 2, "b": 1}]))))
        for n in range(draw(st.integers(1, 3)))
    )
    running = tuple(
        RunningJob(f"r{n}", "t0", resources(1, 0, {"a": part}), nodes[n % len(nodes)].id, 0.0, NOW + draw(times))
        for n, part in enumerate(draw(st.lists(st.sampled_from([0.3, 0.5, 0.7, 1]), max_size=2 * len(nodes))))
    )
    queued = tuple(
        QueuedJob(f"q{n}", f"t{n % 2}", demand, NOW - 100.0 + n, draw(times))
        for n, demand in enumerate(draw(st.lists(sizes, min_size=3, max_size=9)))
    )
    known = tuple(Popular(demand, 1.0 + n) for n, demand in enumerate(draw(st.lists(sizes, max_size=5))))
    return Snapshot((Centre("c0", "中心"),), nodes, (Tenant("t0"), Tenant("t1")), queued, running, popular=known)


@st.composite
def windows_of(draw: st.DrawFn, snapshot: Snapshot) -> tuple[Window, ...]:
    """A few windows that may touch, overlap, be over, keep nothing or be for several; nodes that are not there."""
    found = []
    names = [node.id for node in snapshot.nodes]
    for number in range(draw(st.integers(1, 3))):
        start = NOW + 100.0 * draw(st.integers(-3, 4))
        kept = st.one_of(st.none(), demands().filter(lambda part: not part.share and not has_choice(part)))
        chosen = draw(st.lists(st.sampled_from([*names, "n9"]), max_size=3, unique=True)) if names else []
        whose = draw(st.sampled_from([(), ("t0",), ("t0",), ("t1", "t2"), ("t1",)]))
        found.append(
            Window(
                f"w{draw(st.sampled_from([number, 9 - number]))}",
                draw(st.sampled_from(["c0", "c0", "c1"])),
                start,
                start + 100.0 * draw(st.integers(1, 4)),
                tuple((name, draw(kept)) for name in chosen),
                whose,
                None if whose else draw(st.sampled_from([None, "high", "low"])),
                draw(st.booleans()),
            )
        )
    return tuple(found)


def has_choice(part: Resources) -> bool:
    """Whether it names several kinds."""
    return any("|" in kind for kind, _ in part.accelerators)


@st.composite
def reserved_networks(draw: st.DrawFn) -> Snapshot:
    """Any network with windows, which some jobs name."""
    snapshot = draw(st.one_of(snapshots(), busy_networks(), busy_networks(), shared_networks(), unlike_centres()))
    windows = draw(windows_of(snapshot))
    names = st.sampled_from([None, None, None, None, *[window.id for window in windows], "w7"])
    queued = tuple(replace(job, reservation=draw(names)) for job in snapshot.queued)
    return replace(snapshot, queued=queued, windows=windows)


networks = st.one_of(snapshots(), busy_networks(), shared_networks())
policies = st.builds(
    Policy,
    priority_s=st.sampled_from([0.0, 300.0]),
    fair_share_s=st.sampled_from([0.0, 500.0]),
    half_life_s=st.just(500.0),
    short_first=st.sampled_from([0.0, 1.0]),
    longest_set_back_s=st.sampled_from([0.0, 200.0, 1e9]),
    backfill=st.sampled_from([True, True, True, False]),
    reservations=st.sampled_from([1, 1, 2, 3, 0]),
    most_starts=st.sampled_from([None, None, None, 1]),
    preemptions=st.sampled_from([0, 1, 2, 4]),
    preemptions_per_job=st.sampled_from([1, 2]),
    preempt_after_s=st.sampled_from([0.0, 0.0, 150.0]),
    placement=st.sampled_from(["best-fit", "fragmentation", "fragmentation"]),
    staging_weight=st.sampled_from([0.0, 1.0]),
    price_s=st.sampled_from([0.0, 0.0, 20.0]),
    carbon_s=st.sampled_from([0.0, 0.0, 20_000.0]),
    wait_weight=st.sampled_from([0.1, 1.0]),
    longest_hold_s=st.sampled_from([0.0, 500.0, 1e9]),
)
weighing = st.builds(
    Policy,
    reservations=st.sampled_from([0, 1]),
    staging_weight=st.sampled_from([0.0, 1.0]),
    price_s=st.sampled_from([0.0, 100.0]),
    carbon_s=st.sampled_from([0.0, 10_000.0, 100_000.0]),
    wait_weight=st.sampled_from([0.1, 1.0]),
    longest_hold_s=st.sampled_from([0.0, 500.0, 1e9]),
)
