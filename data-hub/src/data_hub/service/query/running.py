"""Queries that run now, and the one way to run a job: admitted, limited in time, stopped when nobody waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from brain_kit.auth import Principal
from brain_kit.clock import rfc3339, utc_now
from brain_kit.problems import Problem

from data_hub.domain.query.problems import QueryCancelled, QueryIdInUse, QueryRefused, TimeLimit
from data_hub.engine.query_admission import Admission
from data_hub.engine.query_engine import Answer, QueryControl, QueryEngine, QueryJob
from data_hub.service.query.history import QueryHistory
from data_hub.service.query.tending import Tending

Gone = Callable[[], bool]


@dataclass
class RunningQuery:
    """A query between its arrival and its answer."""

    id: str
    subject: str
    org: str
    sql: str
    format: str
    control: QueryControl
    started_at: datetime = field(default_factory=utc_now)
    started: float = field(default_factory=time.monotonic)
    datasets: tuple[str, ...] = ()
    rows: int | None = None

    def elapsed_ms(self) -> float:
        """Milliseconds since it came."""
        return (time.monotonic() - self.started) * 1000

    def shown(self) -> dict[str, Any]:
        """The query as the history shows it."""
        return {
            "id": self.id,
            "sql": self.sql,
            "datasets": list(self.datasets),
            "format": self.format,
            "state": "running",
            "problem": None,
            "rows": None,
            "elapsed_ms": round(self.elapsed_ms(), 1),
            "started_at": rfc3339(self.started_at),
        }


class Runner:
    """Runs jobs one place each."""

    def __init__(self, engine: QueryEngine, admission: Admission, tending: Tending, *, limit_s: float) -> None:
        self.engine = engine
        self._admission = admission
        self._tending = tending
        self._limit_s = limit_s

    def control(self, gone: Gone) -> QueryControl:
        """A control whose time starts now."""
        self._tending.begin()
        return QueryControl(time.monotonic() + self._limit_s, caller_gone=gone)

    @contextmanager
    def answer(self, org: str, job: QueryJob, control: QueryControl) -> Iterator[Answer]:
        """The answer of a job, read inside the block. Raises what `Admission.place` and `QueryEngine.run` raise."""
        with self._admission.place(org, control), self.engine.run(job, control) as answer:
            yield answer


class RunningQueries:
    """The queries of this process, by credential and id; each ends in the history."""

    def __init__(self, history: QueryHistory) -> None:
        self._history = history
        self._running: dict[tuple[str, str], RunningQuery] = {}
        self._lock = threading.Lock()

    @contextmanager
    def track(self, query: RunningQuery, *, id_is_given: bool) -> Iterator[None]:
        """Make a query visible and cancellable during the block, and write how it ended into the history.

        Raises QueryIdInUse when the credential has used the id before.
        """
        key = (query.subject, query.id)
        used = id_is_given and self._history.knows(*key)
        with self._lock:
            if used or key in self._running:
                raise QueryIdInUse(f"查询编号 {query.id} 已经用过，请换一个", field="id")
            self._running[key] = query
        state, problem = "failed", None
        try:
            yield
            state = "done"
        except Problem as error:
            state, problem = _state_of(error), error.code
            raise
        finally:
            with self._lock:
                del self._running[key]
            self._history.add(_record(query, state, problem))

    def of(self, subject: str) -> list[dict[str, Any]]:
        """The credential's running queries, newest first."""
        with self._lock:
            mine = [query for query in self._running.values() if query.subject == subject]
        return [query.shown() for query in sorted(mine, key=lambda query: query.started, reverse=True)]

    def cancel(self, subject: str, query_id: str) -> bool:
        """Ask a running query of the credential to stop; False when there is none."""
        with self._lock:
            query = self._running.get((subject, query_id))
        if query is None:
            return False
        query.control.cancelled.set()
        return True


def running_query(caller: Principal, query_id: str, sql: str, kind: str, control: QueryControl) -> RunningQuery:
    """A query that a caller has just asked."""
    return RunningQuery(query_id, caller.subject, caller.org, sql, kind, control)


def _state_of(problem: Problem) -> str:
    kinds: tuple[tuple[type[Problem], str], ...] = (
        (QueryRefused, "refused"),
        (QueryCancelled, "cancelled"),
        (TimeLimit, "timed_out"),
    )
    return next((state for kind, state in kinds if isinstance(problem, kind)), "failed")


def _record(query: RunningQuery, state: str, problem: str | None) -> dict[str, Any]:
    return {
        "subject": query.subject,
        "id": query.id,
        "org": query.org,
        "sql": query.sql,
        "datasets": list(query.datasets),
        "format": query.format,
        "state": state,
        "problem": problem,
        "rows": query.rows,
        "elapsed_ms": query.elapsed_ms(),
        "started_at": query.started_at,
    }
