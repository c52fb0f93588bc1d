"""What a plan says: which jobs start where, which wait and why, which can no longer be done in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from compute_scheduler.domain.resources import Resources

Code = Literal[
    "not_before",
    "dependency",
    "dependency_failed",
    "centre_unknown",
    "data_stays",
    "centre_closed",
    "kind_unknown",
    "never_fits",
    "nodes_closed",
    "tenant_unknown",
    "quota",
    "quota_never",
    "resources",
    "reservation",
    "priority",
    "better_site",
    "cycle_limit",
    "deadline",
    "deadline_profile",
    "maintenance_ahead",
    "reserved_for_others",
    "reservation_ahead",
    "reservation_over",
]


NOTHING = Resources(0, 0)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a job waits: a stable code, and a sentence in Chinese for people.

    resource: the resource, tenant, centre or job that stands in the way, where there is one.
    predicted_start_at: when the job starts at the latest, if running jobs use their whole time limits; None: unknown.
    """

    code: Code
    words: str
    resource: str | None = None
    predicted_start_at: float | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """What a start now at a centre costs a job; None: the centre does not tell.

    money: yuan. energy_kwh and co2_kg: for the whole time limit. score_s: all of it as seconds of waiting.
    moving: yuan for bringing its data. energy_yuan: what the energy costs by the tariff of electricity.
    """

    centre: str
    staging_s: float = 0.0
    money: float | None = None
    energy_kwh: float | None = None
    co2_kg: float | None = None
    score_s: float = 0.0
    moving: float = 0.0
    energy_yuan: float | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """A job starts now on a node; a gang on those of all its members, in order of rank (`node`, then `more`).

    site: what it costs there; None: nothing is told of the centre and nothing weighed. others: what the other centres
    where it may run would have cost, when the policy weighs that; the best first.
    demand: what each member takes, of several kinds of accelerators the one that its node has. devices: for each member
    the number of the device of which it takes a part; empty when it takes none.
    """

    job_id: str
    node: str
    centre: str
    site: Site | None = None
    others: tuple[Site, ...] = ()
    more: tuple[str, ...] = ()
    demand: Resources = NOTHING
    devices: tuple[int | None, ...] = ()

    @property
    def nodes(self) -> tuple[str, ...]:
        """The node of each member."""
        return (self.node, *self.more)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Jobs that wait for one and the same reason, in parts as they were decided (tenant and shape together)."""

    reason: Reason
    parts: tuple[tuple[str, ...], ...]

    @property
    def job_ids(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(chain.from_iterable(self.parts))


@dataclass(frozen=True, slots=True)
class Refusal:
    """A job that can no longer be done: in time, or after what it needed; it is ended with this reason."""

    job_id: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Preemption:
    """A running job is stopped and goes back to the queue, so that the job `by` finds room on the node."""

    job_id: str
    node: str
    by: str


@dataclass(frozen=True, slots=True)
class Reservation:
    """A node kept for a blocked job from a time on; nothing that would delay it is started there.

    A gang has one for each of its nodes.
    """

    job_id: str
    node: str
    centre: str
    start_at: float
    end_at: float


@dataclass(frozen=True, slots=True)
class Decisions:
    """One plan. Every queued job is in exactly one of starts, waiting and refusals; starts are in order of decision."""

    starts: tuple[Start, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    preemptions: tuple[Preemption, ...] = ()

    def waits(self) -> Iterator[tuple[str, Reason]]:
        """Each waiting job with its reason."""
        for group in self.waiting:
            for job_id in group.job_ids:
                yield job_id, group.reason
