"""Does a typed file break a rule of its contract anywhere? One answer for millions of rows, no row is named.

Rules on text are asked of the distinct values only: codes, regions and months repeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
from brain_contracts.codes import industry_codes, month_sql, regions, uscc_sql
from brain_contracts.contract import Column, DatasetContract

from data_hub.engine.duck import file_list, literal, quoted


def breaks_rules(
    connection: duckdb.DuckDBPyConnection,
    contract: DatasetContract,
    names: Sequence[str],
    required: Sequence[str],
    only_owner: str | None,
    path: Path,
) -> bool:
    """Whether at least one row of a typed Parquet file breaks a rule."""
    source = f"read_parquet({file_list([path])})"
    row_rules, value_rules = [], []
    for name in names:
        column = contract.column(name)
        row_rules += _row_rules(column, name in required)
        rules = _value_rules(column)
        if only_owner is not None and name == contract.owner_column:
            rules.append(f"v <> {literal(only_owner)}")
        if rules:
            # An aggregate, since DuckDB would move a condition below the DISTINCT and ask it of every row again.
            value_rules.append(
                f"SELECT 1 FROM (SELECT bool_or({' OR '.join(rules)}) AS broken FROM (SELECT {quoted(name)} AS v"
                f" FROM {source} WHERE {quoted(name)} IS NOT NULL GROUP BY v)) WHERE broken"
            )
    queries = [f"SELECT 1 FROM {source} WHERE {' OR '.join(row_rules)} LIMIT 1"] if row_rules else []
    queries += [f"{query} LIMIT 1" for query in value_rules]
    return any(connection.execute(query).fetchone() is not None for query in queries)


def _row_rules(column: Column, is_required: bool) -> list[str]:
    name = quoted(column.name)
    rules = []
    if is_required:
        rules.append(f"{name} IS NULL")
    if column.logical_type == "number":
        rules.append(f"NOT isfinite({name})")
    if column.logical_type in ("date", "timestamp"):
        rules.append(f"NOT isfinite({name}) OR year({name}) NOT BETWEEN 1 AND 9999")
    if column.minimum is not None:
        rules.append(f"{name} < {column.minimum!r}")
    if column.maximum is not None:
        rules.append(f"{name} > {column.maximum!r}")
    return rules


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


def prepare_codes(connection: duckdb.DuckDBPyConnection, contract: DatasetContract) -> None:
    """Makes the tables of codes that the contract's columns refer to."""
    used = {column.code_type for column in contract.columns}
    for code_type, codes in (("region", frozenset(regions())), ("industry_class", industry_codes())):
        if code_type in used:
            connection.execute(f"CREATE TABLE {CODE_TABLES[code_type]} AS SELECT unnest($1) AS code", [sorted(codes)])
