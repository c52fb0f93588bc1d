"""Do typed rows break a rule of their contract anywhere? One answer for millions of rows, no row is named.

Rules on text are asked of the distinct values only: codes, regions and months repeat.
"""

from __future__ import annotations

from collections.abc import Collection

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from brain_contracts.codes import industry_codes, month_sql, regions, uscc_sql
from brain_contracts.contract import Column, DatasetContract

from data_hub.domain.push import Columns
from data_hub.engine.duck import literal, quoted

REMEMBERED = 200_000


class Rules:
    """The rules of one push, asked of its typed rows table by table.

    only_owner: the one code that the contract's owner column may hold.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        contract: DatasetContract,
        wanted: Columns,
        only_owner: str | None,
    ) -> None:
        self._duck = connection
        self._required = frozenset(wanted.required)
        self._ranges = {
            name: (contract.column(name).minimum, contract.column(name).maximum)
            for name in wanted.used
            if contract.column(name).logical_type in ("number", "integer")
        }
        self._row_rules = {name: _row_rules(contract.column(name)) for name in wanted.used}
        self._value_rules = {name: _value_rules(contract.column(name)) for name in wanted.used}
        if only_owner is not None and contract.owner_column in self._value_rules:
            self._value_rules[contract.owner_column].append(f"v <> {literal(only_owner)}")
        # Values that have been found right, by column; the same codes come in every table.
        self._right: dict[str, pa.Array] = {}
        _prepare_codes(connection, contract)

    def are_broken(self, table: pa.Table, present: Collection[str]) -> bool:
        """Whether at least one row breaks a rule. present: the columns that the push has."""
        if any(table.column(name).null_count for name in self._required.intersection(present)):
            return True
        if any(_leaves(table.column(name), *self._ranges[name]) for name in present if name in self._ranges):
            return True
        rules = [rule for name in present for rule in self._row_rules.get(name, ())]
        if rules and self._holds("typed_rows", table, " OR ".join(rules)):
            return True
        return any(self._has_wrong_value(name, table.column(name)) for name in present if self._value_rules.get(name))

    def _has_wrong_value(self, name: str, column: pa.ChunkedArray) -> bool:
        values = column.unique().drop_null()
        right = self._right.get(name)
        if right is not None:
            values = values.filter(pc.invert(pc.is_in(values, right)))
        if not len(values):
            return False
        if self._holds("typed_values", pa.table({"v": values}), " OR ".join(self._value_rules[name])):
            return True
        if right is None or len(right) < REMEMBERED:
            self._right[name] = values if right is None else pa.concat_arrays([right, values])
        return False

    def _holds(self, name: str, table: pa.Table, condition: str) -> bool:
        self._duck.register(name, table)
        try:
            return self._duck.execute(f"SELECT 1 FROM {name} WHERE {condition} LIMIT 1").fetchone() is not None
        finally:
            self._duck.unregister(name)


def _leaves(column: pa.ChunkedArray, minimum: float | None, maximum: float | None) -> bool:
    """Whether a number is none, is infinite, or lies outside a range."""
    for chunk in column.drop_null().chunks if column.null_count else column.chunks:
        if not len(chunk):
            continue
        # numpy finds extremes several times faster than Arrow does, and a value that is no number makes them none.
        values = chunk.to_numpy(zero_copy_only=True)
        least, most = values.min(), values.max()
        if not (np.isfinite(least) and np.isfinite(most)):
            return True
        if (minimum is not None and least < minimum) or (maximum is not None and most > maximum):
            return True
    return False


def _row_rules(column: Column) -> list[str]:
    name = quoted(column.name)
    if column.logical_type in ("date", "timestamp"):
        return [f"NOT isfinite({name}) OR year({name}) NOT BETWEEN 1 AND 9999"]
    return []


def _value_rules(column: Column) -> list[str]:
    if column.logical_type != "string":
        return []
    rules = ["contains(v, chr(0))"]
    if column.required:
        rules.append("v = ''")
    if column.code_type == "uscc":
        rules.append(f"NOT {uscc_sql('v')}")
    if column.code_type == "month":
        rules.append(f"NOT {month_sql('v')}")
    if column.code_type in CODE_TABLES:
        rules.append(f"v NOT IN (SELECT code FROM {CODE_TABLES[column.code_type]})")
    if column.enum:
        rules.append(f"v NOT IN ({', '.join(map(literal, column.enum))})")
    if column.pattern is not None:
        rules.append(f"NOT regexp_full_match(v, {literal(column.pattern)})")
    if column.max_length is not None:
        rules.append(f"length(v) > {column.max_length}")
    return rules


CODE_TABLES = {"region": "known_regions", "industry_class": "known_industry_classes"}


def _prepare_codes(connection: duckdb.DuckDBPyConnection, contract: DatasetContract) -> None:
    """Makes the tables of codes that the contract's columns refer to."""
    used = {column.code_type for column in contract.columns}
    for code_type, codes in (("region", frozenset(regions())), ("industry_class", industry_codes())):
        if code_type in used:
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {CODE_TABLES[code_type]} AS SELECT unnest($1) AS code", [sorted(codes)]
            )
