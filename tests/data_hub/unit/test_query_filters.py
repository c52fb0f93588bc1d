"""Row filters mean what they say, and nothing else gets through."""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import date
from functools import cache
from typing import Any

import duckdb
import pytest
from data_hub.domain.query.filters import compile_filter
from data_hub.domain.query.problems import FilterRefused
from hypothesis import example, given
from hypothesis import strategies as st

COLUMNS = {"name": "VARCHAR", "n": "BIGINT", "x": "DOUBLE", "day": "DATE", "flag": "BOOLEAN", "产值": "DOUBLE"}
Row = dict[str, Any]
Condition = tuple[str, Callable[[Row], bool | None]]

ROWS: list[Row] = [
    {"name": name, "n": n, "x": x, "day": day, "flag": flag, "产值": x}
    for name, n, x, day, flag in [
        ("a", 1, 1.5, date(2024, 1, 1), True),
        ("b'c", 2, -2.0, date(2024, 2, 29), False),
        ("", 0, 0.0, date(2025, 1, 1), None),
        (None, None, None, None, True),
        ("a%b", -5, 1e9, date(1999, 12, 31), False),
        ("中文", 7, 0.25, None, None),
    ]
]


@cache
def table() -> duckdb.DuckDBPyConnection:
    """A database with the rows in table `t`."""
    connection = duckdb.connect()
    columns = ", ".join('"' + name + '" ' + kind for name, kind in COLUMNS.items())
    connection.execute(f"CREATE TABLE t (i INTEGER, {columns})")
    for number, row in enumerate(ROWS):
        connection.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?)", [number, *row.values()])
    return connection


def selected(condition: str) -> list[int]:
    """Positions of the rows that DuckDB selects with the compiled condition."""
    found = table().execute(f"SELECT i FROM t WHERE {compile_filter(condition, COLUMNS)} ORDER BY i").fetchall()
    return [row[0] for row in found]


def quoted(value: Any) -> str:
    """A literal as a user writes it."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return f"date '{value}'" if isinstance(value, date) else repr(value)


def compared(name: str, symbol: str, value: Any) -> Condition:
    """A comparison, in SQL and by three-valued logic."""
    compare = {"=": operator.eq, "<>": operator.ne, "<": operator.lt, ">=": operator.ge, "!=": operator.ne}[symbol]
    return (
        f"{name} {symbol} {quoted(value)}",
        lambda row: None if row[name] is None else bool(compare(row[name], value)),
    )


def conjunction(left: Condition, right: Condition) -> Condition:
    """AND of three-valued logic."""

    def holds(row: Row) -> bool | None:
        values = (left[1](row), right[1](row))
        return False if False in values else None if None in values else True

    return f"({left[0]}) and ({right[0]})", holds


def disjunction(left: Condition, right: Condition) -> Condition:
    """OR of three-valued logic."""

    def holds(row: Row) -> bool | None:
        values = (left[1](row), right[1](row))
        return True if True in values else None if None in values else False

    return f"({left[0]}) OR ({right[0]})", holds


def negation(inner: Condition) -> Condition:
    """NOT of three-valued logic."""

    def holds(row: Row) -> bool | None:
        value = inner[1](row)
        return None if value is None else not value

    return f"not ({inner[0]})", holds


def member(name: str, values: list[Any], negated: bool) -> Condition:
    """IN and NOT IN."""
    words = "not in" if negated else "in"
    return (
        f"{name} {words} ({', '.join(map(quoted, values))})",
        lambda row: None if row[name] is None else (row[name] in values) != negated,
    )


def empty(name: str, negated: bool) -> Condition:
    """IS NULL and IS NOT NULL."""
    return f"{name} is {'not ' if negated else ''}null", lambda row: (row[name] is None) != negated


SYMBOLS = st.sampled_from(["=", "<>", "<", ">=", "!="])
TEXTS = st.sampled_from(["a", "b'c", "", "a%b", "中文", "z", "' OR 1=1 --", "\\", "\n", ";"])
NUMBERS = st.integers(-10, 10)
FLOATS = st.sampled_from([0.0, 0.25, 1.5, 1000000000.0, -2.0, 3.5e-7])
DAYS = st.sampled_from([date(2024, 1, 1), date(2025, 1, 1), date(1970, 1, 1)])
LEAVES = st.one_of(
    st.builds(compared, st.just("name"), SYMBOLS, TEXTS),
    st.builds(compared, st.just("n"), SYMBOLS, NUMBERS),
    st.builds(compared, st.sampled_from(["x", "产值"]), SYMBOLS, FLOATS),
    st.builds(compared, st.just("day"), SYMBOLS, DAYS),
    st.builds(member, st.just("name"), st.lists(TEXTS, min_size=1, max_size=4), st.booleans()),
    st.builds(member, st.just("n"), st.lists(NUMBERS, min_size=1, max_size=4), st.booleans()),
    st.builds(empty, st.sampled_from(sorted(COLUMNS)), st.booleans()),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(conjunction, inner, inner), st.builds(disjunction, inner, inner), st.builds(negation, inner)
    ),
    max_leaves=6,
)


@given(condition=CONDITIONS)
def test_a_filter_selects_the_rows_that_the_condition_holds_for(condition: Condition) -> None:
    """Against three-valued logic written in Python."""
    text, holds = condition

    assert selected(text) == [number for number, row in enumerate(ROWS) if holds(row) is True]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name like 'a%'", [0, 4]),
        ("name not like 'a%'", [1, 2, 5]),
        ("name ILIKE 'A%' and not flag", [4]),
        ("n between -5 and 1", [0, 2, 4]),
        ("n not between -5 and 1", [1, 5]),
        ("lower(upper(name)) = 'a' or length(name) = 2", [0, 5]),
        ("year(day) = 2024 and month(day) = 2 and day(day) = 29", [1]),
        ("coalesce(n, 99) = 99", [3]),
        ("abs(n) = 5 and starts_with(name, 'a')", [4]),
        ("x * 2 + 1 >= 4 - 0", [0, 4]),
        ("flag", [0, 3]),
        ("flag is not true", [1, 2, 4, 5]),
        ('"产值" > 1 -- the rest is a comment', [0, 4]),
        ("NAME = 'a'", [0]),
    ],
)
def test_each_form_of_a_filter(text: str, expected: list[int]) -> None:
    """Every form that the documentation names, against rows chosen by hand."""
    assert selected(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        ";",
        "n = 1; n = 2",
        "1=1) or (1=1",
        "n = 1) UNION SELECT * FROM t --",
        "n = (select 1)",
        "n in (select n from t)",
        "exists (select 1)",
        "n = any (select 1)",
        "select 1",
        "n = 1 order by n",
        "n = 1 limit 1",
        "t.n = 1",
        "public.enterprise.n = 1",
        "secret = 1",
        "_push = 'x'",
        "getenv('HOME') = 'x'",
        "read_text('/etc/passwd') = 'x'",
        "count(*) > 1",
        "sum(n) over () > 1",
        "n::varchar = '1'",
        "try_cast(name as int) = 1",
        "cast(n as varchar) = '1'",
        "case when n = 1 then true end",
        "name ~ 'a'",
        "regexp_matches(name, 'a')",
        "name similar to 'a'",
        "name like 'a' escape '\\'",
        "n between symmetric 1 and 2",
        "n is distinct from 1",
        "columns(*) = 1",
        "* = 1",
        "n = $1",
        "n = ?",
        "n = :x",
        "n[1] = 1",
        "[n] = [1]",
        "{'a': n} = {'a': 1}",
        "list_filter([1], lambda y: y > n) = [1]",
        "name = e'\\x41'",
        "name || 'a' = 'b'",
        "n = 1 collate nocase",
        "name = 'unclosed",
        "n = \x00",
        "n ** 2 = 4",
        "interval 1 day > interval 2 day",
        "trim(both 'x' from name) = 'a'",
        "(" * 100 + "n = 1" + ")" * 100,
        " or ".join(["n = 1"] * 1500),
        "not " * 300 + "flag",
    ],
)
def test_anything_else_in_a_filter_is_refused(text: str) -> None:
    """Other tables, functions, statements, casts and depths: each is one precise problem."""
    with pytest.raises(FilterRefused) as refused:
        compile_filter(text, COLUMNS)

    assert refused.value.members["field"] == "filter"


@example(text="@")
@given(text=st.text(max_size=60))
def test_random_text_compiles_or_is_refused(text: str) -> None:
    """No text crashes the reader, and what is accepted DuckDB can run or refuses for its types alone."""
    try:
        sql = compile_filter(text, COLUMNS)
    except FilterRefused:
        return
    outcome: type[Exception] | None = None
    try:
        table().execute(f"SELECT 1 FROM t WHERE {sql}")
    except duckdb.Error as error:
        outcome = type(error)
    assert outcome not in (duckdb.ParserException, duckdb.CatalogException)
