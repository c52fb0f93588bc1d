"""The network kept between plans: what `plan` needs of a snapshot, changed job by job instead of built anew.

`plan(snapshot, now, policy)` is `Board(snapshot).plan(now, policy)`; and a board that was changed plans as a board of
the changed snapshot does (a property test compares them). Nothing here reads a clock or depends on the order of the
parts.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from dataclasses import replace

from compute_scheduler.domain.decisions import Reason
from compute_scheduler.domain.futures import Futures
from compute_scheduler.domain.holding import hold
from compute_scheduler.domain.placement import NodeIndex
from compute_scheduler.domain.quota import QuotaTrees
from compute_scheduler.domain.shapes import Shape, Shapes, amounts_of
from compute_scheduler.domain.snapshot import (
    Centre,
    Node,
    Policy,
    Popular,
    Priority,
    QueuedJob,
    RunningJob,
    Snapshot,
    Tenant,
    Usage,
    Window,
)
from compute_scheduler.domain.timeline import End, Timeline
from compute_scheduler.domain.windows import Windows

CLASSES: dict[Priority, int] = {"lent": -2, "low": -1, "normal": 0, "high": 1}
Entry = tuple[float, str, QueuedJob]
"""A queued job in its group: its standing (less is earlier), its id, itself."""


class Group:
    """The queued jobs of one tenant and shape, in order."""

    __slots__ = ("_ids", "entries")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._ids: tuple[str, ...] | None = None

    def ids(self) -> tuple[str, ...]:
        """Ids of its jobs in order; made anew only after a change, as most groups wait unchanged."""
        if self._ids is None:
            self._ids = tuple([entry[1] for entry in self.entries])
        return self._ids

    def add(self, entry: Entry) -> None:
        """Puts a job in its place."""
        insort(self.entries, entry)
        self._ids = None

    def remove(self, entry: tuple[float, str]) -> None:
        """Takes a job out."""
        del self.entries[bisect_left(self.entries, entry)]
        self._ids = None


def standing(job: QueuedJob, policy: Policy) -> float:
    """When the job counts as submitted, before its tenant's share is looked at; seconds."""
    set_back_s = min(policy.short_first * job.time_limit_s, policy.longest_set_back_s)
    return job.submitted_at - policy.priority_s * CLASSES[job.priority] + set_back_s


class Board:
    """Nodes with what is free, running jobs by end, queued jobs by tenant and shape in order of standing.

    models: nodes alike in centre and capacity, with how many of them take no new jobs and how many do.
    """

    def __init__(self, snapshot: Snapshot, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self._load(snapshot)

    def _load(self, snapshot: Snapshot) -> None:
        self.shapes = Shapes()
        self.centres = {centre.id: centre for centre in snapshot.centres}
        self.tenants = {tenant.id: tenant for tenant in snapshot.tenants}
        self.usages = {usage.tenant: usage for usage in snapshot.usages}
        self.queued = {job.id: job for job in snapshot.queued}
        self.running = {job.id: job for job in snapshot.running}
        self.outcomes = dict(snapshot.outcomes)
        self.conditional = {job.id: job for job in snapshot.queued if _is_conditional(job)}
        self.groups: dict[tuple[str, Shape], Group] = {}
        self._futures = Futures(snapshot.popular)
        self._windows = snapshot.windows
        self._set_nodes(snapshot.nodes)
        self._sort_groups()
        self._count_quotas()

    # What stands in the network.

    def snapshot(self) -> Snapshot:
        """The moment that the board stands for."""
        return Snapshot(
            tuple(self.centres.values()),
            tuple(self.index.nodes),
            tuple(self.tenants.values()),
            tuple(self.queued.values()),
            tuple(self.running.values()),
            tuple(self.usages.values()),
            dict(self.outcomes),
            self._futures.popular,
            self._windows,
        )

    def put_windows(self, windows: tuple[Window, ...]) -> None:
        """Puts these windows in the place of all; the queue is sorted anew, as jobs are alike by what is for them."""
        self._load(replace(self.snapshot(), windows=windows))

    def opens_at(self, job: QueuedJob) -> float:
        """When the reservation opens that the job names; 0 when it names none that is there."""
        window = self.windows.by_id.get(job.reservation or "")
        return 0.0 if window is None else window.start_at

    def timeline(self, now: float) -> Timeline:
        """The time ahead with windows and what runs beside them, nothing reserved yet."""
        timeline = Timeline(self.index, self.windows, now)
        for end_at, place, job_id, shape in self.ends if self.windows.parted else ():
            if place in self.windows.parted:
                job = self.running[job_id]
                uses = self.windows.uses(job.tenant, job.priority)
                timeline.holders.add(place, (end_at, job_id, shape.amounts, uses))
        return timeline

    def put_centre(self, centre: Centre) -> None:
        """Adds or replaces a centre."""
        self.centres[centre.id] = centre
        self._set_nodes(self.index.nodes)

    def put_nodes(self, nodes: Iterable[Node]) -> None:
        """Adds or replaces nodes."""
        self._set_nodes([*{node.id: node for node in [*self.index.nodes, *nodes]}.values()])

    def remove_nodes(self, node_ids: Iterable[str]) -> None:
        """Takes nodes out; jobs that run there go on holding their tenants' quotas."""
        gone = set(node_ids)
        self._set_nodes([node for node in self.index.nodes if node.id not in gone])

    def put_tenant(self, tenant: Tenant) -> None:
        """Adds or replaces a tenant."""
        self.tenants[tenant.id] = tenant
        self._count_quotas()

    def put_tenants(self, tenants: Iterable[Tenant]) -> None:
        """Puts these tenants in the place of all."""
        self.tenants = {tenant.id: tenant for tenant in tenants}
        self._count_quotas()

    def put_usage(self, usage: Usage) -> None:
        """Replaces what a tenant has used."""
        self.usages[usage.tenant] = usage

    def put_outcomes(self, outcomes: Mapping[str, bool]) -> None:
        """Puts these ends of jobs, which others may have waited for, in the place of all."""
        self.outcomes = dict(outcomes)

    def put_popular(self, popular: tuple[Popular, ...]) -> None:
        """Replaces what is known of the jobs that come."""
        self._futures = Futures(popular)
        self._place_by(self.policy)

    # Jobs.

    def submit(self, job: QueuedJob) -> None:
        """A job comes into the queue, or takes the place of the one with its id. Raises ValueError when it runs."""
        if job.id in self.running:
            raise ValueError(f"job {job.id} runs and cannot be queued")
        if job.id in self.queued:
            self.withdraw(job.id)
        self.queued[job.id] = job
        if _is_conditional(job):
            self.conditional[job.id] = job
        self._group(job).add((standing(job, self.policy), job.id, job))

    def withdraw(self, job_id: str) -> QueuedJob:
        """A job leaves the queue. Raises KeyError when it is not there."""
        job = self.queued.pop(job_id)
        self.conditional.pop(job_id, None)
        group = self._group(job)
        group.remove((standing(job, self.policy), job.id))
        if not group.entries:
            del self.groups[job.tenant, self.shape_of(job)]
        return job

    def start(self, job_id: str, node: str, at: float, more: tuple[str, ...] = ()) -> RunningJob:
        """A queued job starts on a node, a gang's other members on `more`. Raises KeyError when it is not queued."""
        job = self.withdraw(job_id)
        ends_by_at = at + job.time_limit_s
        kept = (job.priority, job.preemptions, job.checkpoint_every_s)
        running = RunningJob(job.id, job.tenant, job.demand, node, at, ends_by_at, more, *kept)
        running = replace(running, demand=self._held_by(running).demand)
        running = self.running[job.id] = replace(running, devices=self._hold(running, 1))
        return running

    def hold_for(self, job: RunningJob) -> None:
        """A job that was not here runs already. Raises ValueError when it is queued or runs here."""
        if job.id in self.running or job.id in self.queued:
            raise ValueError(f"job {job.id} is on the board")
        job = replace(job, demand=self._held_by(job).demand)
        self.running[job.id] = replace(job, devices=self._hold(job, 1))

    def end(self, job_id: str) -> RunningJob:
        """A running job has ended and gives back what it held. Raises KeyError when it does not run."""
        job = self.running.pop(job_id)
        self._hold(job, -1)
        return job

    def shape_of(self, job: QueuedJob) -> Shape:
        """What the job asks for."""
        uses = self.windows.uses(job.tenant, job.priority)
        return self.shapes.of(job.demand, job.centres, job.home, job.gang, uses)

    def hold(self, shape: Shape) -> Reason | None:
        """Why no job of this shape can start even on empty nodes, or None; looked at once while nodes stay the same."""
        if shape not in self._holds:
            self._holds[shape] = hold(shape, self.models, self.centres)
        return self._holds[shape]

    # How it is kept.

    def follow(self, policy: Policy) -> None:
        """Keeps the queue in the order of a policy, and forgets shapes that are long gone."""
        if len(self.shapes.known) > 10_000 + 2 * (len(self.queued) + len(self.running)):
            self._load(self.snapshot())
        if _static(policy) != _static(self.policy):
            self.policy = policy
            self._sort_groups()
        self.policy = policy
        self._place_by(policy)

    def _place_by(self, policy: Policy) -> None:
        """Tells the index by what it chooses; where nothing is known of the jobs to come, best fit is the same."""
        knows = policy.placement == "fragmentation" and bool(self._futures.popular)
        self.index.futures = self._futures if knows else None

    def _held_by(self, job: RunningJob) -> Shape:
        """What each member of a running job holds: of several kinds the one that its node has."""
        shape, place = self.shapes.of(job.demand, gang=len(job.nodes)), self.index.place.get(job.node)
        return shape if place is None else self.index.on(place, shape)

    def _group(self, job: QueuedJob) -> Group:
        key = (job.tenant, self.shape_of(job))
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group()
        return group

    def _sort_groups(self) -> None:
        self.groups.clear()
        for job in self.queued.values():
            self._group(job).entries.append((standing(job, self.policy), job.id, job))
        for group in self.groups.values():
            group.entries.sort(key=_order)

    def _set_nodes(self, nodes: Iterable[Node]) -> None:
        """Builds the index anew and puts the running jobs on it."""
        self.index = NodeIndex(nodes, self.centres)
        self.windows = Windows(self._windows, self.index.nodes)
        self._holds: dict[Shape, Reason | None] = {}
        self.total: dict[str, int] = {}
        self.models: dict[Node, list[int]] = {}
        for place, node in enumerate(self.index.nodes):
            for name, amount in amounts_of(node.capacity):
                self.total[name] = self.total.get(name, 0) + amount
            self.models.setdefault(Node("", node.centre, node.capacity), [0, 0])[self.index.open[place]] += 1
        self.ends: list[End] = []
        for job in sorted(self.running.values(), key=_device_order):
            shape = self._held_by(job)
            devices = self._take(job, shape, -1)
            if (devices, shape.demand) != (job.devices, job.demand):
                self.running[job.id] = replace(job, devices=devices, demand=shape.demand)
            self.ends += [(job.ends_by_at, place, job.id, shape) for place in self._places(job)]
        self.ends.sort(key=_end_order)
        self._place_by(self.policy)

    def _take(self, job: RunningJob, shape: Shape, sign: int) -> tuple[int | None, ...]:
        """Takes what a job holds from its nodes (sign -1) or gives it back; the devices of which it shares one each."""
        known = job.devices or (None,) * len(job.nodes)
        devices = list(known)
        for number, node in enumerate(job.nodes):
            place = self.index.place.get(node)
            if place is not None:
                devices[number] = self.index.change(place, shape, sign, known[number])
        return tuple(devices) if shape.share else ()

    def _places(self, job: RunningJob) -> list[int]:
        """Where the job runs, as far as its nodes are known."""
        return [self.index.place[node] for node in job.nodes if node in self.index.place]

    def _count_quotas(self) -> None:
        self.quotas = QuotaTrees(self.tenants.values())
        self.held: dict[str, dict[str, int]] = {}
        for job in self.running.values():
            self.count(job.tenant, self._held_by(job), 1)

    def count(self, tenant: str, shape: Shape, sign: int) -> None:
        """Adds to what a tenant holds (sign 1) or takes from it (-1)."""
        held = self.held.setdefault(tenant, {})
        for name, amount in shape.total:
            held[name] = held.get(name, 0) + sign * amount
        self.quotas.add(tenant, shape.total, sign)

    def _hold(self, job: RunningJob, sign: int) -> tuple[int | None, ...]:
        """A job holds from now on (sign 1) or no more (-1); the devices of which it shares one each."""
        shape = self._held_by(job)
        self.count(job.tenant, shape, sign)
        devices = self._take(job, shape, -sign)
        for place in self._places(job):
            end = (job.ends_by_at, place, job.id, shape)
            at = bisect_left(self.ends, end[:3], key=_end_order)
            if sign > 0:
                self.ends.insert(at, end)
            else:
                del self.ends[at]
        return devices


def _static(policy: Policy) -> tuple[float, float, float]:
    """What the order within a group depends on."""
    return policy.priority_s, policy.short_first, policy.longest_set_back_s


def _is_conditional(job: QueuedJob) -> bool:
    has_time = job.deadline_at is not None or job.not_before_at is not None
    return has_time or bool(job.after) or job.nowhere or job.reservation is not None


def _order(entry: Entry) -> tuple[float, str]:
    return entry[:2]


def _device_order(job: RunningJob) -> tuple[bool, int, float, str]:
    """Jobs that name their devices first; then the larger parts, as they are harder to place."""
    return not job.devices, -job.demand.share, job.started_at, job.id


def _end_order(end: End) -> tuple[float, int, str]:
    return end[:3]
