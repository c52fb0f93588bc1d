"""The specification of the plan as code: every rule word for word, no shortcut, everything counted anew each time.

The oracle of the property tests. Of the product it uses only the values, the exact shares and the quota rule (which
have tests of their own with figures worked out by hand).
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace

from compute_scheduler.domain.fairshare import dominant_share, mean_past
from compute_scheduler.domain.quota import QuotaTrees
from compute_scheduler.domain.snapshot import Centre, Node, Policy, QueuedJob, RunningJob, Snapshot

from tests.compute_scheduler.unit.simple_devices import AmpleDevices, Devices, on
from tests.compute_scheduler.unit.simple_windows import Amounts, Held, SimpleWindows, amounts

BARRED = ("reservation", "maintenance_ahead", "reserved_for_others")
CLASS = {"low": -1, "normal": 0, "high": 1}
Why = tuple[str, str | None]
Cost = tuple[str, float, float | None, float | None, float | None, float, float, float | None]
"""Centre, staging seconds, yuan, kWh, kg of CO2, score, yuan for moving data."""


@dataclass
class Plain:
    """What the simple plan says."""

    starts: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    waits: dict[str, Why] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    reservations: list[tuple[str, str, float, float]] = field(default_factory=list)
    preemptions: dict[str, str] = field(default_factory=dict)
    sites: list[list[Cost]] = field(default_factory=list)


class Simple(SimpleWindows):
    """The network, with the starts so far."""

    def __init__(self, snapshot: Snapshot, now: float, policy: Policy) -> None:
        self.snapshot, self.now, self.policy = snapshot, now, policy
        self.centres = {centre.id: centre for centre in snapshot.centres}
        self.nodes = sorted(snapshot.nodes, key=lambda node: node.id)
        self.devices = Devices(snapshot, policy.placement)
        known = {node.id: node for node in snapshot.nodes}
        self.running = [
            Held(
                job.id,
                job.tenant,
                node,
                amounts(on(job.demand, known[job.node], len(job.nodes)) if job.node in known else job.demand),
                job.started_at,
                max(job.ends_by_at, now),
                self.uses(job),
            )
            for job in snapshot.running
            for node in job.nodes
        ]
        self.reserved: list[Held] = []
        self.plain = Plain()

    def is_open(self, node: Node) -> bool:
        """Whether the node takes new jobs."""
        return node.state == "up" and node.centre in self.centres and self.centres[node.centre].state == "open"

    def left_to(self, node: Node, uses: tuple[str, ...], at: float | None) -> Amounts:
        """What a job with such windows may take of a node at a time."""
        free = self.left(node, at)
        for part in self.still_kept(node, uses, at).values():
            for name, amount in part.items():
                free[name] = free.get(name, 0) - amount
        return free

    def left(self, node: Node, at: float | None, with_reserved: bool = True) -> Amounts:
        """What is free on a node at a time; None: at this moment, where overdue jobs still hold what they have."""
        free = amounts(node.capacity)
        for held in self.running:
            if held.node == node.id and (at is None or held.ends > at):
                for name, amount in held.amounts.items():
                    free[name] = free.get(name, 0) - amount
        if at is not None and with_reserved:
            for held in self.reserved:
                if held.node == node.id and held.starts <= at < held.ends:
                    for name, amount in held.amounts.items():
                        free[name] = free.get(name, 0) - amount
        return free

    def holds(self, node: Node, job: QueuedJob, start: float, is_now: bool, times_over: int = 1) -> bool:
        """Whether the job fits on the node from a start for its whole time limit, at every time that matters."""
        end = start + job.time_limit_s
        here = [held for held in [*self.running, *self.reserved] if held.node == node.id]
        times = {time for held in here for time in (held.starts, held.ends) if start <= time < end}
        times |= {t for w, _ in self.windows_on(node) for t in (w.start_at, w.end_at) if start <= t < end}
        reserved_now = any(held.starts == start for held in self.reserved if held.node == node.id)
        uses = self.uses(job)
        if any(self.is_shut(node, uses, time) for time in {start, *times}):
            return False
        checks = [self.left_to(node, uses, time) for time in times if time > start]
        if is_now:
            checks.append(self.left_to(node, uses, None))
            if reserved_now:
                checks.append(self.left_to(node, uses, start))
        else:
            checks.append(self.left_to(node, uses, start))
        if is_now and not self.devices.fits(node, on(job.demand, node, job.gang)):
            return False
        wanted = {name: amount * times_over for name, amount in self.wanted(job, node).items()}
        return all(free.get(name, 0) >= amount for free in checks for name, amount in wanted.items())

    def wanted(self, job: QueuedJob, node: Node) -> Amounts:
        """What each member of the job takes on a node."""
        return amounts(on(job.demand, node, job.gang))

    def share(self, tenant: str) -> float:
        """The tenant's dominant share with the starts so far."""
        known = {item.id: item for item in self.snapshot.tenants}
        usages = {usage.tenant: usage for usage in self.snapshot.usages}
        total: Amounts = {}
        for node in self.nodes:
            for name, amount in amounts(node.capacity).items():
                total[name] = total.get(name, 0) + amount
        held: Amounts = {}
        for item in self.running:
            if item.tenant == tenant:
                for name, amount in item.amounts.items():
                    held[name] = held.get(name, 0) + amount
        past = mean_past(usages[tenant], self.now, self.policy.half_life_s) if tenant in usages else {}
        scaled = {name: amount * (1.0 if name == "memory_mb" else 1000.0) for name, amount in past.items()}
        busy = {job.tenant for job in self.snapshot.queued}
        busy |= {job.tenant for job in self.snapshot.running if amounts(job.demand)}
        competing = sum(known[name].weight for name in busy if name in known) or 1.0
        return dominant_share(scaled, held, total, (known[tenant].weight if tenant in known else 1.0) / competing)

    def key(self, job: QueuedJob) -> tuple[float, str]:
        """Step 2."""
        policy = self.policy
        set_back = min(policy.short_first * job.time_limit_s, policy.longest_set_back_s)
        static = job.submitted_at - policy.priority_s * CLASS[job.priority] + set_back
        return static + policy.fair_share_s * self.share(job.tenant), job.id

    def hold(self, job: QueuedJob) -> Why | None:
        """Step 3."""
        if job.tenant not in {tenant.id for tenant in self.snapshot.tenants}:
            return "tenant_unknown", job.tenant
        if job.centres and not set(job.centres) & set(self.centres):
            return "centre_unknown", "、".join(sorted(set(job.centres)))
        allowed = [node for node in self.nodes if not job.centres or node.centre in job.centres]
        large = [node for node in allowed if node.capacity.covers(job.demand)]
        if not large:
            for name, amount in amounts(job.demand).items():
                most = [amounts(node.capacity).get(one, 0) for node in allowed for one in name.split("|")]
                if all(have < amount for have in most):
                    return "never_fits", name
            return "never_fits", None
        fitting = {node.centre for node in large if self.most_members(job, node.centre, only_open=False) >= job.gang}
        if not fitting:
            return "never_fits", "gang"
        if all(self.most_members(job, centre, only_open=True) < job.gang for centre in fitting):
            shut = {c for c in fitting if c not in self.centres or self.centres[c].state != "open"}
            if shut == fitting:
                names = [self.centres[c].name if c in self.centres else c for c in sorted(shut)]
                return "centre_closed", "、".join(names)
            return "nodes_closed", None
        trees = QuotaTrees(self.snapshot.tenants)
        for item in self.running:
            trees.add(item.tenant, item.amounts.items(), 1)
        job = self.affordable(job)
        short = trees.shortage(job.tenant, {name: a * job.gang for name, a in amounts(job.demand).items()}.items())
        return None if short is None else ("quota_never" if short.never else "quota", short.resource)

    def affordable(self, job: QueuedJob) -> QueuedJob:
        """The job with the kinds of accelerators for which its tenant's quota suffices; the first when for none."""
        kinds = job.demand.accelerators[0][0].split("|") if job.demand.accelerators else []
        if len(kinds) < 2 or job.gang > 1 or job.tenant not in {tenant.id for tenant in self.snapshot.tenants}:
            return job
        trees = QuotaTrees(self.snapshot.tenants)
        for item in self.running:
            trees.add(item.tenant, item.amounts.items(), 1)
        number = job.demand.accelerators[0][1]
        each = {kind: replace(job.demand, accelerators=((kind, number),)) for kind in kinds}
        left = [kind for kind in kinds if trees.shortage(job.tenant, amounts(each[kind]).items()) is None]
        return replace(job, demand=replace(job.demand, accelerators=(("|".join(left or kinds[:1]), number),)))

    def cost(self, job: QueuedJob, centre: Centre) -> Cost:
        """What a centre costs a job that starts now, second by hundred seconds; unknown counts as the most known."""
        asked = {name: amount * job.gang for name, amount in job.demand.amounts().items()}

        def figured(figures: Mapping[str, float]) -> float:
            return sum(max(figures.get(one, 0.0) for one in name.split("|")) * n for name, n in asked.items())

        seconds = range(int(self.now), int(self.now + job.time_limit_s), 100)
        yuan = kwh = kg = electricity = None
        if centre.prices:
            factors = [centre.tariff.at(second) if centre.tariff else 1.0 for second in seconds]
            yuan = figured(centre.prices) * sum(factors) * 100 / 3600
        watts = figured(centre.power_w)
        if centre.power_w:
            kwh = watts * len(seconds) * 100 / 3.6e6
        if centre.power_w and centre.carbon:
            kg = watts * sum(centre.carbon.at(second) * 100 for second in seconds) / 3.6e6 / 1000
        if centre.power_w and centre.electricity:
            electricity = watts * sum(centre.electricity.at(second) * 100 for second in seconds) / 3.6e6
        seconds_of_staging, moving = 0.0 if job.home in (None, centre.id) else job.staging_s, 0.0
        if centre.id in job.stages:
            seconds_of_staging, moving = job.stages[centre.id].seconds, job.stages[centre.id].yuan
        return centre.id, seconds_of_staging, yuan, kwh, kg, 0.0, moving, electricity

    def matters(self, job: QueuedJob) -> bool:
        """Whether the policy weighs something that centres cost the job."""
        policy, centres = self.policy, self.snapshot.centres
        if (job.stages or job.staging_s) and (policy.staging_weight or policy.price_s):
            return True
        if policy.price_s and [centre for centre in centres if centre.prices or centre.electricity]:
            return True
        return bool(policy.carbon_s and [centre for centre in centres if centre.carbon is not None])

    def sites(self, job: QueuedJob) -> list[Cost]:
        """The open centres where a job may run, by score."""
        allowed = [c for c in self.centres.values() if c.state == "open" and (not job.centres or c.id in job.centres)]
        costs = [self.cost(job, centre) for centre in allowed]
        yuan = max([cost[2] or 0.0 for cost in costs], default=0.0)
        kg = max([cost[4] or 0.0 for cost in costs], default=0.0)
        dearest = max([cost[7] or 0.0 for cost in costs], default=0.0)
        policy = self.policy
        scored = []
        for cost in costs:
            score = policy.staging_weight * cost[1]
            money = (yuan if cost[2] is None else cost[2]) + (dearest if cost[7] is None else cost[7])
            score += policy.price_s * (money + cost[6])
            score += policy.carbon_s * (kg if cost[4] is None else cost[4])
            scored.append((*cost[:5], score, *cost[6:]))
        return sorted(scored, key=lambda site: (site[5], site[0] != job.home, self.centres[site[0]].cost, site[0]))

    def weighed(self, job: QueuedJob) -> tuple[list[Node], Why | None, bool]:
        """Step 4 with sites weighed: the node of each member, or none and why, and whether the job is held back."""
        sites = self.sites(job)
        whys = {site: self.members_in(site[0], job)[1] for site in sites}
        chosen = next((site for site in sites if whys[site] is None), None)
        if chosen is None:
            return [], self.worst(list(whys.values())) if job.gang > 1 else self.lacking(job), False
        latest = job.submitted_at + self.policy.longest_hold_s
        if job.deadline_at is not None:
            latest = min(latest, job.deadline_at - job.time_limit_s)
        better = []
        foreign = [w for w in self.snapshot.windows if w.id not in self.uses(job) and w.end_at > self.now]
        shut = {w.centre for w in foreign if w.start_at < latest + job.time_limit_s}
        for site in sites[: sites.index(chosen)]:
            if site[0] in shut:
                continue
            room = self.room_at(job, site[0])
            if room is not None and self.now < room <= latest:
                total = site[5] + self.policy.wait_weight * (room - self.now)
                if total < chosen[5]:
                    better.append((total, site[0]))
        if better:
            return [], ("better_site", min(better)[1]), True
        self.plain.sites.append([chosen, *(site for site in sites if site != chosen)])
        return self.members_in(chosen[0], job)[0], None, False

    def room_at(self, job: QueuedJob, centre: str) -> float | None:
        """When running jobs leave room at a centre, reservations aside; NOW: there is some."""
        if self.members_at(job, centre, None) >= job.gang:
            return self.now
        ends = sorted({held.ends for held in self.running})
        return next((end for end in ends if self.members_at(job, centre, end) >= job.gang), None)

    def members_at(self, job: QueuedJob, centre: str, time: float | None) -> int:
        """How many members find room at a centre at a time, reservations aside; None: at this moment."""
        count = 0
        for node in self.nodes:
            if node.centre == centre and self.is_open(node):
                number, free = 0, self.left(node, time, False)
                while number < job.gang and all(
                    free.get(name, 0) >= (number + 1) * amount for name, amount in self.wanted(job, node).items()
                ):
                    number += 1
                count += number
        return count

    def most_members(self, job: QueuedJob, centre: str, *, only_open: bool) -> int:
        """How many members of the job a centre holds when it is empty, as far as it matters."""
        count = 0
        for node in self.nodes:
            if node.centre == centre and (self.is_open(node) or not only_open):
                number = 0
                while number < job.gang and all(
                    amounts(node.capacity).get(name, 0) >= (number + 1) * amount
                    for name, amount in self.wanted(job, node).items()
                ):
                    number += 1
                if job.demand.share:
                    whole = (
                        dict(node.capacity.accelerators)[on(job.demand, node, job.gang).accelerators[0][0]]
                        if number
                        else 0
                    )
                    number = min(number, whole * (1000 // job.demand.share))
                count += number
        return count

    def places(self, job: QueuedJob) -> tuple[list[Node], Why | None]:
        """Step 4: the node of each member, or none and why."""
        if job.gang == 1:
            node = self.best(job)
            return ([node], None) if node is not None else ([], self.lacking(job))
        whys: list[Why] = []
        wanted = [self.centres[c] for c in (job.centres or self.centres) if c in self.centres]
        for centre in sorted(wanted, key=lambda item: (item.id != job.home, item.cost, item.id)):
            found, why = self.members_in(centre.id, job)
            if why is None:
                return found, None
            whys.append(why)
        return [], self.worst(whys)

    def members_in(self, centre: str, job: QueuedJob) -> tuple[list[Node], Why | None]:
        """One member after another on the node of best fit; afterwards everything is as it was."""
        before, found, why = list(self.running), [], None
        devices = deepcopy(self.devices)
        member = replace(job, centres=(centre,), gang=1)
        for _ in range(job.gang):
            node = self.best(member)
            if node is None:
                why = self.lacking(member)
                break
            found.append(node)
            self.run(job, node)
        self.running, self.devices = before, devices
        return found, why

    def worst(self, whys: list[Why]) -> Why:
        """The earliest reservation in the way, else the resource that was lacking last."""
        starts = {held.job_id: held.starts for held in self.reserved}
        starts |= {window.id: window.start_at for window in self.snapshot.windows}
        barred = [(starts[why[1]], why[1], why) for why in whys if why[0] in BARRED and why[1] is not None]
        if barred:
            return min(barred)[2]
        steps = {"cores": 1, "memory_mb": 2}
        return max(whys, key=lambda why: steps.get(str(why[1]), 0))

    def held(self, job: QueuedJob, node: Node, start: float) -> Held:
        """What the job, or one member of it, holds on a node from a start on."""
        wanted, uses = self.wanted(job, node), self.uses(job)
        return Held(job.id, job.tenant, node.id, wanted, start, start + job.time_limit_s, uses)

    def run(self, job: QueuedJob, node: Node) -> None:
        """The job, or one member of it, holds its node and devices from now on."""
        self.devices.take(node, on(job.demand, node, job.gang), self.left(node, None).get("cores", 0))
        self.running.append(self.held(job, node, self.now))

    def best(self, job: QueuedJob, centre: str | None = None) -> Node | None:
        """The node of the placement."""
        fitting = []
        for number, node in enumerate(self.nodes):
            if centre not in (None, node.centre):
                continue
            if self.is_open(node) and (not job.centres or node.centre in job.centres):
                free = self.left(node, None)
                if self.holds(node, job, self.now, is_now=True):
                    kinds = sum(self.devices.whole[node.id].values())
                    order = (kinds, free.get("cores", 0), free.get("memory_mb", 0), number)
                    fitting.append((node.centre != job.home, self.centres[node.centre].cost, *order, node))
        mine = self.uses(job)
        own = [
            item
            for item in fitting
            if any(w.id in mine and w.start_at <= self.now < w.end_at for w, _ in self.windows_on(item[-1]))
        ]
        return self.devices.best(own or fitting, job) if fitting else None

    def lacking(self, job: QueuedJob) -> Why:
        """Why no node was found: the code and resource that a job without reservation gets."""
        nodes = [n for n in self.nodes if self.is_open(n) and (not job.centres or n.centre in job.centres)]
        with_devices = [n for n in nodes if self.devices.fits(n, on(job.demand, n, job.gang))]
        rest = {n.id: {k: v for k, v in self.wanted(job, n).items() if k in ("cores", "memory_mb")} for n in nodes}
        fitting = [n for n in with_devices if all(self.left(n, None).get(k, 0) >= v for k, v in rest[n.id].items())]
        if fitting:
            return min((why for node in fitting for why in self.barriers(node, job)), key=lambda why: why[:2])[2]
        if not with_devices:
            return "priority", "、".join(kind for kind, _ in job.demand.accelerators) or "cores"
        if not any(self.left(n, None).get("cores", 0) >= job.demand.milli_cores for n in with_devices):
            return "priority", "cores"
        return "priority", "memory_mb"

    def barriers(self, node: Node, job: QueuedJob) -> list[tuple[float, str, Why]]:
        """The reserved starts and windows in the way of a job started now, with start and id."""
        end, uses, wanted = self.now + job.time_limit_s, self.uses(job), self.wanted(job, node)

        def is_short(at: float | None) -> bool:
            return any(self.left_to(node, uses, at).get(k, 0) < v for k, v in wanted.items())

        found: list[tuple[float, str, Why]] = [
            (held.starts, held.job_id, ("reservation", held.job_id))
            for held in self.reserved
            if held.node == node.id and held.starts < end and is_short(held.starts)
        ]
        for window, part in self.windows_on(node):
            at = None if window.start_at <= self.now else window.start_at
            if window.id in uses or not (window.start_at < end and window.end_at > self.now):
                continue
            if part is None or (window.id in self.still_kept(node, uses, at) and is_short(at)):
                code = "maintenance_ahead" if window.is_maintenance else "reserved_for_others"
                found.append((window.start_at, window.id, (code, window.id)))
        return found

    def earliest(self, job: QueuedJob) -> list[Held]:
        """Step 5: the first time at which all members fit for their whole limit in one centre, the first nodes by id.

        A job of one member takes the first node of all centres on which something ends then: a node where nothing does
        had no device for it before, whatever the parts that are free add up to.
        """
        ends = {held.ends for held in [*self.running, *self.reserved]}
        ends |= {window.end_at for window in self.snapshot.windows if window.end_at > self.now}
        open_nodes = [n for n in self.nodes if self.is_open(n) and (not job.centres or n.centre in job.centres)]
        for time in sorted(ends):
            for centre in sorted({node.centre for node in open_nodes}) if job.gang > 1 else [None]:
                found: list[Held] = []
                for node in open_nodes:
                    number = 0
                    if centre == node.centre or (centre is None and time in self.ends_on(node)):
                        while len(found) + number < job.gang and self.holds(node, job, time, False, number + 1):
                            number += 1
                    found += [self.held(job, node, time)] * number
                if len(found) == job.gang:
                    return found
        return []

    def ends_on(self, node: Node) -> set[float]:
        """When something ends on a node."""
        held = {item.ends for item in [*self.running, *self.reserved] if item.node == node.id}
        return held | {window.end_at for window, _ in self.windows_on(node)}


class Cycle(Simple):
    """One run over the queue."""

    def __init__(self, snapshot: Snapshot, now: float, policy: Policy) -> None:
        super().__init__(snapshot, now, policy)
        self.dropped: dict[object, Why] = {}
        self.failed: dict[object, tuple[float, Why]] = {}
        self.kept: dict[object, int] = {}
        self.blocked: set[object] = set()

    def undecided(self) -> list[QueuedJob]:
        """The queue after step 1."""
        left = []
        for job in self.snapshot.queued:
            earliest = self.now if job.not_before_at is None else max(self.now, job.not_before_at)
            named = [w for w in self.snapshot.windows if w.id == job.reservation and w.id in self.uses(job)]
            if job.reservation is not None and not any(w.end_at > earliest for w in named):
                self.plain.refused.add(job.id)
                continue
            opens = max([w.start_at for w in named], default=self.now)
            earliest = max(earliest, opens)
            if (job.deadline_at is not None and earliest + job.time_limit_s > job.deadline_at) or any(
                self.snapshot.outcomes.get(before) is False for before in job.after
            ):
                self.plain.refused.add(job.id)
            elif opens > self.now:
                self.plain.waits[job.id] = ("reservation_ahead", job.reservation)
            elif earliest > self.now:
                self.plain.waits[job.id] = ("not_before", None)
            elif job.nowhere:
                self.plain.waits[job.id] = ("data_stays", None)
            elif open_ends := set(job.after) - self.snapshot.outcomes.keys():
                self.plain.waits[job.id] = ("dependency", min(open_ends))
            else:
                left.append(job)
        return left

    def drop(self, told: object, why: Why) -> Why:
        """All jobs alike wait for the same reason from now on."""
        self.dropped[told] = why
        return why

    def decide(self, job: QueuedJob) -> Why | None:
        """Steps 3 to 6; None when the job starts."""
        uses = self.uses(job)
        told = (job.tenant, job.demand, tuple(sorted(set(job.centres))), job.home, job.gang, uses)
        whole, job = job, self.affordable(job)
        shape = (job.demand, tuple(sorted(set(job.centres))), job.home, job.gang, uses)
        kind = (shape[1], tuple(name for name, _ in job.demand.accelerators), uses)
        twin = self.failed.get(shape)
        has_failed = twin is not None and twin[0] <= job.time_limit_s
        has_room = self.kept.get(kind, 0) < self.policy.reservations
        if told in self.dropped:
            return self.dropped[told]
        if twin is not None and has_failed and not has_room:
            return self.drop(told, twin[1]) if not twin[0] else twin[1]
        reason = self.hold(whole)
        if reason is None and not self.policy.backfill and kind in self.blocked:
            reason = ("priority", None)
        if reason is not None:
            return self.drop(told, reason)
        is_held_back = False
        if self.matters(job):
            nodes, why, is_held_back = self.weighed(job)
        else:
            nodes, why = self.places(job)
        if is_held_back:
            return why
        if why is None:
            self.plain.starts.append((job.id, tuple(node.id for node in nodes)))
            for node in nodes:
                self.run(job, node)
            return None
        if not has_failed:
            self.failed[shape] = (job.time_limit_s if why[0] in BARRED else 0.0, why)
        self.blocked.add(kind)
        return self.reserve(job, kind, self.failed[shape][1]) if has_room else self.failed[shape][1]

    def reserve(self, job: QueuedJob, kind: object, why: Why) -> Why:
        """Step 5."""
        new = self.earliest(job)
        if not new:
            return why
        self.kept[kind] = self.kept.get(kind, 0) + 1
        self.reserved += new
        nodes = dict.fromkeys(held.node for held in new)
        self.plain.reservations += [(job.id, node, new[0].starts, new[0].ends) for node in nodes]
        if new[0].starts > self.now + self.policy.preempt_after_s and job.gang == 1:
            self.preempt(job)
        if why[0] in BARRED[1:]:
            return why
        return "resources", None if why[0] == "reservation" else why[1]

    def lost(self, job: RunningJob) -> float:
        """The work that is lost when a running job is stopped."""
        worked = max(0.0, self.now - job.started_at)
        if job.checkpoint_every_s:
            worked -= worked // job.checkpoint_every_s * job.checkpoint_every_s
        total: Amounts = {}
        for node in self.nodes:
            for name, amount in amounts(node.capacity).items():
                total[name] = total.get(name, 0) + amount
        return worked * dominant_share({}, amounts(job.demand), total, 1.0)

    def fits_without(self, job: QueuedJob, node: Node, gone: list[RunningJob]) -> bool:
        """Whether the job would fit now if these had ended and it had no reserved start itself."""
        running, reserved = self.running, self.reserved
        names = {item.id for item in gone}
        self.running = [held for held in running if held.job_id not in names]
        self.reserved = [held for held in reserved if held.job_id != job.id]
        devices, self.devices = self.devices, AmpleDevices(self.snapshot, "best-fit")
        fits = self.holds(node, job, self.now, is_now=True)
        self.devices = devices
        self.running, self.reserved = running, reserved
        return fits

    def preempt(self, job: QueuedJob) -> None:
        """Step 7."""
        policy, plain = self.policy, self.plain
        options = []
        for number, node in enumerate(self.nodes):
            if not self.is_open(node) or (job.centres and node.centre not in job.centres):
                continue
            if not node.capacity.covers(job.demand):
                continue
            may_go = [
                item
                for item in self.snapshot.running
                if item.nodes == (node.id,)
                and CLASS[item.priority] < CLASS[job.priority]
                and item.preemptions < policy.preemptions_per_job
                and item.ends_by_at > self.now
                and item.id not in plain.preemptions
            ]
            may_go.sort(key=lambda item: (CLASS[item.priority], -self.share(item.tenant), self.lost(item), item.id))
            going = next((may_go[:n] for n in range(len(may_go) + 1) if self.fits_without(job, node, may_go[:n])), None)
            if not going:
                continue
            for item in sorted(going, key=lambda item: (-self.lost(item), item.id)):
                others = [other for other in going if other is not item]
                if self.fits_without(job, node, others):
                    going = others
            if going and len(plain.preemptions) + len(going) <= policy.preemptions:
                options.append((sum(self.lost(item) for item in going), len(going), number, going))
        if options:
            best = min(options, key=lambda option: option[:3])
            plain.preemptions |= {item.id: job.id for item in best[3]}


def simple_plan(snapshot: Snapshot, now: float, policy: Policy) -> Plain:
    """The plan by the letter of its specification."""
    cycle = Cycle(snapshot, now, policy)
    undecided = cycle.undecided()
    while undecided:
        if policy.most_starts is not None and len(cycle.plain.starts) >= policy.most_starts:
            cycle.plain.waits.update({job.id: ("cycle_limit", None) for job in undecided})
            break
        job = min(undecided, key=cycle.key)
        undecided.remove(job)
        reason = cycle.decide(job)
        if reason is not None:
            cycle.plain.waits[job.id] = reason
    return cycle.plain
