"""Read the rows of one data set: chosen columns, a filter, page after page, as of a time."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
from brain_kit.audit import record
from brain_kit.auth import Principal
from brain_kit.clock import parse_rfc3339
from brain_kit.database import Database
from brain_kit.ids import new_id
from brain_kit.problems import InvalidInput

from data_hub.domain.policy import OWNER_COLUMN
from data_hub.domain.query.filters import compile_filter
from data_hub.domain.versions import VersionInvalid, snapshot_of
from data_hub.engine.query_engine import Answer, QueryJob
from data_hub.engine.query_results.kept import KeptResults
from data_hub.engine.query_results.values import json_column, json_rows
from data_hub.engine.sandbox.scope import identifier, literal
from data_hub.service.query.exports import Export, ExportForm, write_export
from data_hub.service.query.history import CursorInvalid
from data_hub.service.query.queries import QueryLimits
from data_hub.service.query.running import Gone, Runner
from data_hub.service.readable import AsOf, ReadableTable, ReadableTables, scope_of, viewer_of

MAX_CURSOR_CHARACTERS = 4_000


@dataclass(frozen=True)
class RowsRequest:
    """columns: names, in the order wanted; empty: all. after: `next` of the page before. as_of: time or
    snapshot id. version: a fixed version, instead of as_of.
    """

    dataset: str
    columns: tuple[str, ...] = ()
    filter: str = ""
    limit: int | None = None
    after: str | None = None
    as_of: str | None = None
    version: str | None = None


@dataclass(frozen=True)
class _Cursor:
    """Where the next page begins: behind a key, or, without a key, at a position in a pinned snapshot."""

    snapshot: int | None
    key: tuple[Any, ...] = ()
    position: int = 0


class Rows:
    """The rows API's use cases."""

    def __init__(
        self, database: Database, runner: Runner, tables: ReadableTables, kept: KeptResults, limits: QueryLimits
    ) -> None:
        self._database = database
        self._runner = runner
        self._tables = tables
        self._kept = kept
        self._limits = limits

    def page(self, caller: Principal, request: RowsRequest, gone: Gone) -> dict[str, Any]:
        """A page of rows, ordered by key and owner. Raises DatasetUnknown, FilterRefused, CursorInvalid, InvalidInput,
        or what running a query raises.
        """
        size = self._page_size(request.limit)
        table, cursor = self._open(caller, request)
        columns = _chosen(table, request.columns)
        job = QueryJob(_page_sql(table, columns, request.filter, cursor, size), None, scope_of([table]), size + 1)
        with self._runner.answer(caller.org, job, self._runner.control(gone)) as answer:
            batches = list(answer.batches)
            shown = answer.columns[: len(columns)]
        batch = pa.Table.from_batches(batches).combine_chunks().to_batches()
        rows = batch[0] if batch else batches[0]
        page = rows.slice(0, size)
        return {
            "columns": shown,
            "items": json_rows(page.select(range(len(columns)))),
            "next": _next_cursor(table, request, cursor, page, len(columns)) if rows.num_rows > size else None,
            "snapshot": table.snapshot,
        }

    def export(self, caller: Principal, request: RowsRequest, form: ExportForm, gone: Gone) -> Export:
        """The rows as a file: one page when `limit` is given (Export.next is then the next one's cursor), else all.

        Raises what `page` raises, RowsLimit and SizeLimit.
        """
        table, cursor = self._open(caller, request)
        columns = _chosen(table, request.columns)
        query_id = new_id("exp")
        path = self._kept.export(query_id, form.format)
        control = self._runner.control(gone)
        if request.limit is None:
            sql, rows = _all_sql(table, columns, request.filter, cursor), self._limits.export_rows
        else:
            rows = self._page_size(request.limit)
            sql = _page_sql(table, columns, request.filter, cursor, rows)
        with self._runner.answer(caller.org, QueryJob(sql, None, scope_of([table]), rows), control) as answer:
            last = _Last(answer, len(columns))
            answer.batches = last.batches(is_page=request.limit is not None)
            export = write_export(path, form, answer, max_rows=rows, max_bytes=self._limits.export_bytes)
        if last.more and last.row is not None:
            export.next = _next_cursor(table, request, cursor, last.row, len(columns), rows)
        export.id, export.snapshot = query_id, table.snapshot
        detail = {"format": form.format, "rows": export.rows, "filter": bool(request.filter)}
        with self._database.transaction() as session:
            record(session, caller, action="dataset.export", object=table.name, detail=detail)
        return export

    def _open(self, caller: Principal, request: RowsRequest) -> tuple[ReadableTable, _Cursor | None]:
        cursor = _read_cursor(request.after, request.dataset) if request.after else None
        as_of = _wanted(request)
        if cursor is not None and cursor.snapshot is not None:
            as_of = cursor.snapshot
        table = self._tables.open(request.dataset, viewer_of(caller), as_of)
        if cursor is not None and len(cursor.key) != len(_order(table)):
            raise CursorInvalid("数据集的主键已改变，请从第一页重新读取", field="after")
        return table, cursor

    def _page_size(self, limit: int | None) -> int:
        if limit is None:
            return self._limits.page_rows
        if not 1 <= limit <= self._limits.max_page_rows:
            raise InvalidInput(f"limit 应在 1 到 {self._limits.max_page_rows} 之间", field="limit")
        return limit


class _Last:
    """Cuts the hidden key columns off the batches of an answer and remembers the last row."""

    def __init__(self, answer: Answer, width: int) -> None:
        self._answer = answer
        self._source = answer.batches
        self._width = width
        self.row: pa.RecordBatch | None = None
        self.more = False

    def batches(self, *, is_page: bool) -> Any:
        for batch in self._source:
            if batch.num_rows:
                self.row = batch.slice(batch.num_rows - 1)
            yield batch.select(range(self._width))
        if is_page:
            self.more, self._answer.more = self._answer.more, False


def _chosen(table: ReadableTable, wanted: Sequence[str]) -> list[str]:
    known = table.column_types
    if not wanted:
        return list(known)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        shown = "、".join(known)
        raise InvalidInput(
            f"没有列 {'、'.join(unknown)}；可用列：{shown}", field="columns", unknown=unknown, columns=list(known)
        )
    if len(set(wanted)) < len(wanted):
        raise InvalidInput("columns 中有重复的列", field="columns")
    return list(wanted)


def _order(table: ReadableTable) -> list[str]:
    """Columns that order the rows and tell any two apart; none when the data set has no key."""
    return [*table.contract.key, OWNER_COLUMN] if table.contract.key else []


def _page_sql(table: ReadableTable, columns: Sequence[str], filter_text: str, cursor: _Cursor | None, size: int) -> str:
    order = _order(table)
    hidden = [f"{identifier(name)} AS {identifier(f'__key_{number}')}" for number, name in enumerate(order)]
    sql = _select(table, [*map(identifier, columns), *hidden], _conditions(table, filter_text, cursor))
    if order:
        sql += f" ORDER BY {', '.join(identifier(name) for name in order)}"
    offset = cursor.position if cursor is not None and not order else 0
    return f"{sql} LIMIT {size + 1} OFFSET {offset}"


def _all_sql(table: ReadableTable, columns: Sequence[str], filter_text: str, cursor: _Cursor | None) -> str:
    sql = _select(table, [identifier(name) for name in columns], _conditions(table, filter_text, cursor))
    return f"{sql} OFFSET {cursor.position}" if cursor is not None and cursor.position else sql


def _select(table: ReadableTable, expressions: Sequence[str], conditions: Sequence[str]) -> str:
    name = f"{identifier(table.contract.warehouse)}.{identifier(table.contract.table)}"
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"SELECT {', '.join(expressions)} FROM {name}{where}"


def _conditions(table: ReadableTable, filter_text: str, cursor: _Cursor | None) -> list[str]:
    conditions = [compile_filter(filter_text, table.column_types)] if filter_text.strip() else []
    if cursor is not None and cursor.key:
        order = _order(table)
        kinds = table.column_types
        values = [
            f"CAST({literal(str(value))} AS {kinds[name]})" for name, value in zip(order, cursor.key, strict=True)
        ]
        # The first comparison says nothing new, but lets whole files and row groups be left out.
        conditions.append(f"{identifier(order[0])} >= {values[0]}")
        conditions.append(f"({', '.join(map(identifier, order))}) > ({', '.join(values)})")
    return conditions


def _next_cursor(
    table: ReadableTable,
    request: RowsRequest,
    cursor: _Cursor | None,
    page: pa.RecordBatch,
    width: int,
    rows: int | None = None,
) -> str:
    body: dict[str, Any] = {"d": table.name}
    order = _order(table)
    if order:
        last = page.slice(page.num_rows - 1)
        body["k"] = [json_column(last.column(width + number))[0] for number in range(len(order))]
    else:
        body["n"] = (cursor.position if cursor is not None else 0) + (page.num_rows if rows is None else rows)
    if not order or request.as_of or request.version or (cursor is not None and cursor.snapshot is not None):
        body["s"] = table.snapshot
    return base64.urlsafe_b64encode(json.dumps(body, ensure_ascii=False).encode()).decode()


def _read_cursor(after: str, dataset: str) -> _Cursor:
    try:
        if len(after) > MAX_CURSOR_CHARACTERS:
            raise ValueError("too long")
        body = json.loads(base64.b64decode(after.encode("ascii"), altchars=b"-_", validate=True))
        if body["d"] != dataset:
            raise ValueError("of another data set")
        key = tuple(body.get("k", ()))
        if not all(isinstance(value, str | int | float) for value in key):
            raise ValueError("not a key")
        snapshot = body.get("s")
        return _Cursor(None if snapshot is None else int(snapshot), key, max(0, int(body.get("n", 0))))
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error, RecursionError) as error:
        raise CursorInvalid("after 不是这个数据集上一页 next 给出的值，请从第一页重新读取", field="after") from error


def _wanted(request: RowsRequest) -> AsOf:
    if request.version:
        if request.as_of:
            raise VersionInvalid("version 与 as_of 只能用一个", field="version")
        return snapshot_of(request.version)
    return _moment(request.as_of) if request.as_of else None


def _moment(as_of: str) -> int | datetime:
    if as_of.isascii() and as_of.isdigit() and len(as_of) < 20:
        return int(as_of)
    try:
        return parse_rfc3339(as_of.strip().replace(" ", "+"))
    except ValueError as error:
        raise InvalidInput("as_of 应为带时区的时间（如 2026-01-02T03:04:05Z）或快照编号", field="as_of") from error
