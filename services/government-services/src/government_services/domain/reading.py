"""SQL that reads a chain's facts through the data hub's query API, and rows turned into facts.

A key may have rows of several owners (a department's and the enterprise's own); the row pushed last counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from government_services.domain.definition import ChainDefinition, Enterprises, Links, Measure, Members, Nodes
from government_services.domain.facts import (
    EnterpriseFact,
    LinkFact,
    MeasureFact,
    MeasureSeries,
    MemberFact,
    NodeFact,
)

Rows = Iterable[dict[str, Any]]


def quoted(name: str) -> str:
    """A column or table name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def latest_rows(dataset: str, key: Sequence[str], where: str | None = None) -> str:
    """A sub-select with one row per key: the one that was pushed last."""
    table = ".".join(quoted(part) for part in dataset.split("."))
    condition = f" WHERE ({where})" if where else ""
    if not key:
        return f"(SELECT * FROM {table}{condition})"
    partition = ", ".join(quoted(column) for column in key)
    return (
        f"(SELECT * FROM {table}{condition} QUALIFY row_number() OVER"
        f" (PARTITION BY {partition} ORDER BY _pushed_at DESC, _owner) = 1)"
    )


def nodes_sql(part: Nodes, key: Sequence[str]) -> str:
    """Columns id, name, stage, stage_order, parent."""
    optional = {"stage": part.stage, "stage_order": part.stage_order, "parent": part.parent}
    columns = "".join(f", {quoted(column) if column else 'NULL'} AS {name}" for name, column in optional.items())
    source = latest_rows(part.dataset, key, part.where)
    return f"SELECT {quoted(part.id)} AS id, {quoted(part.name)} AS name{columns} FROM {source} ORDER BY 1"


def links_sql(part: Links, key: Sequence[str]) -> str:
    """Columns source, target, weight; one row per pair."""
    weight = f"sum({quoted(part.weight)})" if part.weight else "count(*)"
    return (
        f"SELECT {quoted(part.source)} AS source, {quoted(part.target)} AS target, CAST({weight} AS DOUBLE) AS weight"
        f" FROM {latest_rows(part.dataset, key, part.where)} GROUP BY 1, 2 ORDER BY 1, 2"
    )


def enterprises_sql(part: Enterprises, key: Sequence[str]) -> str:
    """Columns id, name, region and attribute_<name>; only enterprises with an id."""
    region = quoted(part.region) if part.region else "NULL"
    attributes = "".join(
        f", {quoted(column)} AS {quoted('attribute_' + name)}" for name, column in sorted(part.attributes.items())
    )
    return (
        f"SELECT CAST({quoted(part.id)} AS VARCHAR) AS id, {quoted(part.name)} AS name, {region} AS region{attributes}"
        f" FROM {latest_rows(part.dataset, key, part.where)} WHERE {quoted(part.id)} IS NOT NULL ORDER BY 1"
    )


def members_sql(part: Members, key: Sequence[str]) -> str:
    """Distinct columns enterprise, node."""
    enterprise, node = quoted(part.enterprise), quoted(part.node)
    return (
        f"SELECT DISTINCT CAST({enterprise} AS VARCHAR) AS enterprise, CAST({node} AS VARCHAR) AS node"
        f" FROM {latest_rows(part.dataset, key, part.where)}"
        f" WHERE {enterprise} IS NOT NULL AND {node} IS NOT NULL ORDER BY 1, 2"
    )


def last_month_sql(part: Measure) -> str:
    """Column month: the last month with a value, YYYY-MM."""
    table = ".".join(quoted(piece) for piece in part.dataset.split("."))
    condition = f" WHERE ({part.where})" if part.where else ""
    return f"SELECT max({quoted(part.month)}) AS month FROM {table}{condition}"


def measure_sql(part: Measure, key: Sequence[str], month: str) -> str:
    """Columns enterprise, value, previous: sums over the window that ends with `month`, and one year before."""
    column = quoted(part.month)
    windows = {"value": 0, "previous": 12}
    spans = {
        name: (months_before(month, back + part.window_months), months_before(month, back))
        for name, back in windows.items()
    }
    sums = ", ".join(
        f"sum({quoted(part.value)}) FILTER (WHERE {column} > '{first}' AND {column} <= '{last}') AS {name}"
        for name, (first, last) in spans.items()
    )
    enterprise = quoted(part.enterprise)
    return (
        f"SELECT CAST({enterprise} AS VARCHAR) AS enterprise, {sums}"
        f" FROM {latest_rows(part.dataset, key, part.where)} GROUP BY 1 ORDER BY 1"
    )


def series_sql(part: Measure, key: Sequence[str], members: Members, member_key: Sequence[str], month: str) -> str:
    """Columns month, total over the chain's members, for the last 36 months."""
    member_rows = latest_rows(members.dataset, member_key, members.where)
    return (
        f"SELECT {quoted(part.month)} AS month, sum({quoted(part.value)}) AS total"
        f" FROM {latest_rows(part.dataset, key, part.where)}"
        f" WHERE {quoted(part.month)} > '{months_before(month, 36)}' AND CAST({quoted(part.enterprise)} AS VARCHAR) IN"
        f" (SELECT CAST({quoted(members.enterprise)} AS VARCHAR) FROM {member_rows}) GROUP BY 1 ORDER BY 1"
    )


def enterprise_series_sql(part: Measure, key: Sequence[str]) -> str:
    """Columns month, value of the enterprise bound to $enterprise, newest 36 months first."""
    return (
        f"SELECT {quoted(part.month)} AS month, sum({quoted(part.value)}) AS value"
        f" FROM {latest_rows(part.dataset, key, part.where)}"
        f" WHERE CAST({quoted(part.enterprise)} AS VARCHAR) = $enterprise GROUP BY 1 ORDER BY 1 DESC LIMIT 36"
    )


def months_before(month: str, count: int) -> str:
    """The month `count` months before one written YYYY-MM. Raises ValueError on another form."""
    year, number = (int(piece) for piece in month.split("-"))
    index = year * 12 + number - 1 - count
    return f"{index // 12:04d}-{index % 12 + 1:02d}"


def node_facts(rows: Rows) -> tuple[NodeFact, ...]:
    """Rows of `nodes_sql` as facts."""
    return tuple(
        NodeFact(
            id=str(row["id"]),
            name=str(row["name"]),
            stage=row["stage"],
            stage_order=None if row["stage_order"] is None else int(row["stage_order"]),
            parent=None if row["parent"] is None else str(row["parent"]),
        )
        for row in rows
    )


def link_facts(rows: Rows) -> tuple[LinkFact, ...]:
    """Rows of `links_sql` as facts."""
    return tuple(LinkFact(str(row["source"]), str(row["target"]), float(row["weight"] or 0)) for row in rows)


def enterprise_facts(rows: Rows) -> tuple[EnterpriseFact, ...]:
    """Rows of `enterprises_sql` as facts."""
    prefix = "attribute_"
    return tuple(
        EnterpriseFact(
            id=row["id"],
            name=str(row["name"]),
            region=row["region"],
            attributes={name[len(prefix) :]: value for name, value in row.items() if name.startswith(prefix)},
        )
        for row in rows
    )


def member_facts(rows: Rows) -> tuple[MemberFact, ...]:
    """Rows of `members_sql` as facts."""
    return tuple(MemberFact(row["enterprise"], row["node"]) for row in rows)


def measure_facts(rows: Rows) -> tuple[MeasureFact, ...]:
    """Rows of `measure_sql` as facts; enterprises without a value in either window are left out."""
    return tuple(
        MeasureFact(row["enterprise"], row["value"], row["previous"])
        for row in rows
        if row["value"] is not None or row["previous"] is not None
    )


def measure_series(month: str | None, rows: Rows) -> MeasureSeries:
    """Rows of `series_sql` as a series that ends with `month`."""
    return MeasureSeries(
        month, tuple((str(row["month"]), float(row["total"])) for row in rows if row["total"] is not None)
    )


def datasets_of(definition: ChainDefinition) -> set[str]:
    """Every data set that the definition reads."""
    return {part.dataset for part in definition.parts().values()}
