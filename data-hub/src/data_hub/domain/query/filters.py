"""Row filters: a condition over the columns of one data set, read from text and written anew as SQL.

Nothing of the caller's text reaches the engine: the condition is read into a tree, each node of which must be known
here, and the SQL is written from that tree with our own quoting. So a filter cannot name another table, call an unknown
function or hide a second statement, however it is spelt.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from data_hub.domain.query.problems import FilterRefused
from data_hub.domain.query.statement import fold

MAX_FILTER_CHARACTERS = 10_000
MAX_DEPTH = 60
MAX_NODES = 2_000

_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?\Z")
_MOMENT = "TIMESTAMP WITH TIME ZONE"
# Every time in the warehouse has a zone, so a literal without one is read as UTC.
_LITERAL_CASTS = {"DATE": "DATE", "TIMESTAMP": _MOMENT, "TIMESTAMPNTZ": _MOMENT, "TIMESTAMPTZ": _MOMENT}

_BINARY: dict[type[exp.Expr], str] = {
    exp.And: "AND",
    exp.Or: "OR",
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.Like: "LIKE",
    exp.ILike: "ILIKE",
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
}
_FUNCTIONS: dict[type[exp.Expr], str] = {
    exp.Lower: "lower",
    exp.Upper: "upper",
    exp.Trim: "trim",
    exp.Length: "length",
    exp.Abs: "abs",
    exp.Year: "year",
    exp.Month: "month",
    exp.Day: "day",
    exp.StartsWith: "starts_with",
    exp.Coalesce: "coalesce",
}
# The parts of a node that are written; any other part would change the meaning, so it is refused.
_PARTS: dict[type[exp.Expr], frozenset[str]] = {
    exp.Column: frozenset({"this"}),
    exp.Literal: frozenset({"this", "is_string"}),
    exp.Like: frozenset({"this", "expression", "negate"}),
    exp.ILike: frozenset({"this", "expression", "negate"}),
    exp.In: frozenset({"this", "expressions"}),
    exp.Between: frozenset({"this", "low", "high"}),
    exp.Cast: frozenset({"this", "to"}),
}
_USUAL_PARTS = frozenset({"this", "expression", "expressions"})


def compile_filter(text: str, columns: Mapping[str, str]) -> str:
    """The condition as SQL, in parentheses. columns: the names that may be used, with their DuckDB types.

    Allowed: AND, OR, NOT, comparisons, IN, BETWEEN, LIKE, ILIKE, IS NULL, + - * /, texts, numbers, TRUE, FALSE, NULL,
    DATE '...', TIMESTAMP '...', and lower, upper, trim, length, abs, year, month, day, starts_with, coalesce.
    Raises FilterRefused that names what does not belong.
    """
    if len(text) > MAX_FILTER_CHARACTERS:
        raise FilterRefused(f"filter 超过 {MAX_FILTER_CHARACTERS} 个字符", field="filter")
    if "\0" in text:
        raise FilterRefused("filter 含有 NUL 字符", field="filter")
    try:
        trees = sqlglot.parse(text, dialect="duckdb")
    except (SqlglotError, RecursionError) as error:
        raise FilterRefused(f"filter 语法错误：{_plain(str(error))}", field="filter") from error
    if len(trees) != 1 or trees[0] is None:
        raise FilterRefused("filter 应为一个条件，例如 month >= '2024-01' AND uscc = '...'", field="filter")
    return _Writer(columns).write(trees[0])


def _plain(message: str) -> str:
    """A message of the parser without its terminal colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", message).splitlines()[0][:200]


def _refused(node: exp.Expr) -> FilterRefused:
    return FilterRefused(f"filter 中不能使用 {_plain(node.sql(dialect='duckdb'))}", field="filter")


def _check_parts(node: exp.Expr) -> None:
    present = {name for name, value in node.args.items() if value not in (None, False, [])}
    if present - _PARTS.get(type(node), _USUAL_PARTS):
        raise _refused(node)


class _Writer:
    def __init__(self, columns: Mapping[str, str]) -> None:
        self._columns = {fold(name): name for name in columns}
        self._nodes = 0
        self._forms: dict[type[exp.Expr], Callable[[exp.Expr, int], str]] = {
            exp.Column: self._column,
            exp.Literal: self._literal,
            exp.Boolean: lambda node, depth: "TRUE" if node.this else "FALSE",
            exp.Null: lambda node, depth: "NULL",
            exp.Paren: lambda node, depth: self.write(node.this, depth),
            exp.Not: lambda node, depth: f"(NOT {self.write(node.this, depth)})",
            exp.Neg: lambda node, depth: f"(- {self.write(node.this, depth)})",
            exp.Is: self._is,
            exp.In: self._in,
            exp.Between: self._between,
            exp.Cast: self._cast,
        }

    def write(self, node: exp.Expr | None, depth: int = 0) -> str:
        if node is None:  # the parser takes some texts, such as a lone `@`, for an operator without its operand
            raise FilterRefused("filter 不完整：有运算符缺少比较的对象", field="filter")
        self._nodes += 1
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            raise FilterRefused("filter 过于复杂，请拆分或改用查询接口", field="filter")
        _check_parts(node)
        form = self._forms.get(type(node))
        if form is not None:
            return form(node, depth + 1)
        operator = _BINARY.get(type(node))
        if operator is not None:
            written = (
                f"({self.write(node.this, depth + 1)} {operator} {self.write(node.args['expression'], depth + 1)})"
            )
            return f"(NOT {written})" if node.args.get("negate") else written
        function = _FUNCTIONS.get(type(node))
        if function is not None:
            return self._call(function, node, depth + 1)
        raise _refused(node)

    def _column(self, node: exp.Expr, depth: int) -> str:
        name = node.name
        if fold(name) not in self._columns:
            shown = "、".join(self._columns.values())
            raise FilterRefused(f"filter 中的列 {name} 不存在；可用列：{shown}", field="filter", column=name)
        return '"' + self._columns[fold(name)].replace('"', '""') + '"'

    def _literal(self, node: exp.Expr, depth: int) -> str:
        value = str(node.this)
        if node.args.get("is_string"):
            return "'" + value.replace("'", "''") + "'"
        if not _NUMBER.match(value):
            raise FilterRefused(f"filter 中的数 {value[:40]} 无法识别", field="filter")
        return value

    def _is(self, node: exp.Expr, depth: int) -> str:
        right = node.args["expression"]
        if not isinstance(right, exp.Null | exp.Boolean):
            raise FilterRefused("IS 之后只能是 NULL、TRUE 或 FALSE", field="filter")
        return f"({self.write(node.this, depth)} IS {self.write(right, depth)})"

    def _in(self, node: exp.Expr, depth: int) -> str:
        values = node.args.get("expressions") or []
        if not values:
            raise FilterRefused("IN 之后应为值的列表，例如 IN ('a', 'b')", field="filter")
        return f"({self.write(node.this, depth)} IN ({', '.join(self.write(value, depth) for value in values)}))"

    def _between(self, node: exp.Expr, depth: int) -> str:
        low, high = self.write(node.args["low"], depth), self.write(node.args["high"], depth)
        return f"({self.write(node.this, depth)} BETWEEN {low} AND {high})"

    def _cast(self, node: exp.Expr, depth: int) -> str:
        kind = _LITERAL_CASTS.get(node.args["to"].this.name if node.args["to"].this else "")
        if kind is None or not (isinstance(node.this, exp.Literal) and node.this.is_string):
            raise FilterRefused("filter 中只有 DATE '...' 和 TIMESTAMP '...' 可以转换类型", field="filter")
        return f"CAST({self.write(node.this, depth)} AS {kind})"

    def _call(self, function: str, node: exp.Expr, depth: int) -> str:
        second = node.args.get("expression")
        arguments: list[exp.Expr] = [node.this, *([second] if second else []), *(node.args.get("expressions") or [])]
        return f"{function}({', '.join(self.write(value, depth) for value in arguments)})"
