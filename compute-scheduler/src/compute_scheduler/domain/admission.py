"""What is wrong with a job before it is queued: what no waiting can mend."""

from __future__ import annotations

from dataclasses import dataclass

from compute_scheduler.domain import gangs, reasons
from compute_scheduler.domain.board import Board
from compute_scheduler.domain.decisions import Code
from compute_scheduler.domain.resources import ANY_OF
from compute_scheduler.domain.shapes import Shape
from compute_scheduler.domain.snapshot import QueuedJob

_FIELDS: dict[Code, str] = {"centre_unknown": "centre", "never_fits": "resources"}


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a job must not be queued: the field of the job, a stable code, and what to do in words."""

    field: str
    code: Code
    words: str


def objections(job: QueuedJob, board: Board, now: float) -> list[Objection]:
    """Everything that would keep the job waiting for ever: centre, size, quota, deadline; empty when it may be queued.

    A deadline is tried against what runs (`earliest_start`): `deadline` can never be met, `deadline_profile` only if
    running jobs end before their time limits.

    A centre or node that is only closed is no objection.
    """
    found = []
    shape = board.shape_of(job)
    if not board.quotas.knows(job.tenant):
        found.append(Objection("tenant", "tenant_unknown", reasons.tenant_unknown(job.tenant).words))
    else:
        shorts = [board.quotas.shortage(job.tenant, one.total) for one in shape.choices or (shape,)]
        short = shorts[0]
        if short is not None and all(one is not None and one.never for one in shorts):
            found.append(Objection("resources", "quota_never", reasons.quota(job.tenant, short).words))
    reason, unknown = board.hold(shape), _unknown_kind(shape, board)
    if reason is not None and unknown is not None:
        found.append(unknown)
    elif reason is not None and reason.code in _FIELDS:
        found.append(Objection(_FIELDS[reason.code], reason.code, reason.words))
    earliest = max(now, job.not_before_at or now, board.opens_at(job))
    window = board.windows.by_id.get(job.reservation or "")
    if job.reservation and (window is None or window.end_at <= earliest or not window.is_for(job.tenant, job.priority)):
        found.append(Objection("reservation", "reservation_over", reasons.reservation_over(job.reservation).words))
    if job.deadline_at is not None and earliest + job.time_limit_s > job.deadline_at:
        found.append(Objection("deadline", "deadline", reasons.deadline().words))
    elif job.deadline_at is not None and reason is None:
        start_at = earliest_start(job, board, earliest)
        if start_at is not None and start_at + job.time_limit_s > job.deadline_at:
            late = reasons.too_late(start_at, start_at + job.time_limit_s)
            found.append(Objection("deadline", "deadline_profile", late.words))
    return found


def _unknown_kind(shape: Shape, board: Board) -> Objection | None:
    """The first kind of accelerators, or choice of kinds, that no node has where the job may run."""
    here = [node for node in board.models if not shape.centres or node.centre in shape.centres]
    known = {kind for node in here for kind, _ in node.capacity.accelerators}
    for kind, _ in shape.accelerators:
        if here and not known & set(kind.split(ANY_OF)):
            words = reasons.kind_unknown(kind, sorted(known)).words
            return Objection(f"resources.accelerators.{kind}", "kind_unknown", words)
    return None


def earliest_start(job: QueuedJob, board: Board, now: float) -> float | None:
    """When the job could start if it were the next, with running jobs holding what they have until their time limits.

    None when they never leave room. Other waiting jobs and quotas can only make it later.
    """
    shape, timeline = board.shape_of(job), board.timeline(now)
    ends_by_at = now + job.time_limit_s
    if shape.gang > 1:
        has_room = bool(gangs.place(shape, board, timeline, ends_by_at)[0])
    else:
        has_room = timeline.best(shape, ends_by_at)[0] is not None
    if has_room:
        return now
    asked = (job.id, shape, job.time_limit_s, board.ends)
    kept = gangs.reserve(timeline, *asked) if shape.gang > 1 else timeline.reserve(*asked)
    return None if kept is None else kept.start_at
