"""What a job is expected to cost and when it may start, before it runs; and what it was charged, afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from sqlalchemy.orm import Session

from compute_scheduler.domain.admission import earliest_start
from compute_scheduler.domain.board import Board
from compute_scheduler.domain.decisions import Site
from compute_scheduler.domain.ledger import yuan
from compute_scheduler.domain.shapes import Shapes
from compute_scheduler.domain.siting import Siting
from compute_scheduler.domain.snapshot import Policy, QueuedJob, Snapshot
from compute_scheduler.domain.spec import JobSpec
from compute_scheduler.service import admission, control, data
from compute_scheduler.service.costs import terms
from compute_scheduler.service.policies import in_force
from compute_scheduler.service.submit import Submissions
from compute_scheduler.service.tenancy import Actor
from compute_scheduler.settings import Settings
from compute_scheduler.store import ledger, sites

Row = dict[str, Any]
QUEUED = "queued"
Asked = tuple[Actor, JobSpec, str]
"""Who asks, for which job, with which token."""


def estimate(database: Database, settings: Settings, submissions: Submissions, asked: Asked) -> Row:
    """What a job would cost at each centre if it used its whole time limit, the best first, and when it could start.

    Nothing is kept. Raises what submitting it would raise: JobRefused with `errors`, NoQuota, RunningNotPermitted.
    """
    actor, spec, token = asked
    read = submissions.check(actor, spec, token)
    now = utc_now()
    document = spec.document() | {"time_limit_s": submissions.time_limit_s(spec), "data": read}
    row = {"id": "", "org": actor.org, "spec": document, "queued_at": now, "not_before_at": None, "preemptions": 0}
    with database.reading() as session:
        return _outlook(session, settings, row, now) | {"as_of": rfc3339(now)}


def costs_of(database: Database, settings: Settings, actor: Actor, job_id: str) -> Row:
    """Predicted start, expected and charged costs of a job. Raises JobUnknown.

    expected: of a waiting job at the centre that would be chosen now, else where its last attempt went; for the whole
    time limit. charged: the sum of its ledger entries, None before there is one.
    """
    now = utc_now()
    with database.reading() as session:
        job = control.visible(session, actor, job_id)
        told = _told(session, settings, [job], now)[job_id]
        outlook: Row = {"earliest_start_at": None, "sites": []}
        if job["state"] == QUEUED:
            outlook = _outlook(session, settings, job, now)
    start = job["predicted_start_at"] if job["state"] == QUEUED else None
    return {"predicted_start_at": rfc3339(start) if start else None, **told, **outlook, "as_of": rfc3339(now)}


def with_costs(database: Database, settings: Settings, page: Row) -> Row:
    """A page of jobs, each with `expected` and `charged`."""
    now = utc_now()
    with database.reading() as session:
        rows = sites.jobs_by_id(session, [item["id"] for item in page["items"]])
        told = _told(session, settings, rows, now)
    return page | {"items": [item | told[item["id"]] for item in page["items"]]}


def _told(session: Session, settings: Settings, jobs: list[Row], now: datetime) -> dict[str, Row]:
    ids = [job["id"] for job in jobs]
    charged = {row["job"]: _charged(row) for row in ledger.charged(session, ids)}
    places = sites.newest_sites(session, ids)
    queued = [job for job in jobs if job["state"] == QUEUED]
    ranked = _ranked(session, settings, queued, now) if queued else {}
    found: dict[str, Row] = {}
    for job in jobs:
        if job["state"] == QUEUED:
            best = next(iter(ranked[job["id"]]), None)
            expected = None if best is None else {"centre": best.centre, **terms(best)}
        else:
            kept = places.get(job["id"])
            expected = None if kept is None else {name: kept[name] for name in kept if name != "others"}
        found[job["id"]] = {"expected": expected, "charged": charged.get(job["id"])}
    return found


def _ranked(session: Session, settings: Settings, jobs: list[Row], now: datetime) -> dict[str, list[Site]]:
    """The centres where each job may run, the best first."""
    network, policy = admission.network(session, settings, now), in_force(session, settings).policy
    siting = Siting({centre.id: centre for centre in network.centres}, policy, now.timestamp())
    shapes = Shapes()
    found = {}
    for job in _placed(session, settings, jobs, now):
        shape = shapes.of(job.demand, job.centres, job.home, job.gang)
        found[job.id] = [] if job.nowhere else siting.ranked(job, shape)
    return found


def _placed(session: Session, settings: Settings, jobs: Iterable[Row], now: datetime) -> list[QueuedJob]:
    """The jobs as the plan sees them, with what their data say of where they run."""
    here = admission.network(session, settings, now)
    plain = [(admission.queued_job(row, here), data.needs_of(row["spec"])) for row in jobs]
    names = {need.dataset for _, needs in plain for need in needs}
    if not names:
        return [job for job, _ in plain]
    ground = data.load(session, settings, names, now)
    network, at_ms = ground.network(), int(now.timestamp() * 1000)
    return [
        data.placed_job(job, ground.atlas.place(needs, network, at_ms, job.centres)) if needs else job
        for job, needs in plain
    ]


def _outlook(session: Session, settings: Settings, row: Row, now: datetime) -> Row:
    """The earliest start by what runs now, and what each centre would cost."""
    network = admission.network(session, settings, now)
    (job,) = _placed(session, settings, [row], now)
    tenants = admission.tenants(network, [row["org"]], settings)
    running = (*admission.running(session), *network.foreign)
    board = Board(Snapshot(network.centres, network.nodes, tenants, running=running, windows=network.windows), Policy())
    opens_at = max(now.timestamp(), board.opens_at(job))
    start = None if job.nowhere or not network.nodes else earliest_start(job, board, opens_at)
    ranked = _ranked(session, settings, [row], now)[job.id]
    return {
        "earliest_start_at": None if start is None else rfc3339(datetime.fromtimestamp(start, UTC)),
        "sites": [{"centre": site.centre, **terms(site)} for site in ranked],
    }


def _charged(row: Row) -> Row:
    """Sums of a job's ledger entries; energy, its cost and carbon are None when one of them does not tell."""
    is_whole = {name: row[f"with_{name}"] == row["entries"] for name in ("energy", "carbon", "electricity")}
    return {
        "amount": yuan(row["amount"]),
        "currency": "CNY",
        "entries": row["entries"],
        "energy_kwh": row["energy_uwh"] / 1e9 if is_whole["energy"] else None,
        "energy_yuan": yuan(row["electricity"]) if is_whole["electricity"] else None,
        "co2_kg": row["carbon_ug"] / 1e9 if is_whole["carbon"] else None,
    }
