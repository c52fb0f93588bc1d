"""Jobs beside reservations: what reaches into one, what one holds up, what one was used for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from brain_kit.clock import rfc3339
from sqlalchemy.orm import Session

from compute_scheduler.domain.decisions import Decisions
from compute_scheduler.domain.plan import plan_board
from compute_scheduler.domain.snapshot import Window
from compute_scheduler.service import admission
from compute_scheduler.service.picture import Picture
from compute_scheduler.service.policies import in_force
from compute_scheduler.settings import Settings
from compute_scheduler.store import centres, sites
from compute_scheduler.store import reservations as store

Row = dict[str, Any]
MOST_TOLD = 200
# What is asked of the plan as if the window were there already bears this name.
TRIED = "rsv_"


def reaching_into(session: Session, window: Window) -> list[Row]:
    """Jobs on the nodes of a window, not of those that it is for, that may still run when it opens; by their ends."""
    named = {node for node, _ in window.nodes}
    nodes: set[str] = {str(row["id"]) for row in centres.all_nodes(session, window.centre)}
    inside = named & nodes if named else nodes
    found = [
        job
        for job in admission.running(session)
        if job.ends_by_at > window.start_at and inside & set(job.nodes) and not window.is_for(job.tenant, job.priority)
    ]
    found.sort(key=lambda job: (-job.ends_by_at, job.id))
    names = {row["id"]: row["name"] for row in sites.jobs_by_id(session, [job.id for job in found[:MOST_TOLD]])}
    return [
        {
            "job": job.id,
            "name": names.get(job.id, ""),
            "org": job.tenant,
            "nodes": sorted(inside & set(job.nodes)),
            "ends_by_at": _moment(job.ends_by_at),
        }
        for job in found[:MOST_TOLD]
    ]


def held_up(session: Session, settings: Settings, window: Window, now: datetime) -> list[Row]:
    """Waiting jobs that the plan would start now, or whose reserved start is sooner, without the window."""
    policy = in_force(session, settings).policy
    board = Picture(settings, policy).look(session, now, 0.0)
    if not board.queued:
        return []
    at = now.timestamp()
    before = plan_board(board, at, policy)
    queued = dict(board.queued)
    windows = board.snapshot().windows
    board.put_windows((*windows, replace(window, id=TRIED)))
    after = plan_board(board, at, policy)
    found: list[Row] = []
    starts, later = _starts(before, at), _starts(after, at)
    why = dict(after.waits())
    for job_id in sorted(starts.keys() | later.keys()):
        then, now_at = later.get(job_id), starts.get(job_id)
        if now_at is not None and (then is None or then > now_at):
            reason = why.get(job_id)
            found.append(
                {
                    "job": job_id,
                    "org": queued[job_id].tenant,
                    "start_at": _moment(now_at),
                    "then_at": None if then is None else _moment(then),
                    "reason": "" if reason is None else reason.words,
                }
            )
    names = {row["id"]: row["name"] for row in sites.jobs_by_id(session, [item["job"] for item in found[:MOST_TOLD]])}
    return [item | {"name": names.get(item["job"], "")} for item in found[:MOST_TOLD]]


def use_of(session: Session, row: Row, now: datetime) -> Row | None:
    """Core hours that a reservation has kept so far, those that its jobs used there, those that went unused.

    Whole nodes count with the cores that they have now. None for maintenance and before it opens.
    """
    until = min(row["end_at"], row["ended_at"] or now, now)
    if row["kind"] == "maintenance" or until <= row["start_at"]:
        return None
    capacity = {node["id"]: float(node["cores"]) for node in centres.all_nodes(session, row["centre"])}
    cores = {node: capacity.get(node, 0.0) if part is None else float(part["cores"]) for node, part in row["nodes"]}
    used: dict[str, float] = dict.fromkeys(cores, 0.0)
    for item in _work(session, row, now):
        if item["node"] in used and (item["org"] in row["orgs"] or item["priority"] == row["priority"]):
            overlap = min(until, item["ended_at"]) - max(row["start_at"], item["started_at"])
            used[item["node"]] += item["cores"] * max(0.0, overlap.total_seconds())
    length_s = (until - row["start_at"]).total_seconds()
    kept_s = sum(number * length_s for number in cores.values())
    used_s = sum(min(used[node], cores[node] * length_s) for node in cores)
    hours = {"kept": kept_s / 3600, "used": used_s / 3600, "unused": (kept_s - used_s) / 3600}
    return {f"{name}_core_h": round(value, 4) for name, value in hours.items()} | {"until": rfc3339(until)}


def _work(session: Session, row: Row, now: datetime) -> list[Row]:
    ended = [
        item | {"cores": item["core_s"] / item["wall_s"]} for item in store.ended_work(session, row) if item["wall_s"]
    ]
    running = [
        item | {"started_at": item["running_at"], "ended_at": now, "cores": item["spec"]["resources"]["cores"]}
        for item in store.running_work(session, row["centre"])
    ]
    return ended + running


def _starts(decisions: Decisions, at: float) -> dict[str, float]:
    """When jobs start by a plan: now, or at their reserved start."""
    found = {kept.job_id: kept.start_at for kept in decisions.reservations}
    return found | {start.job_id: at for start in decisions.starts}


def _moment(at: float) -> str:
    return rfc3339(datetime.fromtimestamp(at, UTC))
