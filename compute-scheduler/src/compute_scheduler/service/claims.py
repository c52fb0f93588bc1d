"""Claims: the fence of an attempt. Before a command may begin, its copy asks for the attempt with a nonce of its own.

The first nonce gets it, the same one gets it again, every other is refused. A gang is granted as a whole: its members
are kept with their nonces as they come, and all may begin when all have come; until then each asks again. So does the
copy of a job that was borrowed by another brain, until that brain has granted its own attempt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from compute_scheduler.domain import states
from compute_scheduler.service.moves import Moves, gang_of
from compute_scheduler.store import lending

Row = dict[str, Any]


@dataclass
class Answer:
    """Ids of the attempts that may begin, and of those that never may; what is in neither asks again."""

    granted: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def decide(
    moves: Moves, claims: Iterable[Mapping[str, Any]], attempts: Mapping[str, Row], jobs: Mapping[str, Row]
) -> Answer:
    """Grants, refuses or keeps each claim {attempt, nonce}. attempts: of the claiming centre; jobs: locked."""
    answer = Answer()
    gangs: dict[str, list[Mapping[str, Any]]] = {}
    for item in claims:
        attempt, job = attempts.get(item["attempt"]), jobs.get(states.job_of(item["attempt"]))
        if attempt is None or job is None or job["attempt"] != attempt["epoch"]:
            answer.refused.append(item["attempt"])
        elif "lent" in job["spec"]:
            _claim_lent(moves, item["nonce"], attempt, job, answer)
        elif gang_of(job) > 1:
            gangs.setdefault(job["id"], []).append(item)
        else:
            is_granted = _claim(moves, item["nonce"], attempt, job)
            (answer.granted if is_granted else answer.refused).append(item["attempt"])
    for job_id, items in gangs.items():
        _claim_together(moves, items, jobs[job_id], answer)
    return answer


def _claim(moves: Moves, nonce: str, attempt: Row, job: Row) -> bool:
    if attempt["state"] == "running":
        return bool(attempt["nonce"] == nonce)
    if attempt["state"] not in ("submitting", "submitted") or attempt["cancel"] or job["cancel_at"] is not None:
        return False
    if attempt["state"] == "submitting":
        moves.attempt(attempt, "submitted", nonce=nonce)
    moves.attempt(attempt, "running", nonce=nonce)
    moves.job(job, "running", f"正在 {attempt['node']} 运行", started_at=job["started_at"] or moves.now)
    return True


def _claim_lent(moves: Moves, nonce: str, attempt: Row, job: Row, answer: Answer) -> None:
    """A job of another brain begins only when that brain has let its own attempt begin; until then its copy asks again.

    So claims are chained: whatever that brain has not granted it may take back, as from any other centre.
    """
    is_other = attempt["nonce"] not in (None, nonce)
    lent = lending.lent(moves.session, job["id"])
    is_over = attempt["state"] == "ended" or attempt["cancel"] or job["cancel_at"] is not None
    if is_other or lent is None or is_over:
        answer.refused.append(attempt["id"])
    elif attempt["state"] == "running" or lent["granted_at"] is not None:
        is_granted = _claim(moves, nonce, attempt, job)
        (answer.granted if is_granted else answer.refused).append(attempt["id"])
    elif attempt["nonce"] is None:
        _keep(moves, attempt, nonce)
        moves.note(job, reason=f"已在 {attempt['node']} 就位，等待借入方同意开始")


def _claim_together(moves: Moves, items: Iterable[Mapping[str, Any]], job: Row, answer: Answer) -> None:
    members = moves.members(job)
    by_id = {member["id"]: member for member in members}
    for item in items:
        if job["cancel_at"] is None:
            _keep(moves, by_id[item["attempt"]], item["nonce"])
    come = sum(member["state"] == "submitted" and member["nonce"] is not None for member in members)
    if come == gang_of(job) and job["cancel_at"] is None:
        for member in members:
            moves.attempt(member, "running")
        words = f"{come} 个成员正在 {members[0]['centre']} 运行"
        moves.job(job, "running", words, started_at=job["started_at"] or moves.now)
    elif come:
        moves.note(job, reason=f"{gang_of(job)} 个成员中有 {come} 个已就位，等待其余成员")
    for item in items:
        member = by_id[item["attempt"]]
        is_kept = member["nonce"] == item["nonce"]
        if is_kept and member["state"] == "running":
            answer.granted.append(item["attempt"])
        elif not (is_kept and member["state"] == "submitted"):
            answer.refused.append(item["attempt"])


def _keep(moves: Moves, member: Row, nonce: str) -> None:
    """Binds a member that nobody has asked for to the copy that asks now."""
    if member["nonce"] is None and member["state"] == "submitting":
        moves.attempt(member, "submitted")
    if member["nonce"] is None and member["state"] == "submitted":
        moves.note_attempt(member, nonce=nonce, claimed_at=moves.now)
