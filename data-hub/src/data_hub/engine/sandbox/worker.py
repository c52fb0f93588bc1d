"""The sandbox process: `python -m data_hub.engine.sandbox.worker FD FOLDER LIMITS`.

It answers one request after the other on the socket FD. It knows no secret, has no environment, and holds no state
but scopes that can be built again, so the platform kills it whenever a query must end.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from brain_kit.sandbox import frames
from brain_kit.sandbox.limits import SandboxLimits
from brain_kit.sandbox.worker import serve

from data_hub.engine.sandbox.scope import Scope, scope_statements

BATCH_ROWS = 20_000
# After these the database is as it was; after any other error it is closed.
HARMLESS = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ConversionException,
    duckdb.InvalidInputException,
    duckdb.OutOfRangeException,
    duckdb.ParserException,
)


class Desk:
    """The databases of this process: one for parsing, one empty in reserve, and those of the last scopes."""

    def __init__(self, folder: Path, limits: SandboxLimits) -> None:
        self._folder = folder
        self._limits = limits
        self._opened = 0
        self._scopes: OrderedDict[str, tuple[duckdb.DuckDBPyConnection, Path]] = OrderedDict()
        self._parser, _ = self._open()
        for statement in ("SET enable_external_access = false", "SET lock_configuration = true"):
            self._parser.execute(statement)
        self._spare: tuple[duckdb.DuckDBPyConnection, Path] | None = None

    def answer(self, line: frames.FrameWriter, kind: bytes, request: dict[str, Any]) -> None:
        """Do what a request asks and send the frames of its answer, the last of which is TREE, DONE or ERROR."""
        try:
            if kind == frames.CHECK:
                line.write(frames.TREE, self.tree(request["sql"]).encode())
                return
            _run(self, line, request)
        except (duckdb.Error, MemoryError, pa.ArrowException, RuntimeError, ValueError) as error:
            if kind == frames.RUN and not isinstance(error, HARMLESS):
                self.forget(request["scope"]["key"])
            line.write_json(frames.ERROR, {"kind": type(error).__name__, "message": str(error)})

    def tree(self, sql: str) -> str:
        """The parse tree of a text, as JSON; the text is not run."""
        row = self._parser.execute("SELECT json_serialize_sql(CAST(? AS VARCHAR))", [sql]).fetchall()[0]
        return str(row[0])

    def database(self, scope: Scope) -> duckdb.DuckDBPyConnection:
        """The locked database of a scope, built when it is not at hand."""
        known = self._scopes.get(scope.key)
        if known is not None:
            self._scopes.move_to_end(scope.key)
            return known[0]
        while len(self._scopes) >= self._limits.kept_scopes:
            self._close(self._scopes.popitem(last=False)[1])
        made, self._spare = self._spare or self._open(), None
        try:
            for statement in scope_statements(scope):
                made[0].execute(statement)
        except BaseException:
            self._close(made)
            raise
        self._scopes[scope.key] = made
        return made[0]

    def forget(self, key: str) -> None:
        """Close the database of a scope, whatever state an error left it in."""
        known = self._scopes.pop(key, None)
        if known is not None:
            self._close(known)

    def reserve(self) -> None:
        """Open an empty database ahead of need: opening costs half of a small query."""
        if self._spare is None:
            # Without room for a reserve the next query opens its own, or says that memory is short.
            with contextlib.suppress(duckdb.Error, MemoryError):
                self._spare = self._open()

    def _open(self) -> tuple[duckdb.DuckDBPyConnection, Path]:
        self._opened += 1
        spill = self._folder / f"spill-{self._opened}"
        connection = duckdb.connect(
            ":memory:",
            config={
                "memory_limit": f"{self._limits.memory_mib}MiB",
                "threads": self._limits.threads,
                # Eight by default, each with a stack that counts against the limit of the process.
                "async_threads": 1,
                "temp_directory": str(spill),
                "max_temp_directory_size": f"{self._limits.temp_mib}MiB",
                "autoload_known_extensions": False,
                "autoinstall_known_extensions": False,
                "python_enable_replacements": False,
            },
        )
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET parquet_metadata_cache = true")
        return connection, spill

    @staticmethod
    def _close(database: tuple[duckdb.DuckDBPyConnection, Path]) -> None:
        database[0].close()
        shutil.rmtree(database[1], ignore_errors=True)


def _run(desk: Desk, line: frames.FrameWriter, request: dict[str, Any]) -> None:
    started = time.perf_counter()
    connection = desk.database(Scope.of(request["scope"]))
    relation = connection.sql(request["sql"], params=request["parameters"] or None)
    columns = [{"name": name, "type": str(kind)} for name, kind in zip(relation.columns, relation.types, strict=True)]
    line.write_json(frames.SCHEMA, {"columns": columns})
    rows, more = 0, False
    reader = relation.to_arrow_reader(min(BATCH_ROWS, request["max_rows"] + 1))
    # An empty result has columns too.
    line.write(frames.BATCH, _ipc(pa.RecordBatch.from_pylist([], schema=reader.schema)))
    for batch, more in _limited(reader, request["max_rows"]):
        rows += batch.num_rows
        line.write(frames.BATCH, _ipc(batch))
        if more:
            break
    elapsed_ms = (time.perf_counter() - started) * 1000
    line.write_json(frames.DONE, {"rows": rows, "more": more, "elapsed_ms": round(elapsed_ms, 3)})


def _limited(reader: pa.RecordBatchReader, max_rows: int) -> Iterator[tuple[pa.RecordBatch, bool]]:
    """Batches of at most `max_rows` rows together; the last one says whether there were more."""
    left = max_rows
    for batch in reader:
        yield batch.slice(0, left), batch.num_rows > left
        left -= min(batch.num_rows, left)


def _ipc(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def main(arguments: list[str]) -> None:
    """Serve the socket until the platform hangs up."""
    serve(arguments, Desk)


if __name__ == "__main__":
    main(sys.argv[1:])
