"""From a contract to an Iceberg schema, and from one version of a contract to the next."""

from __future__ import annotations

from brain_contracts.contract import Column, DatasetContract
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import (
    BooleanType,
    DateType,
    DoubleType,
    IcebergType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
)

from data_hub.domain.tables import SYSTEM_COLUMNS

ICEBERG_TYPES: dict[str, IcebergType] = {
    "VARCHAR": StringType(),
    "BIGINT": LongType(),
    "DOUBLE": DoubleType(),
    "BOOLEAN": BooleanType(),
    "DATE": DateType(),
    "TIMESTAMP WITH TIME ZONE": TimestamptzType(),
}
DUCKDB_TYPES = {str(kind): name for name, kind in ICEBERG_TYPES.items()}


def duckdb_type(kind: IcebergType) -> str:
    """The DuckDB type of an Iceberg type that this platform writes. Raises KeyError for others."""
    return DUCKDB_TYPES[str(kind)]


def new_schema(contract: DatasetContract) -> Schema:
    """The schema a new table of this contract has: system columns first, everything optional but `_owner`.

    Rules stand in the contract and are checked when rows come in; a table that repeated them could not relax them.
    """
    columns = [*SYSTEM_COLUMNS, *((column.name, column.duckdb_type) for column in contract.columns)]
    return Schema(
        *(
            NestedField(field_id=number, name=name, field_type=ICEBERG_TYPES[kind], required=False)
            for number, (name, kind) in enumerate(columns, 1)
        )
    )


def evolve(table: Table, contract: DatasetContract) -> Table:
    """The table with the columns that the contract added and the types that it changed.

    A column that a breaking version removed stays in the table, empty for new rows, so that old rows keep it. One
    whose type changed other than by widening is renamed to `<name>__v<field id>` and made anew.
    """
    known = {item.name: item.field_type for item in table.schema().fields}
    missing = [column for column in contract.columns if column.name not in known]
    changed = [
        column
        for column in contract.columns
        if column.name in known and str(known[column.name]) != str(ICEBERG_TYPES[column.duckdb_type])
    ]
    if not missing and not changed:
        return table
    with table.transaction() as transaction, transaction.update_schema(allow_incompatible_changes=True) as update:
        for column in changed:
            field_id = table.schema().find_field(column.name).field_id
            update.rename_column(column.name, f"{column.name}__v{field_id}")
        for column in missing:
            update.add_column(column.name, ICEBERG_TYPES[column.duckdb_type])
    if changed:
        _add(table, changed)
    return table


def _add(table: Table, columns: list[Column]) -> None:
    # In a second step: pyiceberg resolves names against the schema before the rename.
    with table.transaction() as transaction, transaction.update_schema() as update:
        for column in columns:
            update.add_column(column.name, ICEBERG_TYPES[column.duckdb_type])
