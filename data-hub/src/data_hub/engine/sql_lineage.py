"""Which input columns go into each column of a query, read with sqlglot.

What a query may do is judged from the engine's own tree (`domain.query.statement`); here a second parser is good
enough, since nothing runs on its word. Where it does not follow the whole text the answer is None: not known, which is
shown as such, never a guess. Joins, filters and grouping of the whole query are told by its inputs, not by column.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.optimizer.scope import Scope

log = structlog.get_logger()
# OpenLineage's subtypes: the value itself, computed from it, many into one; and what only decides on the value.
IDENTITY, TRANSFORMATION, AGGREGATION = "IDENTITY", "TRANSFORMATION", "AGGREGATION"
CONDITIONAL, WINDOW = "CONDITIONAL", "WINDOW"
STRENGTH = {name: rank for rank, name in enumerate((WINDOW, CONDITIONAL, AGGREGATION, TRANSFORMATION, IDENTITY))}
MAX_DEPTH = 60
# Reading takes time that grows with the square of a long expression: a second at this length.
MAX_CHARACTERS = 10_000

Source = tuple[str, str, str]
"""Data set, column, how."""


class NotFollowed(Exception):
    """The text has something that this reading does not follow."""


def column_sources(
    sql: str, tables: Mapping[str, Sequence[str]], outputs: Sequence[str]
) -> list[tuple[str, str, str, str]] | None:
    """(output column, data set, input column, how) of a query; None when its columns cannot be told.

    tables: the columns of each data set that the query reads. outputs: the columns of its result.
    """
    from sqlglot.errors import SqlglotError

    if len(sql) > MAX_CHARACTERS:
        return None
    try:
        return _sources(sql, tables, outputs)
    except (NotFollowed, SqlglotError, RecursionError, KeyError, ValueError, AttributeError) as error:
        log.info("column_lineage_unknown", reason=str(error)[:200])
        return None


def _sources(sql: str, tables: Mapping[str, Sequence[str]], outputs: Sequence[str]) -> list[tuple[str, str, str, str]]:
    from sqlglot import exp, parse_one
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    names = {name.lower(): {column.lower(): column for column in columns} for name, columns in tables.items()}
    schema: dict[str, Any] = {}
    for name, columns in names.items():
        warehouse, dataset = name.split(".")
        schema.setdefault(warehouse, {})[dataset] = dict.fromkeys(columns, "unknown")
    tree = parse_one(sql, dialect="duckdb")
    # COLUMNS(...) picks columns by a pattern, and `name.upper()` is read as a field of a table.
    if any(tree.find(kind) for kind in (exp.Pivot, exp.Lateral, exp.Columns, exp.Dot)):
        raise NotFollowed("PIVOT, LATERAL, COLUMNS or a chained call")
    scope = build_scope(qualify(tree, schema=schema, dialect="duckdb", validate_qualify_columns=True))
    if scope is None:
        raise NotFollowed("no scope")
    found = []
    reader, selected = _Reader(), _selects(scope)
    if len(selected) != len(outputs):
        raise NotFollowed(f"{len(selected)} columns, the engine has {len(outputs)}")
    for place, output in enumerate(outputs):
        for (name, column), how in sorted(reader.column(scope, place, 0).items()):
            found.append((output, name, names[name][column], how))
    return found


def _selects(scope: Scope) -> list[exp.Expr]:
    """The projections of a scope; those of a set operation are named by its first part."""
    if scope.set_operation_scopes:
        return _selects(scope.set_operation_scopes[0])
    return list(_query(scope).selects)


def _query(scope: Scope) -> exp.Query:
    from sqlglot import exp

    if not isinstance(scope.expression, exp.Query):
        raise NotFollowed(f"{type(scope.expression).__name__} as a query")
    return scope.expression


Found = dict[tuple[str, str], str]


class _Reader:
    """Follows output columns down to the tables, each column of each query once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], Found] = {}

    def column(self, scope: Scope, place: int, depth: int) -> Found:
        """Sources of a projection of a scope by its place."""
        key = (id(scope), place)
        if key not in self._known:
            self._known[key] = self._column(scope, place, depth)
        return self._known[key]

    def _column(self, scope: Scope, place: int, depth: int) -> Found:
        if depth > MAX_DEPTH:
            raise NotFollowed("nested too deeply")
        if scope.set_operation_scopes:
            return _merged(self.column(part, place, depth + 1) for part in scope.set_operation_scopes)
        projection = _query(scope).selects[place]
        return self._expression(scope, projection.unalias(), IDENTITY, depth)

    def _expression(self, scope: Scope, node: exp.Expr, how: str, depth: int) -> Found:
        from sqlglot import exp

        if isinstance(node, exp.Column):
            return self._source(scope, node, how, depth)
        if isinstance(node, (exp.Subquery, exp.Select, exp.SetOperation)):
            return self._subquery(scope, node, how, depth)
        return _merged(self._expression(scope, child, _weaker(how, part), depth) for child, part in _children(node))

    def _subquery(self, scope: Scope, node: exp.Expr, how: str, depth: int) -> Found:
        inner = node.unnest() if hasattr(node, "unnest") else node
        for candidate in scope.subquery_scopes:
            if candidate.expression is inner:
                places = range(len(_selects(candidate)))
                found = _merged(self.column(candidate, place, depth + 1) for place in places)
                return {source: _weaker(_weaker(how, TRANSFORMATION), part) for source, part in found.items()}
        raise NotFollowed("a subquery without scope")

    def _source(self, scope: Scope, node: exp.Column, how: str, depth: int) -> Found:
        from sqlglot import exp

        place = scope
        while node.table not in place.sources:
            if place.parent is None:
                raise NotFollowed(f"column {node.sql()} without a table")
            place = place.parent
        source = place.sources[node.table]
        if isinstance(source, exp.Table) and isinstance(source.this, exp.Func):
            return self._table_function(place, source.this, how, depth)
        if isinstance(source, exp.Table):
            if not source.db:
                raise NotFollowed(f"{source.sql()} is no data set")
            return {(f"{source.db}.{source.name}".lower(), node.name.lower()): how}
        if isinstance(source.expression, exp.UDTF):
            return self._table_function(place, source.expression, how, depth)
        for number, select in enumerate(_selects(source)):
            if select.alias_or_name == node.name:
                found = self.column(source, number, depth + 1)
                return {key: _weaker(how, part) for key, part in found.items()}
        raise NotFollowed(f"no column {node.name} in {node.table}")

    def _table_function(self, scope: Scope, node: exp.Expr, how: str, depth: int) -> Found:
        from sqlglot import exp

        weaker = _weaker(how, TRANSFORMATION)
        return _merged(self._source(scope, column, weaker, depth) for column in node.find_all(exp.Column))


def _children(node: exp.Expr) -> Iterable[tuple[exp.Expr, str]]:
    """The parts of an expression, each with what it makes of the columns in it."""
    from sqlglot import exp

    if isinstance(node, exp.Case):
        return _branches(node)
    if isinstance(node, exp.If):
        values = [node.args.get(name) for name in ("true", "false")]
        return [(node.this, CONDITIONAL), *((part, TRANSFORMATION) for part in values if part is not None)]
    if isinstance(node, exp.Window):
        beside = [*node.args.get("partition_by", []), node.args.get("order")]
        return [(node.this, TRANSFORMATION), *((part, WINDOW) for part in beside if part is not None)]
    if isinstance(node, exp.Filter):
        return [(node.this, TRANSFORMATION), (node.expression, CONDITIONAL)]
    return [(child, _made_by(node)) for child in node.iter_expressions()]


def _branches(node: exp.Case) -> Iterable[tuple[exp.Expr, str]]:
    if node.args.get("this") is not None:
        yield node.this, CONDITIONAL
    for branch in node.args.get("ifs", []):
        yield branch.this, CONDITIONAL
        yield branch.args["true"], TRANSFORMATION
    if node.args.get("default") is not None:
        yield node.args["default"], TRANSFORMATION


def _made_by(node: exp.Expr) -> str:
    from sqlglot import exp

    if isinstance(node, (exp.Paren, exp.Alias)):
        return IDENTITY
    picks_one = isinstance(node, (exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue, exp.NthValue))
    return AGGREGATION if isinstance(node, exp.AggFunc) and not picks_one else TRANSFORMATION


def _weaker(one: str, other: str) -> str:
    """What two steps one after the other make of a column: the one that keeps less of it."""
    return one if STRENGTH[one] <= STRENGTH[other] else other


def _merged(parts: Iterable[Found]) -> Found:
    """Sources of several parts; of a column that comes in twice the way that keeps most of it counts."""
    found: Found = {}
    for part in parts:
        for key, how in part.items():
            if key not in found or STRENGTH[how] > STRENGTH[found[key]]:
                found[key] = how
    return found
