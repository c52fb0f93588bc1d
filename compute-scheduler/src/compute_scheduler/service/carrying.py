"""The service's side of an agent that brings data to its centre: what there is, the bytes, how far it is.

Every byte is asked of the data hub as the organisation whose job needs it, and only while the transfer runs and its
rule allows the centre: an agent's key by itself opens nothing.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.problems import Problem, problem_from
from sqlalchemy.orm import Session

from compute_scheduler.clients import VersionFiles
from compute_scheduler.domain import states
from compute_scheduler.domain.data import Need
from compute_scheduler.domain.transfers import ALIVE, rate_at, words
from compute_scheduler.service import data, transfers
from compute_scheduler.service.errors import DataStays, TransferEnded, VersionGone
from compute_scheduler.service.metrics import TransferMetrics
from compute_scheduler.service.moves import Moves
from compute_scheduler.settings import Settings
from compute_scheduler.store import jobs as job_store
from compute_scheduler.store import network as replica_store
from compute_scheduler.store import transfers as store

Row = dict[str, Any]
AGENT = "agent"
STAGED = "staging"
_UNCLAIMED = ("prepared", "submitting", "submitted")


@dataclass(frozen=True)
class Carriage:
    """Serves manifests and bytes of the transfers to a centre."""

    database: Database
    settings: Settings
    hub: VersionFiles
    metrics: TransferMetrics

    def manifest(self, centre: str, transfer: str) -> Row:
        """The files of a transfer with the rate that it may take. Raises TransferEnded, DataStays, VersionGone."""
        row = self._running(centre, transfer)
        try:
            found = self.hub.manifest(row["dataset"], row["version"], row["org"])
        except Problem as problem:
            raise _gone(row, problem) from problem
        if found["view"] != row["view"]:
            raise VersionGone(f"组织 {row['org']} 对数据集 {row['dataset']} 的可见范围已改变，请重新提交作业")
        now = utc_now()
        with self.database.transaction() as session:
            locked = store.one(session, transfer, lock=True)
            if locked is None or locked["state"] not in ALIVE:
                raise _ended(transfer, locked)
            is_other = locked["bytes"] != found["bytes"]
            store.save(session, transfer, bytes=found["bytes"], sha256=found["sha256"], updated_at=now)
            if is_other and locked["path"]:
                transfers.rebook(session, self.settings, now, anew=transfer)
            row = store.one(session, transfer) or row
        return found | {"transfer": transfer, "rate": _rate(row, now)}

    def read(self, centre: str, transfer: str, name: str, offset: int, length: int) -> tuple[Generator[bytes], int]:
        """(bytes of a stretch of a file, how many). Raises TransferEnded, DataStays, VersionGone, Unavailable."""
        row = self._running(centre, transfer)
        stack = ExitStack()
        try:
            answer = stack.enter_context(
                self.hub.read(row["dataset"], row["version"], row["org"], name, offset, length)
            )
            if answer.status >= 400:
                raise _gone(row, _problem(answer.status, b"".join(answer.iter_bytes())))
        except BaseException:
            stack.close()
            raise
        return self._counted(transfer, answer.iter_bytes(), stack), int(answer.headers["content-length"])

    def _running(self, centre: str, transfer: str) -> Row:
        with self.database.reading() as session:
            row = store.one(session, transfer)
            if row is None or row["centre"] != centre or row["state"] not in ALIVE:
                raise _ended(transfer, row if row is not None and row["centre"] == centre else None)
            ground = data.load(session, self.settings, [row["dataset"]], utc_now())
        allowed = ground.atlas.allowed(Need(row["dataset"], row["version"], None, row["classification"]))
        if allowed is not None and centre not in allowed:
            raise DataStays(f"数据不出域：数据集 {row['dataset']} 不能送到中心 {centre}")
        return row

    def _counted(self, transfer: str, chunks: Iterable[bytes], stack: ExitStack) -> Generator[bytes]:
        sent = 0
        try:
            for chunk in chunks:
                sent += len(chunk)
                yield chunk
        finally:
            stack.close()
            self.metrics.sent.inc(sent)
            with self.database.transaction() as session:
                store.add_sent(session, transfer, sent)


def jobs_of(session: Session, items: Iterable[Mapping[str, Any]]) -> list[str]:
    """The jobs that wait for the transfers that an agent speaks of."""
    waiting = store.users(session, [item["transfer"] for item in items])
    return sorted({states.job_of(attempt) for attempts in waiting.values() for attempt in attempts})


def take(
    moves: Moves, centre: str, items: Iterable[Mapping[str, Any]], jobs: Mapping[str, Row], metrics: TransferMetrics
) -> list[Row]:
    """Keeps what an agent says of its transfers; answers for each its state and rate (bytes a second, null: any).

    items: {transfer, state, done_bytes, sha256, code, detail}. jobs: those of `jobs_of`, locked.
    """
    answers, touched = [], []
    for item in items:
        row = store.one(moves.session, item["transfer"], lock=True)
        if row is None or row["centre"] != centre:
            answers.append({"transfer": item["transfer"], "state": "cancelled", "rate": None, "reason": "没有这次传输"})
            continue
        if row["state"] in ALIVE:
            _note(moves.session, row, item, moves.now, metrics)
            touched.append(row["id"])
        answers.append(
            {"transfer": row["id"], "state": row["state"], "rate": _rate(row, moves.now), "reason": row["reason"]}
        )
    _tell_jobs(moves, touched, jobs)
    return answers


def unstaged(session: Session, attempts: Iterable[Row]) -> set[str]:
    """Of these attempts those whose data are not all there."""
    waiting = [row["id"] for row in attempts if any(item["transfer"] for item in row["data"] or ())]
    found = store.of_attempts(session, waiting)
    return {name for name, rows in found.items() if any(row["state"] != "done" for row in rows)}


def drop_replicas(session: Session, centre: str, gone: Iterable[Mapping[str, Any]]) -> None:
    """Forgets copies that the centre's agent no longer has."""
    for item in gone:
        replica_store.remove_replica(session, {**item, "centre": centre})


def keep_only(session: Session, centre: str, held: Iterable[Mapping[str, Any]]) -> None:
    """Forgets the copies that the agent had registered and does not name any more."""
    names = {(item["dataset"], item["version"], item["view"]) for item in held}
    for row in replica_store.replicas_at(session, centre, AGENT):
        if row["state"] == "ready" and (row["dataset"], row["version"], row["view"]) not in names:
            replica_store.remove_replica(session, row)


def _note(session: Session, row: Row, item: Mapping[str, Any], now: datetime, metrics: TransferMetrics) -> None:
    if row["state"] == "booked":
        transfers.settle(session, row, "moving", now)
    done = min(int(item["done_bytes"]), row["bytes"] if row["bytes"] is not None else int(item["done_bytes"]))
    store.save(session, row["id"], done_bytes=done, updated_at=now)
    row["done_bytes"] = done
    if item["state"] == "moving":
        return
    code, detail = item["code"], item["detail"]
    if item["state"] == "done" and item["sha256"] == row["sha256"]:
        transfers.settle(session, row, "done", now)
        _register(session, row, now, "ready", "")
    else:
        code = code or "checksum_mismatch"
        transfers.settle(session, row, "failed", now, code=code, reason=detail or "整体的 SHA-256 与清单不符")
        if code == "checksum_mismatch":
            _register(session, row, now, "bad", detail)
    metrics.ended.labels(row["state"]).inc()


def _register(session: Session, row: Row, now: datetime, state: str, note: str) -> None:
    key = {name: row[name] for name in store.KEY}
    values: Row = {"bytes": row["bytes"] or 0, "sha256": row["sha256"], "state": state, "note": note[:300]}
    if state == "ready":
        values["used_at"] = now
    replica_store.save_replica(session, {**key, **values, "updated_by": AGENT, "updated_at": now})


def _tell_jobs(moves: Moves, touched: list[str], jobs: Mapping[str, Row]) -> None:
    """Jobs that wait say how much of their data has arrived and when the rest is expected."""
    waiting = store.users(moves.session, touched)
    attempts = sorted({attempt for names in waiting.values() for attempt in names})
    rows = job_store.attempts_by_id(moves.session, attempts)
    found = store.of_attempts(moves.session, attempts)
    for name, attempt in rows.items():
        job = jobs.get(attempt["job"])
        if job is None or attempt["state"] not in _UNCLAIMED or job["attempt"] != attempt["epoch"]:
            continue
        if attempt["state"] == "submitting":  # it has come, so it need not be handed out again
            moves.attempt(attempt, "submitted")
        open_ones = transfers.progress_of(found[name])
        if open_ones:
            ends = [item.finish_at for item in open_ones]
            last = None if None in ends else max(end for end in ends if end is not None)
            moves.note(job, reason=words(open_ones), reason_code=STAGED, predicted_start_at=last)
        else:
            moves.note(job, reason="数据已到齐，等待代理启动", reason_code="", predicted_start_at=None)


def _rate(row: Row, now: datetime) -> int | None:
    """Bytes a second."""
    rate = rate_at(data.spans_of(row), data.ms_of(now))
    return None if rate is None else rate * 1000


def _ended(transfer: str, row: Row | None) -> TransferEnded:
    why = f"（{row['reason']}）" if row is not None and row["reason"] else ""
    return TransferEnded(f"传输 {transfer[:40]} 已结束{why}")


def _gone(row: Row, problem: Problem) -> Problem:
    """What the hub's refusal means to the transfer; trouble that may pass is left as it is."""
    if problem.status >= 500 or problem.status == 429:
        return problem
    return VersionGone(f"数据集 {row['dataset']} 的版本 {row['version']} 读不到：{problem.detail}"[:400])


def _problem(status: int, content: bytes) -> Problem:
    try:
        return problem_from(status, json.loads(content))
    except ValueError:
        return problem_from(status, None)
