"""Submitting jobs: everything that can be known to be wrong is said before a job queues."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from brain_kit import audit
from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.events import emit_all
from brain_kit.ids import new_id
from sqlalchemy.orm import Session

from compute_scheduler.clients import DatasetFacts, DatasetRights
from compute_scheduler.domain import dependencies
from compute_scheduler.domain.news import job_changed
from compute_scheduler.domain.spec import JobSpec
from compute_scheduler.service import admission, data
from compute_scheduler.service.errors import IdempotencyKeyReused, JobRefused, QueueFull
from compute_scheduler.service.tenancy import Actor
from compute_scheduler.settings import Settings
from compute_scheduler.store import accounts, lending
from compute_scheduler.store import jobs as store

Row = dict[str, Any]
Found = tuple[list[DatasetFacts], list[Row]]
"""Data sets that a job may read, and objections to the others."""
MOST_TOGETHER = 200
LATE = "deadline_profile"
QUEUED = "已排队，等待下一次调度"


@dataclass
class _Pending:
    """Jobs of one request that wait to be written."""

    actor: Actor
    rows: list[Row]
    done: threading.Event = field(default_factory=threading.Event)
    failure: BaseException | None = None


class Submissions:
    """Takes jobs in. Requests that come at the same time share a transaction, which costs a forced write to disk."""

    def __init__(self, database: Database, settings: Settings, rights: DatasetRights) -> None:
        self._database = database
        self._settings = settings
        self._rights = rights
        self._queue: deque[_Pending] = deque()
        self._leading = threading.Lock()

    def submit(
        self,
        actor: Actor,
        specs: Sequence[JobSpec],
        *,
        token: str,
        idempotency_key: str | None = None,
        lent: Row | None = None,
    ) -> tuple[list[Row], bool]:
        """Queues jobs, all or none; answers their rows and whether an earlier request had made them.

        token: the caller's own, by which the data hub is asked. lent: marks them as jobs of another brain (`lent.py`),
        which stand behind all others. Raises JobRefused with `errors` naming each field,
        RunningNotPermitted, NoQuota, QueueFull, IdempotencyKeyReused.
        """
        if lent is None:
            actor.check_may_run()
        keys = _keys(idempotency_key, len(specs))
        documents = [spec.document() for spec in specs]
        digests = ["" if key is None else _digest(document) for document, key in zip(documents, keys, strict=True)]
        earlier = self._earlier(actor, keys, digests)
        if earlier is not None:
            return earlier, True
        now = utc_now()
        known = [self._data(actor, spec, token) for spec in specs]
        warnings = self._check(actor, specs, documents, known, now, lent)
        rows = [
            self._row(actor, spec, document | {"digest": digest}, key, now, data.told(facts))
            for spec, document, digest, key, (facts, _) in zip(specs, documents, digests, keys, known, strict=True)
        ]
        for place, row in enumerate(rows):
            if lent is not None:
                row["priority"] = row["spec"]["priority"] = lent["priority"]
                row["spec"]["lent"] = lent
            if place in warnings:
                row |= {"reason": warnings[place][:500], "reason_code": LATE}
            named = [(name, dependencies.number_of(name)) for name in row["spec"]["after"]]
            row["spec"]["after"] = [name if number is None else rows[number]["id"] for name, number in named]
        try:
            self._write(_Pending(actor, rows))
        except sa.exc.IntegrityError:
            earlier = self._earlier(actor, keys, digests)
            if earlier is None:
                raise
            return earlier, True
        return rows, False

    def check(self, actor: Actor, spec: JobSpec, token: str) -> list[Row]:
        """Refuses what `submit` would refuse and keeps nothing; returns what is known of the data sets it reads."""
        actor.check_may_run()
        found = self._data(actor, spec, token)
        self._check(actor, [spec], [spec.document()], [found], utc_now())
        return data.told(found[0])

    def _check(
        self,
        actor: Actor,
        specs: Sequence[JobSpec],
        documents: Sequence[Row],
        found_data: Sequence[Found],
        now: datetime,
        lent: Row | None = None,
    ) -> dict[int, str]:
        """What is not refused but warned of, by the job's place. Raises JobRefused."""
        with self._database.reading() as session:
            with_running = any(spec.deadline is not None for spec in specs)
            datasets = {item.dataset for facts, _ in found_data for item in facts}
            hall = admission.load(session, actor, self._settings, now, with_running=with_running, datasets=datasets)
            waiting = store.queued_of(session, actor.org)
            files = {digest.sha256 for spec in specs for digest in spec.inputs.values()}
            known = accounts.known_files(session, actor.org, files) if files else set()
            before = store.states_of(session, {name for spec in specs for name in spec.after}, actor.org)
        most = self._settings.compute_scheduler_most_queued
        if waiting + len(specs) > most:
            raise QueueFull(
                f"已有 {waiting} 个作业在等待，上限 {most}；请等一些作业结束后再提交", waiting=waiting, limit=most
            )
        circular = dependencies.objections(specs)
        errors: list[Row] = []
        warnings: dict[int, str] = {}
        for number, spec in enumerate(specs):
            facts, unreadable = found_data[number]
            asked = documents[number] | {"time_limit_s": self.time_limit_s(spec), "data": data.told(facts)}
            found = hall.objections(spec, asked, now, is_lent=lent is not None)
            late = [item for item in found if item["code"] == LATE]
            if late and self._settings.compute_scheduler_late_jobs == "warn":
                warnings[number] = late[0]["reason"]
                found.remove(late[0])
            found += _file_objections(spec, known)
            found += [{"field": field, "reason": words} for place, field, words in circular if place == number]
            found += _dependency_objections(spec, before)
            found += unreadable
            errors += found if len(specs) == 1 else [item | {"job": number} for item in found]
        if errors:
            named = "；".join(f"{item['field']}：{item['reason']}" for item in errors[:5])
            raise JobRefused(f"作业不能提交：{named}"[:1000], errors=errors[:100])
        return warnings

    def _data(self, actor: Actor, spec: JobSpec, token: str) -> Found:
        """The data sets that a job reads, and what is wrong with those that it may not read."""
        found, errors = [], []
        for place, item in enumerate(spec.datasets):
            facts = self._rights.facts(item.dataset, item.version, actor.principal, token)
            if isinstance(facts, str):
                errors.append({"field": f"datasets.{place}", "reason": facts, "value": item.dataset})
            else:
                found.append(facts)
        return found, errors

    def time_limit_s(self, spec: JobSpec) -> int:
        """The time limit of a job, that of the settings when it names none."""
        return spec.time_limit_s or self._settings.compute_scheduler_time_limit_s

    def _row(self, actor: Actor, spec: JobSpec, document: Row, key: str | None, now: datetime, read: list[Row]) -> Row:
        """The job's row; document: its specification, of its own."""
        document["time_limit_s"] = self.time_limit_s(spec)
        if read:
            document["data"] = read
        return {
            "id": new_id("job"),
            "org": actor.org,
            "name": spec.name,
            "spec": document,
            "labels": spec.labels,
            "state": "queued",
            "reason": QUEUED,
            "reason_code": "",
            "predicted_start_at": None,
            "priority": spec.priority,
            "attempt": 0,
            "failures": 0,
            "returns": 0,
            "preemptions": 0,
            "exit_code": None,
            "outputs": {},
            "not_before_at": None,
            "cancel_at": None,
            "submitted_by": actor.principal.subject,
            "submitted_at": now,
            "queued_at": now,
            "started_at": None,
            "ended_at": None,
            "idempotency_key": key,
        }

    def _earlier(self, actor: Actor, keys: Sequence[str | None], digests: Sequence[str]) -> list[Row] | None:
        if keys[0] is None:
            return None
        with self._database.reading() as session:
            found = [store.by_idempotency(session, actor.org, key) for key in keys if key is not None]
        if not any(found):
            return None
        rows = [row for row in found if row is not None]
        if [row["spec"]["digest"] for row in rows] != list(digests):
            raise IdempotencyKeyReused("这个 Idempotency-Key 已用于另一份作业；请换一个键，或重发原来的内容")
        return rows

    def _write(self, pending: _Pending) -> None:
        self._queue.append(pending)
        while not pending.done.is_set():
            # Whoever leads may have taken the queue before this request joined it, so each takes its turn to lead.
            with self._leading:
                if not pending.done.is_set():
                    self._write_queue()
        if pending.failure is not None:
            raise pending.failure

    def _write_queue(self) -> None:
        taken: list[_Pending] = []
        try:
            with self._database.transaction() as session:
                while self._queue and len(taken) < MOST_TOGETHER:
                    taken.append(self._queue.popleft())
                _insert(session, taken)
        except sa.exc.IntegrityError as error:
            if len(taken) == 1:
                _settle(taken, error)
                return
            for item in taken:
                self._write_alone(item)
            return
        except BaseException as error:  # noqa: BLE001 - handed to everybody who waits for it
            _settle(taken or [self._queue.popleft()], error)
            return
        _settle(taken, None)

    def _write_alone(self, item: _Pending) -> None:
        """One of them uses an Idempotency-Key again; the others must not suffer."""
        try:
            with self._database.transaction() as session:
                _insert(session, [item])
        except BaseException as error:  # noqa: BLE001 - handed to the one who waits for it
            _settle([item], error)
        else:
            _settle([item], None)


def _insert(session: Session, taken: Sequence[_Pending]) -> None:
    rows = [row for item in taken for row in item.rows]
    store.insert_jobs(session, rows)
    lending.insert_lent(session, [_lent(row) for row in rows if "lent" in row["spec"]])
    emit_all(session, [job_changed(row) for row in rows])
    for item in taken:
        first = item.rows[0]
        detail = {"jobs": len(item.rows), "name": first["name"], "org": item.actor.org, "last": item.rows[-1]["id"]}
        audit.record(session, item.actor.principal, action="job.submit", object=first["id"], detail=detail)


def _lent(row: Row) -> Row:
    return {"job": row["id"], **{name: row["spec"]["lent"][name] for name in ("loan", "attempt", "holder")}}


def _settle(taken: Sequence[_Pending], failure: BaseException | None) -> None:
    for item in taken:
        item.failure = failure
        item.done.set()


def _keys(key: str | None, count: int) -> list[str | None]:
    if key is None:
        return [None] * count
    return [key] if count == 1 else [f"{key}#{number}" for number in range(count)]


def _digest(document: Row) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _dependency_objections(spec: JobSpec, states: Mapping[str, str]) -> list[Row]:
    """Jobs that it comes after and that are not there, or can no longer succeed."""
    errors = []
    for place, name in enumerate(spec.after):
        if dependencies.number_of(name) is not None:
            continue
        if name not in states:
            reason = "没有这个作业；只能依赖本机构已提交的作业"
        elif states[name] in ("failed", "cancelled"):
            reason = f"这个作业没有成功（{states[name]}），先重试它，或去掉这个依赖"
        else:
            continue
        errors.append({"field": f"after.{place}", "reason": reason, "value": name})
    return errors


def _file_objections(spec: JobSpec, known: set[str]) -> list[Row]:
    return [
        {"field": f"inputs.{name}.sha256", "reason": "没有这个文件，请先用 PUT /v1/files 上传", "value": item.sha256}
        for name, item in spec.inputs.items()
        if item.sha256 not in known
    ]
