"""Ask the warehouse in SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pyarrow as pa
from brain_kit.audit import record
from brain_kit.auth import Principal
from brain_kit.database import Database
from brain_kit.ids import new_id
from brain_kit.problems import InvalidInput

from data_hub.domain.query.problems import QueryUnknown, SizeLimit
from data_hub.domain.query.statement import Parameters, Statement, check_parameters
from data_hub.engine.query_engine import Answer, QueryJob
from data_hub.engine.query_results.kept import KeptHead, KeptResults
from data_hub.engine.query_results.values import json_rows, unique_names
from data_hub.service.query.exports import Export, ExportForm, write_export
from data_hub.service.query.history import QueryHistory
from data_hub.service.query.opening import open_tables
from data_hub.service.query.running import Gone, Runner, RunningQueries, RunningQuery, running_query
from data_hub.service.readable import ReadableTable, ReadableTables, scope_of

_ID = re.compile(r"[A-Za-z0-9_-]{8,64}\Z")


@dataclass(frozen=True)
class QueryLimits:
    """page_rows: of a JSON page unless the caller says less or more; kept_rows: of a JSON result over all its pages."""

    page_rows: int = 1_000
    max_page_rows: int = 10_000
    kept_rows: int = 1_000_000
    export_rows: int = 5_000_000
    export_bytes: int = 2 << 30


@dataclass(frozen=True)
class QueryRequest:
    """What a caller asks: SQL, its parameters, rows of a page, an id of her own to cancel by, versions to read."""

    sql: str
    parameters: Parameters | None = None
    limit: int | None = None
    id: str | None = None
    versions: Mapping[str, str] | None = None


class Queries:
    """The query API's use cases."""

    def __init__(
        self,
        database: Database,
        runner: Runner,
        tables: ReadableTables,
        kept: KeptResults,
        history: QueryHistory,
        limits: QueryLimits,
    ) -> None:
        self._database = database
        self._runner = runner
        self._tables = tables
        self._kept = kept
        self._history = history
        self._limits = limits
        self._running = RunningQueries(history)

    def page(self, caller: Principal, request: QueryRequest, gone: Gone) -> dict[str, Any]:
        """Run a query; its first page of rows as JSON. Raises a QueryRefused, a QueryFailed, or a limit's problem."""
        size = self._page_size(request.limit)
        with self._asked(caller, request, "json", gone) as (query, statement, tables):
            job = QueryJob(request.sql, request.parameters, scope_of(tables), self._limits.kept_rows)
            check_parameters(statement, request.parameters)
            snapshots = {table.name: table.snapshot for table in tables}
            with self._runner.answer(caller.org, job, query.control) as answer:
                columns = _unique(answer.columns)
                items, total, truncated = self._collect(query, answer, size, columns, snapshots)
            query.rows = total
        return {
            "id": query.id,
            "columns": columns,
            "items": items,
            "next": str(size) if total > len(items) else None,
            "rows": total,
            "truncated": truncated,
            "snapshots": snapshots,
            "elapsed_ms": round(query.elapsed_ms(), 1),
        }

    def export(self, caller: Principal, request: QueryRequest, form: ExportForm, gone: Gone) -> Export:
        """Run a query; all of its rows as a file. Raises what `page` raises, RowsLimit and SizeLimit."""
        with self._asked(caller, request, form.format, gone) as (query, statement, tables):
            check_parameters(statement, request.parameters)
            rows = min(request.limit or self._limits.export_rows, self._limits.export_rows)
            job = QueryJob(request.sql, request.parameters, scope_of(tables), rows)
            path = self._kept.export(query.id, form.format)
            with self._runner.answer(caller.org, job, query.control) as answer:
                if request.limit is not None and request.limit <= self._limits.export_rows:
                    answer.batches = _ended(answer)
                export = write_export(path, form, answer, max_rows=rows, max_bytes=self._limits.export_bytes)
            query.rows, export.id = export.rows, query.id
            with self._database.transaction() as session:
                detail = {"format": form.format, "rows": export.rows, "datasets": list(query.datasets)}
                record(session, caller, action="query.export", object=query.id, detail=detail)
        return export

    def next_page(self, caller: Principal, query_id: str, after: str, limit: int | None) -> dict[str, Any]:
        """A further page of a result. Raises QueryUnknown when it is not the caller's or no longer kept."""
        size = self._page_size(limit)
        if not after.isascii() or not after.isdigit() or len(after) > 12:
            raise InvalidInput("after 不是上一页 next 给出的值", field="after")
        head = self._kept.head(caller.subject, query_id)
        start = int(after)
        batches = self._kept.page(caller.subject, query_id, start, size)
        items = list(chain.from_iterable(json_rows(batch) for batch in batches))
        end = start + len(items)
        return {
            "id": query_id,
            "columns": head.columns,
            "items": items,
            "next": str(end) if items and end < head.rows else None,
            "rows": head.rows,
            "truncated": head.truncated,
            "snapshots": head.snapshots,
        }

    def cancel(self, caller: Principal, query_id: str) -> None:
        """Stop a running query of the caller; one that has ended stays as it is. Raises QueryUnknown."""
        if not self._running.cancel(caller.subject, query_id) and not self._history.knows(caller.subject, query_id):
            raise QueryUnknown(f"没有查询 {query_id}")

    def history(self, caller: Principal, limit: int, after: str | None) -> dict[str, Any]:
        """The caller's running queries (on the first page) and those that ended, newest first."""
        ended, cursor = self._history.page(caller.subject, limit, after)
        running = [] if after else self._running.of(caller.subject)
        return {"items": running + ended, "next": cursor}

    @contextmanager
    def _asked(
        self, caller: Principal, request: QueryRequest, kind: str, gone: Gone
    ) -> Iterator[tuple[RunningQuery, Statement, list[ReadableTable]]]:
        if request.id is not None and not _ID.match(request.id):
            raise InvalidInput("id 应为 8 到 64 位字母、数字、- 或 _", field="id")
        control = self._runner.control(gone)
        query = running_query(caller, request.id or new_id("qry"), request.sql, kind, control)
        with self._running.track(query, id_is_given=request.id is not None):
            statement = self._runner.engine.read(request.sql)
            tables = open_tables(self._tables, caller, statement, request.versions)
            query.datasets = tuple(table.name for table in tables)
            yield query, statement, tables

    def _collect(
        self,
        query: RunningQuery,
        answer: Answer,
        size: int,
        columns: list[dict[str, str]],
        snapshots: dict[str, str | None],
    ) -> tuple[list[dict[str, Any]], int, bool]:
        """The first page, the number of rows kept, and whether there were more than are kept."""
        names = [column["name"] for column in columns]
        held: list[pa.RecordBatch] = []
        count = 0
        for batch in answer.batches:
            held.append(batch.rename_columns(names))
            count += batch.num_rows
            if count > size:
                break
        items = list(chain.from_iterable(json_rows(batch) for batch in _first(held, size)))
        if count <= size:
            return items, count, answer.more
        kept, truncated = self._keep(query, chain(held, answer.batches), answer, KeptHead(columns, snapshots, 0, False))
        return items, kept, truncated

    def _keep(
        self, query: RunningQuery, batches: Iterator[pa.RecordBatch], answer: Answer, head: KeptHead
    ) -> tuple[int, bool]:
        file = self._kept.writer(query.subject, query.id)
        rows, full = 0, False
        try:
            for batch in batches:
                # Once the file is full the rest is only read, which costs little and lets the process be used again.
                if not full:
                    try:
                        file.write(batch)
                        rows += batch.num_rows
                    except SizeLimit:
                        rows += batch.num_rows
                        full = True
            file.close()
            truncated = full or answer.more
            self._kept.publish(query.subject, query.id, KeptHead(head.columns, head.snapshots, rows, truncated))
        finally:
            file.discard()
        return rows, truncated

    def _page_size(self, limit: int | None) -> int:
        if limit is None:
            return self._limits.page_rows
        if not 1 <= limit <= self._limits.max_page_rows:
            raise InvalidInput(f"limit 应在 1 到 {self._limits.max_page_rows} 之间", field="limit")
        return limit


def _unique(columns: list[dict[str, str]]) -> list[dict[str, str]]:
    names = unique_names([column["name"] for column in columns])
    return [column | {"name": name} for column, name in zip(columns, names, strict=True)]


def _first(batches: list[pa.RecordBatch], size: int) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch.slice(0, size)
        size -= min(size, batch.num_rows)


def _ended(answer: Answer) -> Iterator[pa.RecordBatch]:
    """The batches of an answer that was asked for with the caller's own limit: more rows are no error then."""
    yield from answer.batches
    answer.more = False
