"""What a query can see: a DuckDB database that holds the referenced data sets, as far as the caller may read them.

Tables of which the caller may see all rows are views over exactly the Parquet files of one snapshot. Tables of which
she may see only her own rows are copied, with her rows alone, before the database is closed to the outside: a
condition of hers then never meets another owner's row, so no error message, no division by zero and no timing of an
early stop can tell her anything about one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class ScopeColumn:
    """A column: its present name, its Iceberg field id, its DuckDB type."""

    name: str
    field_id: int
    duckdb_type: str


@dataclass(frozen=True)
class ScopeTable:
    """A data set as the caller may see it. owner: whose rows (None: all rows). order: the order of copied rows."""

    warehouse: str
    dataset: str
    columns: tuple[ScopeColumn, ...]
    files: tuple[str, ...]
    owner: str | None = None
    owner_field_id: int = 0


@dataclass(frozen=True)
class Scope:
    """Everything a query can see. `key` is equal for equal scopes."""

    tables: tuple[ScopeTable, ...]
    key: str

    def message(self) -> dict[str, Any]:
        """The scope as a JSON object."""
        return asdict(self)

    @staticmethod
    def of(message: dict[str, Any]) -> Scope:
        """The scope behind a JSON object."""
        tables = (
            ScopeTable(
                **{
                    **table,
                    "columns": tuple(ScopeColumn(**column) for column in table["columns"]),
                    "files": tuple(table["files"]),
                }
            )
            for table in message["tables"]
        )
        return Scope(tuple(tables), message["key"])


def scope_statements(scope: Scope) -> Iterator[str]:
    """The SQL that builds the scope in an empty database and then locks it."""
    for warehouse in sorted({table.warehouse for table in scope.tables}):
        yield f"CREATE SCHEMA IF NOT EXISTS {identifier(warehouse)}"
    for table in scope.tables:
        name = f"{identifier(table.warehouse)}.{identifier(table.dataset)}"
        kind = "VIEW" if table.owner is None else "TABLE"
        yield f"CREATE {kind} {name} AS {_select(table)}"
    readable = [path for table in scope.tables if table.owner is None for path in table.files]
    yield f"SET allowed_paths = [{', '.join(literal(path) for path in readable)}]"
    yield "SET enable_external_access = false"
    yield "SET lock_configuration = true"


def _select(table: ScopeTable) -> str:
    shown = ", ".join(identifier(column.name) for column in table.columns)
    if not table.files:
        typed = ", ".join(
            f"CAST(NULL AS {column.duckdb_type}) AS {identifier(column.name)}" for column in table.columns
        )
        return f"SELECT {typed} WHERE false"
    columns = list(table.columns)
    condition = ""
    if table.owner is not None:
        hidden = next((column for column in columns if column.field_id == table.owner_field_id), None)
        if hidden is None:
            hidden = ScopeColumn("_owner", table.owner_field_id, "VARCHAR")
            columns.append(hidden)
        condition = f" WHERE {identifier(hidden.name)} = {literal(table.owner)}"
    fields = ", ".join(
        f"{column.field_id}: {{name: {literal(column.name)}, type: {literal(column.duckdb_type)}, default_value: NULL}}"
        for column in columns
    )
    files = ", ".join(literal(path) for path in table.files)
    return f"SELECT {shown} FROM read_parquet([{files}], schema = MAP {{{fields}}}){condition}"


def identifier(name: str) -> str:
    """A quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A quoted SQL text."""
    return "'" + text.replace("'", "''") + "'"


def hidden_paths(scope: Scope, others: Sequence[str] = ()) -> list[str]:
    """Paths that no message may show, longest first."""
    paths = {path for table in scope.tables for path in table.files} | set(others)
    return sorted(paths, key=len, reverse=True)
