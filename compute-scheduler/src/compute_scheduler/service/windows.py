"""Windows as the plan sees them, and what happens when one opens and ends."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from brain_kit.events import emit_all
from sqlalchemy.orm import Session

from compute_scheduler import steps
from compute_scheduler.domain.news import reservation_changed
from compute_scheduler.domain.outcomes import Ending
from compute_scheduler.domain.reservation_states import LIVE, next_state
from compute_scheduler.domain.resources import Resources, resources
from compute_scheduler.domain.snapshot import Window
from compute_scheduler.service.moves import ENDED_FOR, Moves
from compute_scheduler.store import jobs as job_store
from compute_scheduler.store import reservations as store

Row = dict[str, Any]


def windows(session: Session, now: datetime) -> tuple[Window, ...]:
    """Those that are planned or open and have not ended, by id."""
    return tuple(window_of(row) for row in store.live(session) if row["end_at"] > now)


def window_of(row: Row) -> Window:
    """A row as the plan sees it. One that has opened has begun, whatever the clock says."""
    return Window(
        row["id"],
        row["centre"],
        0.0 if row["state"] == "open" else row["start_at"].timestamp(),
        row["end_at"].timestamp(),
        tuple((node, part_of(part)) for node, part in row["nodes"]),
        tuple(row["orgs"]),
        row["priority"],
        row["kind"] == "maintenance",
    )


def part_of(kept: Row | None) -> Resources | None:
    """What is kept of a node; None: all of it."""
    return None if kept is None else resources(kept["cores"], kept["memory_mb"], kept["accelerators"])


def in_maintenance(rows: list[Row], node_id: str, centre: str, now: datetime) -> bool:
    """Whether a node is being maintained. rows: those that are planned or open."""
    return any(
        row["kind"] == "maintenance"
        and row["centre"] == centre
        and next_state(row["state"], row["start_at"], row["end_at"], now) == "open"
        and (not row["nodes"] or node_id in {node for node, _ in row["nodes"]})
        for row in rows
    )


def turn(session: Session, now: datetime) -> int:
    """Opens and ends what is due, in the caller's transaction: states, events and stopped jobs together or not at all.

    Returns how many entered a state.
    """
    due = store.lock_due(session, now)
    turned = []
    for row in due:
        after = next_state(row["state"], row["start_at"], row["end_at"], now)
        if after == row["state"] or row["state"] not in LIVE:
            continue
        steps.reached("window:before-turn")
        values: Row = {"state": after}
        values |= {"began_at": now} if after == "open" else {"ended_at": now}
        store.save(session, row["id"], values)
        row |= values
        if after == "open" and row["running"] != "leave":
            _stop(session, row, now)
        turned.append(row)
    emit_all(session, [reservation_changed(row) for row in turned])
    return len(turned)


def _stop(session: Session, row: Row, now: datetime) -> None:
    """What runs on the nodes goes back to the queue or ends, as the operator has said; a gang as a whole."""
    named = {node for node, _ in row["nodes"]}
    held = job_store.alive_attempts(session, centre=row["centre"])
    names = {item["job"] for item in held if not named or item["node"] in named}
    moves = Moves(session, now)
    for job in job_store.lock_jobs(session, names).values():
        alive = [attempt for attempt in moves.members(job) if attempt["state"] != "ended"]
        # Those that may have begun first, so that the others find them told why.
        for attempt in sorted(alive, key=lambda attempt: attempt["state"] != "running"):
            _stop_one(moves, job, attempt, row)
    moves.write()
    steps.reached("window:stopped")


def _stop_one(moves: Moves, job: Row, attempt: Row, row: Row) -> None:
    words, is_end = f"维护窗口 {row['id']} 已开始", row["running"] == "end"
    if is_end and job["cancel_at"] is None:
        moves.note(job, cancel_at=moves.now)
    if attempt["state"] != "running":
        ending = (
            Ending("cancelled", f"{words}，按运维要求结束") if is_end else Ending("returned", f"{words}，命令没有开始")
        )
        moves.end(attempt, job, ending)
    elif not attempt["cancel"]:
        what, code = ("按运维要求结束", ENDED_FOR) if is_end else ("让出节点后回到队列", "maintenance")
        moves.note_attempt(attempt, cancel=True, **({} if is_end else {"preempted_for": row["id"]}))
        moves.note(job, reason=f"{words}，{what}：等待命令结束", reason_code=code)
