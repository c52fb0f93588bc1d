"""What agents and the service tell each other: sessions, work handed out, epochs claimed, ends reported.

An agent's session is a fencing token: a newer session of the same centre ends every older one. What an agent sends may
come twice, and every answer may be lost: each step is decided by what the tables say, so a repeat gets the same answer.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from brain_kit.clock import utc_now
from brain_kit.database import Database
from prometheus_client import CollectorRegistry
from sqlalchemy.orm import Session

from compute_scheduler import steps
from compute_scheduler.domain import states
from compute_scheduler.domain.lending import PARTNER_ENGINE
from compute_scheduler.domain.outcomes import Ending, ending_of
from compute_scheduler.service import carrying
from compute_scheduler.service.claims import decide
from compute_scheduler.service.errors import CentreHeld, CentreUnknown, SessionLost
from compute_scheduler.service.lending import name_brain
from compute_scheduler.service.metrics import TransferMetrics
from compute_scheduler.service.moves import Moves, ids_of_jobs
from compute_scheduler.service.orders import orders
from compute_scheduler.settings import Settings
from compute_scheduler.store import accounts, centres
from compute_scheduler.store import jobs as store

Row = dict[str, Any]
REDELIVER_S = 5.0
MOST_ORDERS = 500


@dataclass(frozen=True)
class Exchange:
    """The service's side of agents."""

    database: Database
    settings: Settings
    metrics: TransferMetrics = field(default_factory=lambda: TransferMetrics(CollectorRegistry()))

    def open_session(self, centre_id: str, body: Mapping[str, Any]) -> Row:
        """Begins a session; decides the running attempts that the agent no longer has a record of.

        Answers {session, stop (what the agent holds and should not: it was ended here), mark, lease_s}; `mark` names
        the centre among all centres of all platforms, and stays.

        body: instance, nodes, capabilities, held (attempts that the agent has a folder of), replicas (copies of data
        that it has; null: not told).
        Raises CentreUnknown, CentreHeld while another instance's lease runs.
        """
        now = utc_now()
        with self.database.transaction() as session:
            centre = centres.centre(session, centre_id, lock="update")
            if centre is None:
                raise CentreUnknown(f"没有算力中心 {centre_id}")
            is_other = centre["instance"] not in (None, body["instance"])
            if is_other and centre["lease_until"] is not None and centre["lease_until"] > now:
                raise CentreHeld(f"中心 {centre_id} 正由另一个代理管理，租约到期后才能接管", retry_after_s=5)
            token = centre["session"] + 1
            centres.update_centre(
                session,
                centre_id,
                {
                    "instance": body["instance"],
                    "session": token,
                    "capabilities": _with_clock(body["capabilities"], now),
                    **self._lease(now),
                },
            )
            centres.save_nodes(session, centre_id, body["nodes"], now)
            if body.get("replicas") is not None:
                carrying.keep_only(session, centre_id, body["replicas"])
            self._end_missing(session, centre_id, set(body["held"]), now)
            alive = {row["id"] for row in store.alive_attempts(session, centre=centre_id)}
        stop = sorted(set(body["held"]) - alive)
        mark = f"{centre_id}-{centre['created_at'].timestamp():.6f}"
        return {"session": token, "stop": stop, "mark": mark, "lease_s": self.settings.compute_scheduler_agent_lease_s}

    def has_news(self, centre_id: str, ending: set[str]) -> bool:
        """Whether a pull would bring something."""
        with self.database.reading() as session:
            return store.has_news(session, centre_id, ending)

    def pull(self, centre_id: str, token: int, body: Mapping[str, Any]) -> Row:
        """Renews the lease and hands out work: {orders, ends, lease_s}.

        body: nodes (or null when nothing changed), ending (attempts that are being ended), first (after a new session:
        hand out again what an answer that was lost may have carried). Raises SessionLost.
        """
        now = utc_now()
        ending = set(body["ending"])
        with self.database.transaction() as session:
            centre = self._held(session, centre_id, token, lock="update")
            centres.update_centre(session, centre_id, self._lease(now))
            if body["nodes"] is not None:
                centres.save_nodes(session, centre_id, body["nodes"], now)
            steps.reached("pull:before-handing-out")
            is_partner = centre["capabilities"].get("engine") == PARTNER_ENGINE
            brain = name_brain(session, now) if is_partner else None
            handed = self._hand_out(session, centre_id, now, redeliver=bool(body["first"]), brain=brain)
            ends = [attempt for attempt in store.to_end(session, centre_id) if attempt not in ending]
        steps.reached("pull:before-answer")
        return {"orders": handed, "ends": ends, "lease_s": self.settings.compute_scheduler_agent_lease_s}

    def report(self, centre_id: str, token: int, body: Mapping[str, Any]) -> Row:
        """Takes claims, logs and ends: {granted, refused, acknowledged, transfers}. Raises SessionLost.

        A claim is granted to the first nonce that asks for the attempt's epoch, again whenever that nonce asks again,
        and to no other; those of a gang when all members have asked, until when they are in neither list.
        body: claims [{attempt, nonce}], logs [{attempt, offset, data}], ended [{attempt, nonce, record, outputs,
        missing}]; from engines with a queue of their own also state {nodes, health} when it changed and
        waits [{attempt, reason}]; of data that it brings transfers [{transfer, state, done_bytes, ...}] and dropped
        [{dataset, version, view}], copies that it no longer has. An attempt whose data are not all there is granted
        nothing yet.
        """
        now = utc_now()
        claims, ended = body["claims"], body["ended"]
        state, waits = body.get("state"), body.get("waits", [])
        with self.database.transaction() as session:
            centre = self._held(session, centre_id, token, lock="update" if state else "share")
            steps.reached("report:before-claims")
            if state:
                self._keep_state(session, centre, state, now)
            ids = [item["attempt"] for item in [*claims, *ended, *waits]]
            moving = body.get("transfers") or []
            waiting = carrying.jobs_of(session, moving) if moving else []
            jobs = store.lock_jobs(session, [*ids_of_jobs(ids), *waiting])
            attempts = store.attempts_by_id(session, [*ids, *(item["attempt"] for item in body["logs"])])
            attempts = {name: row for name, row in attempts.items() if row["centre"] == centre_id}
            moves = Moves(session, now)
            moved = carrying.take(moves, centre_id, moving, jobs, self.metrics) if moving else []
            carrying.drop_replicas(session, centre_id, body.get("dropped") or [])
            answer = decide(moves, _staged(session, claims, attempts), attempts, jobs)
            for item in body["logs"]:
                if item["attempt"] in attempts:
                    data = base64.b64decode(item["data"])
                    accounts.append_log(session, item["attempt"], int(item["offset"]), data, now)
            for item in waits:
                _wait(moves, item, attempts, jobs)
            for item in ended:
                _end(moves, item, attempts.get(item["attempt"]), jobs)
            moves.write()
            steps.reached("report:before-commit")
        steps.reached("report:before-answer")
        return {
            "granted": answer.granted,
            "refused": answer.refused,
            "acknowledged": [item["attempt"] for item in ended],
            "transfers": moved,
        }

    def _lease(self, now: datetime) -> Row:
        seconds = timedelta(seconds=self.settings.compute_scheduler_agent_lease_s)
        return {"seen_at": now, "lease_until": now + seconds}

    @staticmethod
    def _held(session: Session, centre_id: str, token: int, *, lock: str) -> Row:
        centre = centres.centre(session, centre_id, lock=lock)
        if centre is None or centre["session"] != token:
            raise SessionLost(f"中心 {centre_id} 的代理会话已被更新的会话取代，请重新建立会话")
        return centre

    @staticmethod
    def _keep_state(session: Session, centre: Row, state: Mapping[str, Any], now: datetime) -> None:
        """A silent engine has no nodes, so its centre has no capacity until it answers again."""
        centres.update_centre(
            session, centre["id"], {"capabilities": centre["capabilities"] | {"health": state["health"]}}
        )
        centres.save_nodes(session, centre["id"], state["nodes"], now)

    def _hand_out(
        self, session: Session, centre_id: str, now: datetime, *, redeliver: bool, brain: str | None
    ) -> list[Row]:
        before = now + timedelta(days=1) if redeliver else now - timedelta(seconds=REDELIVER_S)
        due = store.to_hand_out(session, centre_id, before, MOST_ORDERS)
        jobs = store.lock_jobs(session, ids_of_jobs(due))
        # Between finding and locking one of them may have been cancelled.
        attempts = store.attempts_by_id(session, due)
        moves = Moves(session, now)
        work = []
        for attempt in (attempts[attempt_id] for attempt_id in due):
            if attempt["state"] == "prepared":
                moves.attempt(attempt, "submitting")
            if attempt["state"] == "submitting":
                work.append((attempt, jobs[attempt["job"]]))
        moves.write()
        return orders(session, work, brain)

    @staticmethod
    def _end_missing(session: Session, centre_id: str, held: set[str], now: datetime) -> None:
        """Running attempts without a folder: nothing of them is left, and nobody can say how they ended."""
        running = store.alive_attempts(session, centre=centre_id, states=("submitted", "running"))
        missing = [row["id"] for row in running if row["id"] not in held]
        jobs = store.lock_jobs(session, ids_of_jobs(missing))
        moves = Moves(session, now)
        for attempt in store.attempts_by_id(session, missing).values():
            job = jobs[attempt["job"]]
            if attempt["state"] == "running":
                moves.end(attempt, job, ending_of({"cause": "agent_record_missing"}, [], {}))
            elif attempt["state"] == "submitted":  # its gang was not complete, so it has not begun
                moves.end(attempt, job, Ending("returned", "代理没有这个成员的记录，命令没有开始"))
        moves.write()


def _with_clock(told: Row, now: datetime) -> Row:
    """How far the agent's clock is ahead of this one, in place of what it showed; the way here makes it look behind."""
    kept = {name: value for name, value in told.items() if name not in ("clock", "clock_ahead_s")}
    try:
        shown = datetime.fromisoformat(str(told.get("clock", "")))
        return kept | {"clock_ahead_s": round((shown - now).total_seconds(), 3)}
    except (ValueError, TypeError, OverflowError):  # no time, or one without its offset from UTC
        return kept


def _staged(session: Session, claims: list[Row], attempts: Mapping[str, Row]) -> list[Row]:
    """The claims of attempts whose data are there; the others ask again."""
    with_data = [row for item in claims if (row := attempts.get(item["attempt"])) is not None and row["data"]]
    if not with_data:
        return claims
    waiting = carrying.unstaged(session, with_data)
    return [item for item in claims if item["attempt"] not in waiting]


def _wait(moves: Moves, item: Mapping[str, Any], attempts: Mapping[str, Row], jobs: Mapping[str, Row]) -> None:
    """Keeps why an attempt waits in its engine; one that has claimed or ended meanwhile waits no more."""
    attempt = attempts.get(item["attempt"])
    job = jobs.get(states.job_of(item["attempt"]))
    if attempt is None or job is None or job["attempt"] != attempt["epoch"]:
        return
    if item.get("notice"):
        if job["state"] == "running" and job["cancel_at"] is None:
            moves.note(job, reason=item["reason"], reason_code="engine_notice")
        return
    if job["state"] != "starting":
        return
    if attempt["state"] == "submitting":
        moves.attempt(attempt, "submitted")
    if attempt["state"] == "submitted":
        moves.note(job, reason=item["reason"], reason_code="engine_queue")


def _end(moves: Moves, item: Mapping[str, Any], attempt: Row | None, jobs: Mapping[str, Row]) -> None:
    """Ends what the agent says has ended; an attempt that is not its own, or has ended before, is only acknowledged."""
    job = jobs.get(states.job_of(item["attempt"]))
    if attempt is None or job is None or attempt["state"] in ("ended", "prepared"):
        return
    if attempt["nonce"] is not None and attempt["nonce"] != item["nonce"]:
        return
    record = item["record"]
    limits = {**job["spec"]["resources"], "time_limit_s": job["spec"]["time_limit_s"], **record.get("limits", {})}
    ending: Ending = ending_of(record, list(item["missing"]), limits)
    usage = {
        name: record[name]
        for name in ("run_s", "cpu_s", "peak_memory_mb", "log_bytes", "log_dropped_bytes", "partner_job")
        if record.get(name) is not None
    }
    moves.end(attempt, job, ending, usage=usage, outputs=item["outputs"])
