"""Checks and runs queries in sandbox processes."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from brain_kit.sandbox import SandboxDied, SandboxPool, SandboxProcess, frames

from data_hub.domain.query.problems import (
    MemoryLimit,
    QueryCancelled,
    QueryFailed,
    QuerySyntax,
    QueryTooLarge,
    TimeLimit,
)
from data_hub.domain.query.statement import Parameters, Statement, check_length, read_statement
from data_hub.engine.sandbox.scope import Scope, hidden_paths

TICK_S = 0.1
GONE_CHECK_S = 0.25
CHECK_LIMIT_S = 5.0
KEPT_STATEMENTS = 1024
_ABSOLUTE = re.compile(r"(?:[a-z0-9]+://|/)[^\s\"',;()]*/[^\s\"',;()]*")
_MEMORY = frozenset({"OutOfMemoryException", "MemoryError", "ArrowMemoryError"})
# What these say is about the engine and its files, never about the caller's query.
_INTERNAL = frozenset({"IOException", "PermissionException", "InternalException", "FatalException", "HTTPException"})


@dataclass
class QueryControl:
    """When a running query must stop: at a time (monotonic seconds), when cancelled, when its caller went away."""

    deadline: float
    cancelled: threading.Event = field(default_factory=threading.Event)
    caller_gone: Callable[[], bool] = lambda: False
    _asked: float = field(default_factory=time.monotonic)

    def check(self) -> None:
        """Raises TimeLimit or QueryCancelled."""
        if self.cancelled.is_set():
            raise QueryCancelled("查询已被取消")
        if time.monotonic() >= self.deadline:
            raise TimeLimit("查询超过时间上限，已停止：请缩小范围、减少连接，或先聚合")
        # Asking costs a visit to the event loop; a query that is done by then never pays for it.
        if time.monotonic() - self._asked < GONE_CHECK_S:
            return
        self._asked = time.monotonic()
        if self.caller_gone():
            raise QueryCancelled("调用方已断开，查询已停止")


@dataclass(frozen=True)
class QueryJob:
    """A checked query with its scope. At most `max_rows` rows are computed."""

    sql: str
    parameters: Parameters | None
    scope: Scope
    max_rows: int


@dataclass
class Answer:
    """A result while it comes in. `rows`, `more` (there were more than max_rows) and `elapsed_ms` hold at the end."""

    columns: list[dict[str, str]]
    batches: Iterator[pa.RecordBatch]
    rows: int = 0
    more: bool = False
    elapsed_ms: float = 0.0


class QueryEngine:
    """Reads statements and runs jobs; safe for several threads."""

    def __init__(self, pool: SandboxPool) -> None:
        self.pool = pool
        self._statements: OrderedDict[str, Statement] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, sql: str) -> Statement:
        """What a text is, by the engine's own parser. Raises a QueryRefused."""
        check_length(sql)
        with self._lock:
            known = self._statements.get(sql)
            if known is not None:
                self._statements.move_to_end(sql)
                return known
        statement = self._parse(sql)
        with self._lock:
            self._statements[sql] = statement
            while len(self._statements) > KEPT_STATEMENTS:
                self._statements.popitem(last=False)
        return statement

    @contextmanager
    def run(self, job: QueryJob, control: QueryControl) -> Iterator[Answer]:
        """The answer of a job, read inside the block; leaving it early ends the query.

        Raises QueryFailed, MemoryLimit, TimeLimit, QueryCancelled, EngineUnavailable.
        """
        message = {
            "sql": job.sql,
            "parameters": job.parameters,
            "scope": job.scope.message(),
            "max_rows": job.max_rows,
        }
        try:
            with self.pool.lease(job.scope.key) as process:
                process.send(frames.RUN, message)
                answer = Answer(_columns(process, control, job.scope), iter(()))
                process.remember(job.scope.key)
                answer.batches = _batches(process, control, answer, job.scope)
                yield answer
        except SandboxDied as error:
            raise MemoryLimit("查询超出内存上限，已停止：请先聚合、减少列，或用 LIMIT") from error

    def _parse(self, sql: str) -> Statement:
        try:
            with self.pool.lease() as process:
                process.send(frames.CHECK, {"sql": sql})
                kind, payload = _next(process, QueryControl(time.monotonic() + CHECK_LIMIT_S))
            if kind == frames.ERROR:
                raise QuerySyntax(f"SQL 无法解析：{frames.parse(payload)['message']}")
            return read_statement(json.loads(payload))
        except (SandboxDied, TimeLimit, RecursionError) as error:
            raise QueryTooLarge("SQL 过于复杂，无法解析：请拆分") from error


def failure(error: dict[str, Any], scope: Scope) -> QueryFailed:
    """The problem behind an engine error, without any path of the platform in it."""
    kind, message = str(error.get("kind", "")), str(error.get("message", ""))
    if kind in _MEMORY or "failed to offload" in message or "Could not write file" in message:
        return MemoryLimit("查询超出内存或临时磁盘上限，已停止：请先聚合、减少列，或用 LIMIT")
    if kind in _INTERNAL or not message:
        return QueryFailed("查询引擎无法读取所需数据，请稍后重试；若持续出现请联系运营方", engine_error=kind)
    for path in hidden_paths(scope):
        message = message.replace(path, "数据文件")
    return QueryFailed(_ABSOLUTE.sub("…", message), engine_error=kind)


def _next(process: SandboxProcess, control: QueryControl) -> tuple[bytes, bytes]:
    while True:
        frame = process.receive(TICK_S)
        if frame is not None:
            return frame
        control.check()


def _columns(process: SandboxProcess, control: QueryControl, scope: Scope) -> list[dict[str, str]]:
    control.check()
    kind, payload = _next(process, control)
    if kind == frames.ERROR:
        raise failure(frames.parse(payload), scope)
    columns: list[dict[str, str]] = frames.parse(payload)["columns"]
    return columns


def _batches(process: SandboxProcess, control: QueryControl, answer: Answer, scope: Scope) -> Iterator[pa.RecordBatch]:
    while True:
        kind, payload = _next(process, control)
        if kind == frames.ERROR:
            raise failure(frames.parse(payload), scope)
        if kind == frames.DONE:
            end = frames.parse(payload)
            answer.rows, answer.more, answer.elapsed_ms = end["rows"], end["more"], end["elapsed_ms"]
            return
        with pa.ipc.open_stream(payload) as reader:
            yield from reader
        control.check()
