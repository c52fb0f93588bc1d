"""Computing a run: versions fixed once, one query a value, one transaction a computation.

The simple specification: for each computation and period ask the query over the fixed versions, judge its row, append
the value. What makes it safe to kill: versions are stored with the run before the first query; the values of one
computation, their lineage and the progress are one transaction; a run that goes on after a crash skips what is there.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from brain_kit.events import emit
from brain_kit.problems import Problem, RateLimited, Unavailable
from brain_kit.service import Worker
from sqlalchemy.orm import Session

from evaluation.clients import DatasetVersion, Warehouse
from evaluation.domain.computations import Computation, Query, Scope, computations
from evaluation.domain.outcome import Outcome, failed, judge, judge_statistics, unanswerable, unregistered
from evaluation.domain.periods import Period, parse_period
from evaluation.service import requests
from evaluation.service.clusters import known_cluster, scope_of
from evaluation.service.lineage_events import Computed, lineage_event
from evaluation.service.version_pins import VersionPins
from evaluation.settings import Settings
from evaluation.store import runs as store
from evaluation.store import values as value_store

TRIES = 6
FIRST_PAUSE_S = 0.5

log = structlog.get_logger()


class RunLost(Exception):
    """Another worker holds the run, or it was ended: this one stops without a trace."""


class StopAsked(Exception):
    """The process ends: the run goes back to the queue."""


@dataclass(frozen=True)
class Held:
    """A run that this worker holds: its id, epoch, scope and fixed versions (None: not registered)."""

    id: str
    epoch: int
    cluster: str
    scope: Scope
    versions: dict[str, DatasetVersion | None]


@dataclass(frozen=True)
class Answer:
    """The outcome of one value with the query behind it."""

    period: str
    outcome: Outcome
    query: Query | None


class Runner:
    """Takes runs one after the other; any number of them may work on one database."""

    def __init__(self, database: Database, warehouse: Warehouse, settings: Settings) -> None:
        self._database = database
        self._warehouse = warehouse
        self._settings = settings
        self._pins = VersionPins(database, warehouse, settings.evaluation_sweep_s)

    def worker(self) -> Worker:
        """The loop as a worker of the service."""
        return Worker("indicators", "periodic", self.run)

    def run(self, stop: threading.Event) -> None:
        """Queues what commits have touched and computes what waits, until stopped."""
        while not stop.is_set():
            requests.queue_touched(self._database, self._settings, utc_now())
            if not self.work_once(stop):
                stop.wait(self._settings.evaluation_poll_s)

    def work_once(self, stop: threading.Event) -> bool:
        """Computes the oldest run that waits; False when none does."""
        now = utc_now()
        with self._database.transaction() as session:
            row = store.claim(session, now, now + timedelta(seconds=self._settings.evaluation_lease_s))
            scope = None if row is None else scope_of(known_cluster(session, row.cluster))
        if row is None or scope is None:
            return False
        try:
            self._compute(row, scope, stop)
        except RunLost:
            log.info("run_lost", run=row.id, epoch=row.epoch)
        except StopAsked:
            self._end(row.id, row.epoch, "queued", "进程停止，等待接着计算")
        except Problem as problem:
            log.warning("run_failed", run=row.id, code=problem.code, detail=problem.detail)
            self._end(row.id, row.epoch, "failed", f"没有算完：{problem.detail}")
        self._sweep()
        return True

    def _sweep(self) -> None:
        try:
            self._pins.sweep_if_due()
        except Problem as problem:  # the data hub is away: the next one does it
            log.warning("sweep_put_off", code=problem.code)

    def _compute(self, row: Any, scope: Scope, stop: threading.Event) -> None:
        held = Held(row.id, row.epoch, row.cluster, scope, self._fixed_versions(row, stop))
        self._patiently(lambda: self._pins.keep(held.versions.values()), stop)
        with self._database.reading() as session:
            written = value_store.written_by(session, row.id)
        work = requests.work_of(row.request)
        with ThreadPoolExecutor(self._settings.evaluation_parallel, thread_name_prefix="indicators") as pool:
            for computation, texts in work.items():
                periods = [text for text in texts if (computation, text) not in written]
                if not periods:
                    continue
                known = computations()[computation]
                if self._save(held, known, self._answers(pool, held, known, periods, stop)):
                    self._end(row.id, row.epoch, "cancelled", "已取消；取消前算出的值保留")
                    return
                if row.trigger == "commit" and self._somebody_waits():
                    self._end(row.id, row.epoch, "queued", "让位给人工要求的计算，随后接着算")
                    return
        self._finish(held)

    def _fixed_versions(self, row: Any, stop: threading.Event) -> dict[str, DatasetVersion | None]:
        """The versions stored with the run, else the newest ones, stored before the first query."""
        if row.versions is not None:
            return {name: None if found is None else DatasetVersion(**found) for name, found in row.versions.items()}
        known = computations()
        wanted = sorted({dataset for name in requests.work_of(row.request) for dataset in known[name].datasets})
        versions: dict[str, DatasetVersion | None]
        versions = self._patiently(lambda: self._warehouse.newest_versions(wanted), stop)
        stored = {name: None if found is None else found.as_dict() for name, found in versions.items()}
        self._hold(row.id, row.epoch, {"versions": stored})
        return versions

    def _answers(
        self, pool: ThreadPoolExecutor, held: Held, computation: Computation, periods: Sequence[str], stop: Any
    ) -> list[Answer]:
        """The answers of one computation, the lease renewed while they take long."""
        futures: list[Future[Answer]] = [
            pool.submit(self._answer, held, computation, period, stop) for period in periods
        ]
        pending: set[Future[Answer]] = set(futures)
        try:
            while pending:
                _, pending = wait(pending, timeout=self._settings.evaluation_lease_s / 3)
                if pending:
                    self._hold(held.id, held.epoch, {})
        finally:
            for future in pending:
                future.cancel()
        return [future.result() for future in futures]

    def _answer(self, held: Held, computation: Computation, text: str, stop: threading.Event) -> Answer:
        if computation.source == "statistics":
            body = self._patiently(self._warehouse.statistics, stop)
            return Answer(text, judge_statistics(computation, body), None)
        period = parse_period(text)
        query = computation.query(period, held.scope)
        gone = next((name for name in computation.datasets if held.versions.get(name) is None), None)
        outcome = unanswerable(computation, period, held.scope)
        if outcome is None and gone is not None:
            outcome = unregistered(computation, gone)
        if outcome is None:
            outcome = self._asked(held, computation, period, query, stop)
        return Answer(text, outcome, query)

    def _asked(
        self, held: Held, computation: Computation, period: Period, query: Query, stop: threading.Event
    ) -> Outcome:
        versions = _known_versions(held, computation)
        try:
            rows = self._patiently(lambda: self._warehouse.query(query.sql, query.parameters, versions), stop)
        except (Unavailable, RateLimited):
            raise
        except Problem as problem:
            return failed(computation, problem.code, problem.detail)
        return judge(computation, period, held.scope, rows[0])

    def _patiently(self, ask: Any, stop: threading.Event) -> Any:
        """Asks again while the data hub is away or busy. Raises its problem after the last try, StopAsked."""
        pause_s = FIRST_PAUSE_S
        for left in reversed(range(TRIES)):
            if stop.is_set():
                raise StopAsked
            try:
                return ask()
            except (Unavailable, RateLimited) as problem:
                if left == 0:
                    raise
                stop.wait(max(pause_s, min(float(problem.members.get("retry_after_s") or 0), 10.0)))
                pause_s *= 2
        raise AssertionError("unreachable")

    def _save(self, held: Held, computation: Computation, answers: list[Answer]) -> bool:
        """One transaction: values, lineage, progress. True when a cancel was asked for."""
        now = utc_now()
        texts = {digest_of(answer.query.sql): answer.query.sql for answer in answers if answer.query is not None}
        sources = [
            (found or DatasetVersion(name, None)).as_dict()
            for name, found in ((name, held.versions.get(name)) for name in computation.datasets)
        ]
        rows = [value_row(held, computation, answer, sources, now) for answer in answers]
        registered = [source for source in sources if held.versions.get(source["dataset"]) is not None]
        computed = Computed(held.id, held.cluster, computation, [row["period"] for row in rows], registered, now)
        failure = next((row["reason"] for row in rows if row["reason"]), None)
        all_failed = all(row["value"] is None for row in rows)
        with self._database.transaction() as session:
            current = self._progress(session, held, len(rows), sum(row["value"] is None for row in rows))
            value_store.append_values(session, rows, texts)
            emit(session, lineage_event(computed, texts, failure if all_failed else None))
        return bool(current.cancel_requested)

    def _progress(self, session: Session, held: Held, done: int, without: int) -> Any:
        row = store.run_row(session, held.id)
        if row is None:
            raise RunLost
        lease = utc_now() + timedelta(seconds=self._settings.evaluation_lease_s)
        values = {"done": row.done + done, "without_value": row.without_value + without, "lease_until": lease}
        current = store.hold(session, held.id, held.epoch, values)
        if current is None:
            raise RunLost
        return current

    def _finish(self, held: Held) -> None:
        with self._database.reading() as session:
            row = store.run_row(session, held.id)
        if row is None:
            raise RunLost
        words = f"算完 {row.done} 个值" + (
            f"，其中 {row.without_value} 个没有值，原因见各指标" if row.without_value else ""
        )
        self._end(held.id, held.epoch, "succeeded", words)

    def _somebody_waits(self) -> bool:
        with self._database.reading() as session:
            return store.somebody_waits(session)

    def _hold(self, run: str, epoch: int, values: dict[str, Any]) -> None:
        lease = utc_now() + timedelta(seconds=self._settings.evaluation_lease_s)
        with self._database.transaction() as session:
            if store.hold(session, run, epoch, values | {"lease_until": lease}) is None:
                raise RunLost

    def _end(self, run: str, epoch: int, state: str, reason: str) -> None:
        ended = None if state == "queued" else utc_now()
        with self._database.transaction() as session:
            store.hold(session, run, epoch, {"state": state, "reason": reason[:1000], "ended_at": ended})


def value_row(
    held: Held, computation: Computation, answer: Answer, sources: list[dict[str, Any]], now: Any
) -> dict[str, Any]:
    """A computed value as it is stored."""
    outcome = answer.outcome
    return {
        "run": held.id,
        "computation": computation.id,
        "cluster": held.cluster,
        "period": answer.period,
        "value": outcome.value,
        "numerator": outcome.numerator,
        "denominator": outcome.denominator,
        "unit": outcome.unit,
        "reason_code": outcome.reason_code,
        "reason": outcome.reason,
        "as_of": outcome.as_of,
        "query_digest": digest_of(answer.query.sql) if answer.query else None,
        "parameters": answer.query.parameters if answer.query else {},
        "sources": sources,
        "detail": {
            "rows_used": outcome.rows_used,
            "missing_months": list(outcome.missing_months),
            "parts": [{"label": part.label, "value": part.value, "unit": part.unit} for part in outcome.parts],
            "notes": list(outcome.notes),
            "at": rfc3339(now),
        },
        "computed_at": now,
    }


def digest_of(sql: str) -> str:
    """SHA-256 of a query's text."""
    return hashlib.sha256(sql.encode()).hexdigest()


def _known_versions(held: Held, computation: Computation) -> dict[str, str]:
    found = {name: held.versions.get(name) for name in computation.datasets}
    return {name: item.version for name, item in found.items() if item is not None and item.version is not None}
