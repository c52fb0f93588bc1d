"""A moment of the whole network of centres: everything that the plan looks at, and nothing else.

Times are seconds since 1970-01-01 UTC. Identifiers are the caller's own strings. Resource names are `cores`,
`memory_mb` and the kinds of accelerators.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from compute_scheduler.domain.hourly import Hourly
from compute_scheduler.domain.resources import Resources
from compute_scheduler.domain.tariffs import Tariff

CentreState = Literal["open", "drained", "lost"]
NodeState = Literal["up", "drained", "down"]
# `lent`: work of another brain, which stands behind all of its own.
Priority = Literal["lent", "low", "normal", "high"]
Placement = Literal["best-fit", "fragmentation"]


@dataclass(frozen=True, slots=True)
class Centre:
    """A computing centre 算力中心: region, industry or edge.

    state: only an `open` centre gets new jobs; `drained` finishes what it has, `lost` has stopped its heartbeat.
    cost: centres with less are tried first; equal ones are filled together.
    prices: yuan an hour for a core, a MB or an accelerator, by resource name (`*`: any other accelerator); empty: not
    told. tariff: what they are multiplied with by the hour, such as peak and valley 峰谷电价. power_w: watts of a core
    or accelerator in use; empty: not told. electricity: yuan a kWh by the time of use; carbon: intensity of its
    electricity, gCO2/kWh; None: not told.
    """

    id: str
    name: str
    state: CentreState = "open"
    cost: float = 0.0
    prices: Mapping[str, float] = field(default_factory=dict)
    tariff: Hourly | None = None
    power_w: Mapping[str, float] = field(default_factory=dict)
    carbon: Hourly | None = None
    electricity: Hourly | Tariff | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of a centre with its whole capacity; only an `up` node gets new jobs."""

    id: str
    centre: str
    capacity: Resources
    state: NodeState = "up"


@dataclass(frozen=True, slots=True)
class Quota:
    """How much a tenant may hold at one time, by resource name.

    nominal: its own part. A resource that is absent has no limit for a tenant without parent, and is wholly borrowed
    by one with a parent.
    borrowing_limit: how much beyond its own part it may take from its parent (absent: whatever the parent has).
    lending_limit: how much of its own part others may take while it lies idle (absent: all of it).
    """

    nominal: Mapping[str, float] = field(default_factory=dict)
    borrowing_limit: Mapping[str, float] = field(default_factory=dict)
    lending_limit: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tenant:
    """Who uses compute: an organisation, or a group of them that holds a quota in common.

    parent: the group that it borrows from and lends to. weight: its part of the whole when tenants compete.
    Raises ValueError when the weight is not over zero.
    """

    id: str
    quota: Quota = field(default_factory=Quota)
    parent: str | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise ValueError(f"the weight of tenant {self.id} is not over zero")


@dataclass(frozen=True, slots=True)
class Stage:
    """What it takes to bring a job's data to a centre: seconds, yuan, bytes that move; all 0 where they are."""

    seconds: float
    yuan: float = 0.0
    size: int = 0


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A job that waits for its start.

    time_limit_s: it is stopped when it has run so long. deadline_at: when it must have ended.
    not_before_at: it is not started earlier, such as between two tries. centres: where it may run; empty is anywhere.
    home: the centre that is tried before all others, such as the one where its data are. staging_s: how long its data
    take to another centre, for each centre that `stages` does not name. Data that may not leave: `centres` names where
    they may be; nowhere: that is no centre at all, the job waits.
    gang: how many members, each asking for `demand`, start together in one centre, all or none.
    after: jobs that must have succeeded before it starts. preemptions: how often it had to make way before.
    checkpoint_every_s: how often it saves what it has done; None: never. reservation: the window in which it starts.
    """

    id: str
    tenant: str
    demand: Resources
    submitted_at: float
    time_limit_s: float
    priority: Priority = "normal"
    deadline_at: float | None = None
    not_before_at: float | None = None
    centres: tuple[str, ...] = ()
    home: str | None = None
    staging_s: float = 0.0
    gang: int = 1
    after: tuple[str, ...] = ()
    preemptions: int = 0
    checkpoint_every_s: float | None = None
    stages: Mapping[str, Stage] = field(default_factory=dict)
    nowhere: bool = False
    reservation: str | None = None


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that holds its demand on a node, from the moment it was given the node, until at most `ends_by_at`.

    more: the nodes of a gang's other members, each of which holds the demand too; a node may come more than once.
    A job that is being stopped has an `ends_by_at` that is past.
    devices: for each node the number of the device of which it holds a part; empty: where it fits best.
    """

    id: str
    tenant: str
    demand: Resources
    node: str
    started_at: float
    ends_by_at: float
    more: tuple[str, ...] = ()
    priority: Priority = "normal"
    preemptions: int = 0
    checkpoint_every_s: float | None = None
    devices: tuple[int | None, ...] = ()

    @property
    def nodes(self) -> tuple[str, ...]:
        """The node of each member."""
        return (self.node, *self.more)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a tenant has used, forgotten by halves: resource seconds by resource name as of a time.

    Of ended work only; what runs now is counted from the running jobs. `fairshare.accrued` makes the amounts.
    """

    tenant: str
    as_of: float
    resource_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Popular:
    """A demand that jobs come with, and how often in proportion to others; of the past, never of what is to come."""

    demand: Resources
    weight: float


@dataclass(frozen=True, slots=True)
class Window:
    """Capacity of a centre kept for some jobs, or from all, for a time: a reservation 资源预留 or maintenance 维护窗口.

    start_at, end_at: it is open from the first until just before the second. nodes: ids of nodes with what is kept on
    each, None: the whole node; empty: every node of the centre as a whole. tenants and priority: the jobs that it is
    for, those of these tenants and those of this class; maintenance is for none.
    """

    id: str
    centre: str
    start_at: float
    end_at: float
    nodes: tuple[tuple[str, Resources | None], ...] = ()
    tenants: tuple[str, ...] = ()
    priority: Priority | None = None
    is_maintenance: bool = False

    @property
    def order(self) -> tuple[float, str]:
        """The earlier start first."""
        return self.start_at, self.id

    def is_for(self, tenant: str, priority: Priority) -> bool:
        """Whether jobs of a tenant and class may use what it keeps."""
        return tenant in self.tenants or priority == self.priority

    def is_open(self, at: float) -> bool:
        """Whether it is open at a time."""
        return self.start_at <= at < self.end_at

    def overlaps(self, start_at: float, end_at: float) -> bool:
        """Whether it is open at any time from one to just before another."""
        return self.start_at < end_at and start_at < self.end_at


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The network at one moment. Ids are unique within each part; order has no meaning.

    outcomes: of jobs that have ended, whether they succeeded; only those that a queued job comes after matter.
    """

    centres: tuple[Centre, ...] = ()
    nodes: tuple[Node, ...] = ()
    tenants: tuple[Tenant, ...] = ()
    queued: tuple[QueuedJob, ...] = ()
    running: tuple[RunningJob, ...] = ()
    usages: tuple[Usage, ...] = ()
    outcomes: Mapping[str, bool] = field(default_factory=dict)
    popular: tuple[Popular, ...] = ()
    windows: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """How the plan weighs one job against another. Every weight is in seconds of waiting, so that it can be explained.

    The job with the least `submitted_at - priority_s * class + fair_share_s * share + set_back` comes first. The class
    is -1, 0 or 1 for low, normal and high; the share is the tenant's dominant share over its fair part among tenants
    with jobs (2: it always had just that); the set-back, `min(short_first * time_limit_s, longest_set_back_s)`, lets
    short jobs go first. So waiting lifts every job, and none is overtaken by one submitted later than the weights
    allow.

    half_life_s: after so long, past use counts half. backfill: whether later jobs may start before the first blocked
    one when that does not delay it. reservations: how many blocked jobs of one kind (centres and accelerators) get a
    reserved start. most_starts: how many jobs one plan may start. placement: which of the nodes that fit a job gets
    (`placement.py`): the fullest, or the one whose accelerators waste least by it. Raises ValueError when half_life_s
    is not over zero.

    preemptions: how many running jobs may have to make way in one plan (0: none ever), preemptions_per_job: how often
    one job, preempt_after_s: only for a job whose reserved start is further away than that (`preemption.py`);
    preemptible: only running jobs of these classes, all when empty.

    Where a job runs is weighed when one of these is over zero (`siting.py`): staging_weight, seconds a second of
    staging; price_s, seconds a yuan; carbon_s, seconds a kg of CO2. Then a job may also be held back for a better
    centre without room, while it has waited less than longest_hold_s (0: never), if that is better even when each
    second until running jobs leave room there counts as wait_weight seconds: others come in between.
    """

    priority_s: float = 86_400.0
    fair_share_s: float = 7 * 86_400.0
    half_life_s: float = 7 * 86_400.0
    short_first: float = 0.0
    longest_set_back_s: float = 86_400.0
    backfill: bool = True
    reservations: int = 1
    most_starts: int | None = None
    preemptions: int = 0
    preemptions_per_job: int = 2
    preempt_after_s: float = 300.0
    preemptible: tuple[Priority, ...] = ()
    staging_weight: float = 0.0
    price_s: float = 0.0
    carbon_s: float = 0.0
    wait_weight: float = 1.0
    longest_hold_s: float = 0.0
    placement: Placement = "fragmentation"

    def __post_init__(self) -> None:
        if not self.half_life_s > 0:
            raise ValueError("half_life_s is not over zero")
