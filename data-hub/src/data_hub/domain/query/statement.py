"""Decides from DuckDB's own parse tree whether a text is a query that may run.

There is one reader only: the parser that later runs the text also gives the tree that is judged here
(`json_serialize_sql`), so no text can mean one thing to the guard and another to the engine. The rule is an
allow-list at every node: a construct, a function or a table that is not known to be harmless is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_hub.domain.query.functions import FUNCTIONS, TABLE_FUNCTIONS
from data_hub.domain.query.problems import (
    FunctionRefused,
    NotOneStatement,
    NotSelect,
    ParametersWrong,
    QueryRefused,
    QuerySyntax,
    QueryTooLarge,
    RecursionRefused,
    TableUnknown,
)

MAX_SQL_CHARACTERS = 100_000
MAX_PARAMETERS = 1_000

# Only these may appear; everything else is refused by name.
_EXPRESSIONS = """
    BETWEEN CASE CAST COLLATE COLUMN_REF COMPARISON CONJUNCTION CONSTANT DEFAULT FUNCTION LAMBDA LAMBDA_REF OPERATOR
    PARAMETER POSITIONAL_REFERENCE STAR SUBQUERY TYPE WINDOW
"""
_NODES = """
    SELECT_NODE SET_OPERATION_NODE
    BASE_TABLE EMPTY EXPRESSION_LIST JOIN PIVOT SUBQUERY TABLE_FUNCTION
    DISTINCT_MODIFIER LIMIT_MODIFIER LIMIT_PERCENT_MODIFIER ORDER_MODIFIER ORDER_DEFAULT ASCENDING DESCENDING
    DECIMAL_TYPE_INFO
"""
EXPRESSIONS = frozenset(_EXPRESSIONS.split())
NODES = frozenset(_NODES.split())
QUERY_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE"})

Names = frozenset[str]
Parameters = Mapping[str, Any] | Sequence[Any]


@dataclass(frozen=True)
class Statement:
    """A query that may run: the data sets it reads, as `(warehouse, data set)` in lower case, and its parameters.

    parameters: names of placeholders; "1", "2", ... when they are positional.
    """

    tables: frozenset[tuple[str, str]]
    parameters: frozenset[str]

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names `warehouse.dataset`, sorted."""
        return tuple(sorted(f"{warehouse}.{dataset}" for warehouse, dataset in self.tables))


def fold(name: str) -> str:
    """A name as DuckDB compares names: ASCII letters without case, everything else as it is."""
    return "".join(chr(ord(letter) + 32) if "A" <= letter <= "Z" else letter for letter in name)


def check_length(sql: str) -> None:
    """Raises QueryTooLarge or QuerySyntax for a text that is not worth parsing."""
    if len(sql) > MAX_SQL_CHARACTERS:
        raise QueryTooLarge(f"SQL 超过 {MAX_SQL_CHARACTERS} 个字符，请拆分或改用参数", limit=MAX_SQL_CHARACTERS)
    if "\0" in sql:
        raise QuerySyntax("SQL 含有 NUL 字符，请删除")


def read_statement(answer: Mapping[str, Any]) -> Statement:
    """The statement behind the answer of `json_serialize_sql`. Raises a QueryRefused that says what is wrong."""
    if answer.get("error"):
        raise _parse_problem(answer)
    statements = answer.get("statements", [])
    if len(statements) != 1:
        raise NotOneStatement(f"一次只能执行一条查询语句，这里有 {len(statements)} 条", statements=len(statements))
    reader = _Reader()
    reader.read(statements[0])
    return Statement(frozenset(reader.tables), frozenset(reader.parameters))


def check_parameters(statement: Statement, given: Parameters | None) -> None:
    """Raises ParametersWrong unless each placeholder has a plain value and each value a placeholder."""
    values: Mapping[str, Any]
    if given is None:
        values = {}
    elif isinstance(given, Mapping):
        values = {fold(str(name)): value for name, value in given.items()}
    else:
        values = {str(number): value for number, value in enumerate(given, 1)}
    if len(values) > MAX_PARAMETERS:
        raise ParametersWrong(f"参数超过 {MAX_PARAMETERS} 个", limit=MAX_PARAMETERS)
    missing = sorted(statement.parameters - values.keys())
    surplus = sorted(values.keys() - statement.parameters)
    if missing or surplus:
        parts = [f"缺少参数 {'、'.join(missing)}"] * bool(missing) + [f"多余参数 {'、'.join(surplus)}"] * bool(surplus)
        raise ParametersWrong("；".join(parts), missing=missing, surplus=surplus)
    for name, value in values.items():
        if not isinstance(value, str | int | float | bool | None):
            raise ParametersWrong(f"参数 {name} 必须是文本、数字、布尔或 null", field=name)
        if isinstance(value, int) and not -(2**127) <= value < 2**127:
            raise ParametersWrong(f"参数 {name} 超出 128 位整数范围", field=name)


def _parse_problem(answer: Mapping[str, Any]) -> QueryRefused:
    message = str(answer.get("error_message", ""))
    if "Only SELECT" in message:
        return NotSelect(
            "只允许查询：SELECT、WITH、VALUES、集合运算；写入、设置、附加、导入导出和不带 IN 的 PIVOT 均不可用"
        )
    if "Mixing named and positional" in message:
        return ParametersWrong("不能混用命名参数（$name）和位置参数（?）")
    position = str(answer.get("position", ""))
    members = {"position": int(position)} if position.isdigit() else {}
    return QuerySyntax(f"SQL 语法错误：{message}", **members)


@dataclass
class _Reader:
    """Walks the tree with the names of common table expressions that are in scope; iterative, so depth is no limit."""

    tables: set[tuple[str, str]] = field(default_factory=set)
    parameters: set[str] = field(default_factory=set)

    def read(self, root: object) -> None:
        stack: list[tuple[object, Names]] = [(root, frozenset())]
        while stack:
            node, scope = stack.pop()
            if isinstance(node, list):
                stack.extend((item, scope) for item in node)
            elif isinstance(node, dict):
                stack.extend(self._children(node, scope))

    def _children(self, node: dict[str, Any], scope: Names) -> Iterator[tuple[object, Names]]:
        if "cte_map" in node:
            entries, scope = _common_tables(node, scope)
            yield from entries
        self._judge(node, scope)
        for key, value in node.items():
            # The name of a literal is data, not a construct; common tables were read in their own scopes above.
            if key not in ("cte_map", "literal"):
                yield value, scope

    def _judge(self, node: dict[str, Any], scope: Names) -> None:
        kind = node.get("class", node.get("type"))
        if not isinstance(kind, str):
            return
        if kind not in (EXPRESSIONS if "class" in node else NODES):
            raise _construct_refused(kind)
        if kind == "BASE_TABLE":
            self._table(node, scope)
        elif kind == "TABLE_FUNCTION":
            _table_function(node["function"])
        elif kind in ("FUNCTION", "WINDOW"):
            _function(node)
        elif kind == "PARAMETER":
            self.parameters.add(fold(str(node["identifier"])))

    def _table(self, node: dict[str, Any], scope: Names) -> None:
        path = [str(part) for part in node["qualified_name"]["path"]]
        if node.get("at_clause"):
            raise QueryRefused("不支持 AT 时间旅行；请用 versions 指定版本")
        if len(path) == 1 and fold(path[0]) in scope:
            return
        if len(path) != 2:
            shown = ".".join(path)
            raise TableUnknown(f"表 {shown} 不存在：表名写作 仓.数据集，例如 public.enterprise", table=shown)
        self.tables.add((fold(path[0]), fold(path[1])))


def _common_tables(node: dict[str, Any], scope: Names) -> tuple[list[tuple[object, Names]], Names]:
    """The common tables of a query, each with the names it may use: those around it and those before it."""
    found: list[tuple[object, Names]] = []
    for entry in node["cte_map"]["map"]:
        body = entry["value"]["query_node"]
        if body.get("type") == "RECURSIVE_CTE_NODE" or entry["value"].get("key_targets"):
            raise RecursionRefused(f"WITH 子句 {entry['key']} 引用了自己：不支持递归查询")
        if body.get("type") not in QUERY_NODES:
            raise NotSelect(f"WITH 子句 {entry['key']} 不是查询：只允许 SELECT、VALUES 和集合运算")
        found.append((entry["value"], scope))
        scope = scope | {fold(str(entry["key"]))}
    return found, scope


def _table_function(node: dict[str, Any]) -> None:
    name = fold(str(node["function_name"]))
    if name not in TABLE_FUNCTIONS or _qualified(node):
        raise FunctionRefused(
            f"FROM 中不能使用 {name}()；可用：{'、'.join(sorted(TABLE_FUNCTIONS))}，表名写作 仓.数据集", function=name
        )


def _function(node: dict[str, Any]) -> None:
    name = fold(str(node["function_name"]))
    if name not in FUNCTIONS | TABLE_FUNCTIONS or _qualified(node):
        raise FunctionRefused(f"不能使用函数 {name}()：不存在，或不在允许的函数之内", function=name)


def _qualified(node: dict[str, Any]) -> bool:
    return bool(node.get("schema") or node.get("catalog") or len(node["qualified_name"]["path"]) != 1)


def _construct_refused(kind: str) -> QueryRefused:
    if kind == "RECURSIVE_CTE_NODE":
        return RecursionRefused("不支持递归查询")
    if kind == "SHOW_REF":
        return NotSelect("不支持 DESCRIBE、SHOW、SUMMARIZE；数据集结构见 GET /v1/datasets/{name}")
    return QueryRefused(f"不支持的语法结构 {kind}", construct=kind)
