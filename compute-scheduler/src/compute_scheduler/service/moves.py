"""Changes of many jobs in one transaction: every state is checked against the tables, every change of it is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from brain_kit.events import emit_all
from sqlalchemy.orm import Session

from compute_scheduler.domain import states
from compute_scheduler.domain.binding import Holding, settled
from compute_scheduler.domain.fairshare import accrued
from compute_scheduler.domain.news import job_changed
from compute_scheduler.domain.outcomes import Ending, Next, ending_together, next_of
from compute_scheduler.domain.resources import Resources, resources
from compute_scheduler.domain.snapshot import Stage, Usage
from compute_scheduler.service import transfers
from compute_scheduler.store import accounts
from compute_scheduler.store import jobs as store

Row = dict[str, Any]
# Why a job ends that is stopped for good when its nodes are maintained.
ENDED_FOR = "maintenance_end"
USAGE_HALF_LIFE_S = 7 * 86_400.0


class Moves:
    """Collects what changes; `write` stores all of it and emits the events, in the caller's transaction."""

    def __init__(self, session: Session, now: datetime) -> None:
        self.session = session
        self.now = now
        self._attempts: dict[str, Row] = {}
        # Changed columns by id.
        self._job_changes: dict[str, Row] = {}
        self._attempt_changes: dict[str, Row] = {}
        self._new_attempts: list[Row] = []
        # Jobs that entered a state; whoever hears of one hears of the last.
        self._told: dict[str, Row] = {}
        self._segments: list[Row] = []
        self._demands: dict[str, Resources] = {}
        self._ended_with_data: dict[str, tuple[Row, Row]] = {}

    def job(self, job: Row, after: str, reason: str, **values: Any) -> None:
        """Moves a job to another state. Raises TransitionRefused."""
        states.check_job(job["state"], after)
        entered: Row = {"state": after, "reason": reason[:500], "reason_code": "", "predicted_start_at": None}
        if after in states.FINAL:
            entered["ended_at"] = self.now
        self.note(job, **(entered | values))
        self._told[job["id"]] = job

    def note(self, job: Row, **values: Any) -> None:
        """Changes a job within its state."""
        job |= values
        self._job_changes.setdefault(job["id"], {}).update(values)

    def attempt(self, attempt: Row, after: str, **values: Any) -> None:
        """Moves an attempt to another state. Raises TransitionRefused."""
        states.check_attempt(attempt["state"], after)
        self.note_attempt(attempt, **{"state": after, f"{after}_at": self.now, **values})

    def note_attempt(self, attempt: Row, **values: Any) -> None:
        """Changes an attempt within its state."""
        attempt |= values
        self._attempts[attempt["id"]] = attempt
        self._attempt_changes.setdefault(attempt["id"], {}).update(values)

    def prepare(
        self,
        job: Row,
        *,
        centre: str,
        nodes: Sequence[str],
        site: Row | None,
        fence: int,
        stage: Stage | None = None,
        holdings: Sequence[Holding] = (),
        data: Sequence[Row] = (),
    ) -> None:
        """Makes the next attempt of a queued job, one a member of a gang.

        nodes: that of each member. site: what the whole job costs there (`costs.kept`). stage: what bringing its data
        there was reckoned to take. holdings: what each member holds of its node's accelerators, when it holds any.
        data: what is brought to it (`Booking.book`).
        """
        epoch, is_gang = job["attempt"] + 1, len(nodes) > 1
        names = attempts_next(job, len(nodes))
        where = f"{centre} 的 {len(set(nodes))} 个节点（{len(nodes)} 个成员）" if is_gang else nodes[0]
        waits = "数据传输" if any(item["transfer"] for item in data) else "代理启动"
        self.job(job, "starting", f"已分配到 {where}，等待{waits}", attempt=epoch, exit_code=None)
        self._new_attempts += [
            {
                "id": name,
                "job": job["id"],
                "epoch": epoch,
                "rank": rank,
                "org": job["org"],
                "centre": centre,
                "node": node,
                "state": "prepared",
                "reason": "",
                "usage": {},
                "log_bytes": 0,
                "fence": fence,
                "site": site,
                "cancel": False,
                "stage": stage and {"bytes": stage.size, "seconds": stage.seconds, "yuan": stage.yuan},
                "accelerators": holdings[rank] if holdings else None,
                "data": list(data) or None,
                "prepared_at": self.now,
            }
            for rank, (node, name) in enumerate(zip(nodes, names, strict=True))
        ]

    def members(self, job: Row) -> list[Row]:
        """The attempts of a job's present epoch by rank, as they are with the changes so far."""
        rows = store.members(self.session, job["id"], job["attempt"])
        return [self._attempts.get(row["id"], row) for row in rows]

    def end(
        self, attempt: Row, job: Row, ending: Ending, *, usage: Row | None = None, outputs: Row | None = None
    ) -> None:
        """Ends an attempt: accounts for it, and takes its job to what follows.

        A gang goes on when its last member has ended; when one has not succeeded, the others are stopped.
        """
        is_gang = gang_of(job) > 1
        attempt = self._attempts.get(attempt["id"], attempt)
        if is_gang and attempt["state"] == "ended":
            return
        if attempt["preempted_for"] and ending.outcome == "cancelled" and job["cancel_at"] is None:
            by = attempt["preempted_for"]
            whom = f"维护窗口 {by}" if by.startswith("rsv_") else f"作业 {by}"
            words = f"为{whom} 让出资源（第 {job['preemptions'] + 1} 次），回到队列，保留排队次序"
            ending = Ending("preempted", words, ending.exit_code)
        self._end_attempt(attempt, job, ending, usage)
        if job["attempt"] != attempt["epoch"] or job["state"] in states.FINAL:
            return
        if is_gang:
            if ending.outcome == "succeeded" and not attempt["rank"]:
                self.note(job, outputs=outputs or {})
            members = self.members(job)
            if ending.outcome != "succeeded":
                self._stop_others(attempt, job, members)
            if any(member["state"] != "ended" for member in members):
                return
            ending = ending_together(
                [(row["rank"], Ending(row["outcome"], row["reason"], row["exit_code"])) for row in members]
            )
            outputs = job["outputs"]
        self._follow(job, ending, outputs)

    def _stop_others(self, attempt: Row, job: Row, members: Iterable[Row]) -> None:
        """A member that may have begun is stopped by its agent; one that has not will be refused."""
        for member in members:
            if states.is_claimed(member["state"]):
                self.note_attempt(member, cancel=True)
            elif member["state"] != "ended":
                ending = Ending("returned", f"同组成员 {attempt['rank']} 不能继续：{attempt['reason']}")
                self._end_attempt(member, job, ending, None)

    def _end_attempt(self, attempt: Row, job: Row, ending: Ending, usage: Row | None) -> None:
        began = attempt["running_at"]
        self.attempt(
            attempt,
            "ended",
            outcome=ending.outcome,
            reason=ending.reason[:500],
            exit_code=ending.exit_code,
            usage=usage or {},
            log_bytes=int((usage or {}).get("log_bytes", 0)),
        )
        if attempt["data"]:
            self._ended_with_data[attempt["id"]] = (attempt, job)
        if began is not None:
            self._account(attempt, job, began, usage or {})

    def _follow(self, job: Row, ending: Ending, outputs: Row | None) -> None:
        """Takes a job to what follows on its attempt's end."""
        step = next_of(
            ending,
            failures=job["failures"],
            returns=job["returns"],
            retries=job["spec"]["retries"],
            is_cancelled=job["cancel_at"] is not None,
        )
        values: Row = {"exit_code": ending.exit_code}
        if ending.outcome == "preempted":
            values["preemptions"] = job["preemptions"] + 1
        elif ending.outcome == "returned":
            values["returns"] = job["returns"] + 1
        elif ending.outcome != "succeeded":
            values["failures"] = job["failures"] + 1
        if step.state == "cancelled" and job["reason_code"] == "reclaimed":
            step = Next("cancelled", "出借方收回了算力，已停止")
        if step.state == "cancelled" and job["reason_code"] == ENDED_FOR:
            step = Next("cancelled", "维护窗口开始，按运维要求结束")
        if step.state == "queued" and ending.outcome != "returned" and "lent" in job["spec"]:
            # It has begun under an attempt of another brain, which decides whether it begins again.
            step = Next("cancelled", f"{ending.reason}；由借入方决定是否重新运行")
        if step.state == "queued":
            values["not_before_at"] = self.now + timedelta(seconds=step.pause_s)
            if ending.outcome not in ("returned", "preempted"):  # it has not failed, so it keeps its place
                values["queued_at"] = self.now
        values["outputs"] = (outputs or {}) if step.state == "succeeded" else {}
        self.job(job, step.state, step.reason, **values)

    def make_way(self, job: Row, by: str) -> None:
        """Stops a running job for another; one that was stopped or has ended meanwhile is left alone."""
        for attempt in self.members(job):
            if attempt["state"] == "running" and not attempt["cancel"]:
                self.note_attempt(attempt, cancel=True, preempted_for=by)
                self.note(job, reason=f"正在为作业 {by} 让出资源：等待命令结束", reason_code="preempted")
            elif attempt["state"] in ("prepared", "submitting", "submitted"):
                self.end(attempt, job, Ending("returned", f"为作业 {by} 让出资源，命令没有开始"))

    def write(self) -> None:
        """Stores everything that was collected."""
        store.insert_attempts(self.session, self._new_attempts)
        store.save_attempts(self.session, self._attempt_changes)
        store.save_jobs(self.session, self._job_changes)
        self._add_moved()
        accounts.insert_segments(self.session, self._segments)
        self._charge()
        emit_all(self.session, [job_changed(job) for job in self._told.values()])

    def _add_moved(self) -> None:
        """What ended attempts have brought to their centre is theirs to pay, also when they never ran."""
        if not self._ended_with_data:
            return
        owed = transfers.release(self.session, self._ended_with_data, self.now)
        for name in sorted(owed.keys() - {segment["attempt"] for segment in self._segments}):
            if owed[name]:
                self._account(*self._ended_with_data[name], self.now, {})
        for segment in self._segments:
            segment["moved_bytes"] = owed.get(segment["attempt"], 0)

    def _account(self, attempt: Row, job: Row, began: datetime, usage: Row) -> None:
        # The engine's own clock does not jump; the calendar of this machine may.
        wall_s = max(0.0, float(usage.get("run_s") or (self.now - began).total_seconds()))
        asked = job["spec"]["resources"]
        demand, holding = demand_of(job["spec"]), attempt["accelerators"]
        self._demands[attempt["id"]] = settled(demand, holding)[0] if holding else demand
        self._segments.append(
            {
                "attempt": attempt["id"],
                "job": job["id"],
                "org": job["org"],
                "centre": attempt["centre"],
                "node": attempt["node"],
                "outcome": attempt["outcome"],
                "started_at": began,
                "ended_at": self.now,
                "wall_s": wall_s,
                "core_s": wall_s * asked["cores"],
                "memory_mb_s": wall_s * asked["memory_mb"],
                "accelerator_s": {kind: wall_s * number for kind, number in amounts_held(asked, holding).items()},
                "cpu_s": float(usage.get("cpu_s") or 0.0),
                "moved_bytes": 0,
            }
        )

    def _charge(self) -> None:
        """Adds what ended to the decayed usage of each tenant, by which the plan shares fairly."""
        by_org: dict[str, list[Row]] = {}
        for segment in self._segments:
            by_org.setdefault(segment["org"], []).append(segment)
        for org in sorted(by_org):
            tenant = accounts.tenant(self.session, org, lock=True)
            usage = Usage(org, tenant["usage_as_of"].timestamp(), tenant["usage"]) if tenant else Usage(org, 0.0)
            for segment in by_org[org]:
                ended_at = segment["ended_at"].timestamp()
                began_at = ended_at - segment["wall_s"]
                usage = accrued(usage, self._demands[segment["attempt"]], began_at, ended_at, USAGE_HALF_LIFE_S)
            accounts.save_tenant(self.session, org, self.now, usage=dict(usage.resource_s), usage_as_of=self.now)


def amounts_held(asked: Row, holding: Holding | None) -> dict[str, float]:
    """Accelerators by kind: what an attempt holds, else what its job asks for."""
    if holding is None:
        return dict(asked["accelerators"])
    return {kind: held["amount"] for kind, held in holding.items()}


def attempts_next(job: Row, members: int) -> list[str]:
    """The ids that the next attempt of a job has, one a member."""
    epoch = job["attempt"] + 1
    return [states.attempt_id(job["id"], epoch, rank if members > 1 else None) for rank in range(members)]


def demand_of(spec: Row) -> Resources:
    """What a job asks for."""
    asked = spec["resources"]
    return _demand(asked["cores"], asked["memory_mb"], tuple(asked["accelerators"].items()))


@lru_cache(maxsize=10_000)
def _demand(cores: float, memory_mb: int, accelerators: tuple[tuple[str, float], ...]) -> Resources:
    return resources(cores, memory_mb, dict(accelerators))


def gang_of(job: Row) -> int:
    """How many members a job has."""
    return int(job["spec"].get("gang", 1))


def ids_of_jobs(attempts: Iterable[str]) -> list[str]:
    """The jobs of attempt ids."""
    return [states.job_of(attempt) for attempt in attempts]
