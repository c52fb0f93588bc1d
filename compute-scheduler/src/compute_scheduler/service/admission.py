"""The network as the plan sees it, and what can be known to be wrong with a job before it queues."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy.orm import Session

from compute_scheduler.domain.admission import objections
from compute_scheduler.domain.binding import Holding, settled
from compute_scheduler.domain.board import Board
from compute_scheduler.domain.lending import PARTNER_ENGINE
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
    Window,
)
from compute_scheduler.domain.spec import JobSpec
from compute_scheduler.service import data
from compute_scheduler.service.costs import Told, centre_of
from compute_scheduler.service.errors import NoQuota
from compute_scheduler.service.moves import demand_of
from compute_scheduler.service.tenancy import Actor
from compute_scheduler.service.windows import windows
from compute_scheduler.settings import Settings
from compute_scheduler.store import accounts, centres, holders, quota_groups

Row = dict[str, Any]
# How a node's load names what jobs of others hold of it; they belong to a tenant whom nothing limits.
FOREIGN = "foreign_"
FOREIGN_ENDS_S = 3600.0
NOBODY = Tenant("nobody")
NOWHERE = "本平台自己的中心"
# What the plan calls a group of tenants, so that no organisation has its name.
GROUP = "group:"


@dataclass(frozen=True)
class Network:
    """Centres, nodes, what jobs of others hold of them, and the tenants that have a row of their own.

    queues: whether a centre's engine keeps waiting what it has no room for. shares: centres whose engines give parts of
    an accelerator. own: those that are not another brain's (`domain/lending.py`).
    """

    centres: tuple[Centre, ...]
    nodes: tuple[Node, ...]
    foreign: tuple[RunningJob, ...]
    quotas: Mapping[str, Row]
    usages: tuple[Usage, ...]
    queues: Mapping[str, bool]
    shares: frozenset[str]
    own: tuple[str, ...]
    groups: tuple[Row, ...] = ()
    windows: tuple[Window, ...] = ()

    def window(self, reservation: str | None) -> Window | None:
        """The window that a job names, None when it names none or that is over."""
        return next((window for window in self.windows if window.id == reservation), None)

    def centres_of(self, spec: Row) -> tuple[str, ...]:
        """Where a job may run by its specification, with the centre of the reservation that it names.

        Part of an accelerator only where the engine gives such.

        Where none does any more, the job goes where it would, and the engine says why it cannot run.
        """
        named = self.window(spec.get("reservation"))
        chosen = spec["centre"] or (named.centre if named is not None else None)
        if chosen:
            return self._at_home(spec, (chosen,))
        others = [centre.id for centre in self.centres if centre.id not in self.shares]
        return self._at_home(spec, tuple(sorted(self.shares)) if others and demand_of(spec).share else ())

    def _at_home(self, spec: Row, chosen: tuple[str, ...]) -> tuple[str, ...]:
        """Of the chosen centres (none: all) this brain's own for what may not be lent.

        What is lent is not lent on, and members of a gang find each other only within one brain.
        """
        if not (spec.get("gang", 1) > 1 or "lent" in spec) or len(self.own) == len(self.centres):
            return chosen
        return tuple(name for name in self.own if not chosen or name in chosen) or (NOWHERE,)

    def no_shares(self, spec: JobSpec) -> Row | None:
        """The objection to a part of an accelerator where no engine gives such."""
        kind = next((kind for kind, number in spec.resources.accelerators.items() if number < 1), None)
        if kind is None or (spec.centre in self.shares if spec.centre else self.shares):
            return None
        where = f"算力中心 {spec.centre} 的引擎" if spec.centre else "各算力中心的引擎都"
        part = spec.resources.accelerators[kind]
        words = f"{where}只能分配整块加速卡，不能只给 {part:g} 块；请改为整块，或指定能共享的中心"
        return {"field": f"resources.accelerators.{kind}", "code": "no_shares", "reason": words}


def network(session: Session, settings: Settings, now: datetime, told: Told | None = None) -> Network:
    """The network at a moment. told: what centres tell of their costs, when that has been read."""
    rows = centres.all_centres(session)
    tenants = accounts.all_tenants(session)
    nodes = centres.all_nodes(session)
    told = told or Told.load(session)
    return Network(
        tuple(centre_of(row, _centre_state(row, now), told, now) for row in rows),
        tuple(
            Node(row["id"], row["centre"], resources(row["cores"], row["memory_mb"], row["accelerators"]), row["state"])
            for row in nodes
        ),
        tuple(foreign_work(row) for row in nodes if any(name.startswith(FOREIGN) for name in row["load"])),
        {row["org"]: row for row in tenants},
        tuple(Usage(row["org"], row["usage_as_of"].timestamp(), row["usage"]) for row in tenants if row["usage"]),
        {row["id"]: bool(row["capabilities"].get("queues")) for row in rows},
        frozenset(row["id"] for row in rows if row["capabilities"].get("health", {}).get("shares")),
        tuple(row["id"] for row in rows if row["capabilities"].get("engine") != PARTNER_ENGINE),
        tuple(quota_groups.all_groups(session)),
        windows(session, now),
    )


def foreign_work(node: Row) -> RunningJob:
    """What jobs that are not the platform's hold of a node, as one job of nobody that may end within the hour."""
    held = {name.removeprefix(FOREIGN): amount for name, amount in node["load"].items() if name.startswith(FOREIGN)}
    cores, memory_mb = held.pop("cores", 0.0), int(held.pop("memory_mb", 0.0))
    demand = resources(cores, memory_mb, {kind: int(number) for kind, number in held.items()})
    at = node["seen_at"].timestamp()
    return RunningJob(f"{FOREIGN}{node['id']}", NOBODY.id, demand, node["id"], at, at + FOREIGN_ENDS_S)


def tenants(network: Network, orgs: Iterable[str], settings: Settings) -> tuple[Tenant, ...]:
    """The tenants of jobs, with the quota that is in force, and with the groups that they borrow from.

    Where there are groups their other members are told too: what lies idle of their quotas may be borrowed.
    """
    quotas = network.quotas
    lenders = {org for org, row in quotas.items() if row["quota_group"] is not None}
    found = []
    for org in sorted({*orgs, *lenders}):
        row = quotas.get(org)
        limits = row["quota"] if row and row["quota"] is not None else default_quota(settings)
        weight = row["weight"] if row else 1.0
        if row is None or row["quota_group"] is None:
            found.append(Tenant(org, Quota(nominal=limits), weight=weight))
        else:
            quota = Quota(limits, row["borrowing_limit"] or {}, row["lending_limit"] or {})
            found.append(Tenant(org, quota, GROUP + row["quota_group"], weight))
    for row in network.groups:
        quota = Quota(row["quota"], row["borrowing_limit"], row["lending_limit"])
        found.append(Tenant(GROUP + row["id"], quota, GROUP + row["parent"] if row["parent"] else None))
    return tuple(found)


def default_quota(settings: Settings) -> dict[str, float]:
    """What operators and departments may use without a quota of their own."""
    return {
        "cores": settings.compute_scheduler_default_cores,
        "memory_mb": float(settings.compute_scheduler_default_memory_mb),
    }


def is_heard(centre: Row, now: datetime) -> bool:
    """Whether the centre's agent has renewed its lease in time."""
    return centre["lease_until"] is not None and centre["lease_until"] > now


def _centre_state(centre: Row, now: datetime) -> Any:
    if centre["state"] == "drained":
        return "drained"
    return "open" if is_heard(centre, now) else "lost"


@dataclass(frozen=True)
class Hall:
    """What a submission is measured against."""

    org: str
    network: Network
    board: Board
    ground: data.Ground | None = None

    def objections(self, spec: JobSpec, document: Row, now: datetime, *, is_lent: bool = False) -> list[Row]:
        """What makes it impossible that the job ever runs: {field, code, reason}.

        document: the specification with its time limit, and with what it reads in `data` (`data.told`).
        """
        fresh = {"queued_at": now, "not_before_at": None, "preemptions": 0}
        if is_lent:
            document = document | {"lent": {}}
        # Before the first agent has come nobody knows what will fit.
        is_empty = not self.network.nodes
        window = self.network.window(spec.reservation)
        if window is not None and spec.centre not in (None, window.centre):
            elsewhere = f"预留 {window.id} 在算力中心 {window.centre}；去掉 centre 或改为它"
            return [{"field": "centre", "code": "reservation_over", "reason": elsewhere}]
        if not is_empty and (whole_only := self.network.no_shares(spec)):
            return [whole_only]
        job = queued_job({"id": "", "org": self.org, "spec": document, **fresh}, self.network)
        if document["data"] and self.ground is not None:
            needs, at_ms = data.needs_of(document), int(now.timestamp() * 1000)
            placed = self.ground.atlas.place(needs, self.ground.network(), at_ms, job.centres)
            if words := data.objection(placed, job):
                return [{"field": "datasets", "code": "data_stays", "reason": words}]
            job = data.placed_job(job, placed)
        found = objections(job, self.board, now.timestamp())
        return [
            {"field": item.field, "code": item.code, "reason": item.words}
            for item in found
            if not (is_empty and item.code in ("never_fits", "kind_unknown"))
        ]


def load(
    session: Session,
    actor: Actor,
    settings: Settings,
    now: datetime,
    *,
    with_running: bool,
    datasets: Collection[str] = (),
) -> Hall:
    """What a submission of this organisation is measured against. Raises NoQuota.

    with_running: a deadline is to be tried against what runs. datasets: those that its jobs read.
    """
    found = network(session, settings, now)
    row = found.quotas.get(actor.org)
    has_own = row is not None and row["quota"] is not None
    is_public = actor.principal.org_kind in ("operator", "department")
    if not has_own and not (is_public and settings.compute_scheduler_default_cores):
        raise NoQuota(
            f"机构 {actor.org} 没有算力配额；请平台运营方用 PUT /v1/tenants/{actor.org}/quota 设置", org=actor.org
        )
    asking = tenants(found, [actor.org], settings)
    runs = running(session) if with_running else ()
    board = Board(Snapshot(found.centres, found.nodes, asking, running=runs, windows=found.windows), Policy())
    ground = data.load(session, settings, datasets, now) if datasets else None
    return Hall(actor.org, found, board, ground)


def running(session: Session) -> tuple[RunningJob, ...]:
    """What holds nodes, a gang with those of all its members."""
    found = []
    for _, held in groupby(holders.holding(session), key=lambda held: held[0]["job"]):
        members = [*held]
        (attempt, spec), *others = members
        began = (attempt["running_at"] or attempt["prepared_at"]).timestamp()
        ends_by, more = began + spec["time_limit_s"], tuple([other["node"] for other, _ in others])
        demand, node = demand_of(spec), attempt["node"]
        run = RunningJob(attempt["job"], attempt["org"], demand, node, began, ends_by, more, spec["priority"])
        if attempt["accelerators"]:
            run = with_devices(run, *[member["accelerators"] for member, _ in members])
        found.append(run)
    return tuple(found)


def with_devices(run: RunningJob, *holdings: Holding) -> RunningJob:
    """A running job with the kinds of accelerators that its members hold, and the devices that they share."""
    demand, _ = settled(run.demand, holdings[0])
    devices = tuple([settled(demand, holding)[1] for holding in holdings]) if demand.share else ()
    return replace(run, demand=demand, devices=devices)


def queued_job(row: Row, network: Network) -> QueuedJob:
    """A job's row as the plan sees it; row: id, org, spec, queued_at, not_before_at, preemptions."""
    spec = row["spec"]
    return QueuedJob(
        id=row["id"],
        tenant=row["org"],
        demand=demand_of(spec),
        submitted_at=row["queued_at"].timestamp(),
        time_limit_s=float(spec["time_limit_s"]),
        priority=spec["priority"],
        deadline_at=datetime.fromisoformat(spec["deadline"]).timestamp() if spec["deadline"] else None,
        not_before_at=row["not_before_at"].timestamp() if row["not_before_at"] else None,
        centres=network.centres_of(spec),
        gang=spec.get("gang", 1),
        after=tuple(spec.get("after", ())),
        preemptions=row["preemptions"],
        checkpoint_every_s=spec.get("checkpoint_every_s"),
        reservation=spec.get("reservation"),
    )
