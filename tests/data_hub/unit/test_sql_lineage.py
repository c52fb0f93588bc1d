"""Column lineage of queries against maps worked out by hand; each query also runs, so that it means something."""

from __future__ import annotations

import duckdb
import pytest
from data_hub.engine.sql_lineage import column_sources

TABLES = {
    "public.firm": ["uscc", "name", "region"],
    "enterprise.month": ["uscc", "period", "revenue", "staff"],
    "public.mixed": ["Id", "Amount"],
}
TYPES = {"revenue": "DOUBLE", "staff": "BIGINT", "Amount": "BIGINT"}
I, T, A, C, W = "IDENTITY", "TRANSFORMATION", "AGGREGATION", "CONDITIONAL", "WINDOW"  # noqa: E741
F, M, X = "public.firm", "enterprise.month", "public.mixed"
FIRM = {(name, F, name, I) for name in TABLES[F]}

CASES = {
    f"SELECT * FROM {F}": FIRM,
    f"FROM {F}": FIRM,
    f"FROM {F} SELECT name": {("name", F, "name", I)},
    f"SELECT name AS n, uscc FROM {F} WHERE region = '370303'": {("n", F, "name", I), ("uscc", F, "uscc", I)},
    f"SELECT upper(name) AS n, uscc || region AS key FROM {F}": {
        ("n", F, "name", T), ("key", F, "uscc", T), ("key", F, "region", T),
    },
    f"SELECT (name) AS n FROM {F}": {("n", F, "name", I)},
    f"SELECT revenue::INTEGER AS r, coalesce(revenue, staff) AS c FROM {M}": {
        ("r", M, "revenue", T), ("c", M, "revenue", T), ("c", M, "staff", T),
    },
    f"SELECT uscc AS u, u || 'x' AS w FROM {F}": {("u", F, "uscc", I), ("w", F, "uscc", T)},
    f"SELECT period, sum(revenue) AS r, count(*) AS n, 1 AS one FROM {M} GROUP BY period": {
        ("period", M, "period", I), ("r", M, "revenue", A),
    },
    f"SELECT period, sum(revenue) / sum(staff) AS each FROM {M} GROUP BY ALL": {
        ("period", M, "period", I), ("each", M, "revenue", A), ("each", M, "staff", A),
    },
    f"SELECT max_by(period, revenue) AS best FROM {M}": {("best", M, "period", A), ("best", M, "revenue", A)},
    f"SELECT sum(revenue) FILTER (WHERE period > '2025') AS s FROM {M}": {
        ("s", M, "revenue", A), ("s", M, "period", C),
    },
    f"SELECT CASE WHEN region = '37' THEN name ELSE uscc END AS z FROM {F}": {
        ("z", F, "region", C), ("z", F, "name", T), ("z", F, "uscc", T),
    },
    f"SELECT if(revenue > 0, period, uscc) AS q FROM {M}": {
        ("q", M, "revenue", C), ("q", M, "period", T), ("q", M, "uscc", T),
    },
    f"SELECT uscc, row_number() OVER (PARTITION BY period ORDER BY revenue) AS place FROM {M}": {
        ("uscc", M, "uscc", I), ("place", M, "period", W), ("place", M, "revenue", W),
    },
    f"SELECT lag(revenue) OVER (PARTITION BY uscc ORDER BY period) AS before FROM {M}": {
        ("before", M, "revenue", T), ("before", M, "uscc", W), ("before", M, "period", W),
    },
    f"SELECT f.name, m.revenue FROM {F} f JOIN {M} m ON f.uscc = m.uscc": {
        ("name", F, "name", I), ("revenue", M, "revenue", I),
    },
    f"SELECT uscc, name FROM {F} JOIN {M} USING (uscc)": {
        ("uscc", F, "uscc", T), ("uscc", M, "uscc", T), ("name", F, "name", I),
    },
    f"SELECT f.*, m.revenue FROM {F} f LEFT JOIN {M} m ON f.uscc = m.uscc": {*FIRM, ("revenue", M, "revenue", I)},
    f"SELECT * EXCLUDE (region) FROM {F}": {("uscc", F, "uscc", I), ("name", F, "name", I)},
    f"SELECT * REPLACE (upper(name) AS name) FROM {F}": {
        ("uscc", F, "uscc", I), ("name", F, "name", T), ("region", F, "region", I),
    },
    f"SELECT x.n FROM (SELECT name AS n FROM {F}) x": {("n", F, "name", I)},
    f"WITH a AS (SELECT uscc, revenue * 2 AS r FROM {M}), b AS (SELECT uscc, max(r) AS top FROM a GROUP BY 1)"
    " SELECT * FROM b": {
        ("uscc", M, "uscc", I), ("top", M, "revenue", A),
    },
    f"WITH firm AS (SELECT period AS name FROM {M}) SELECT name FROM firm": {("name", M, "period", I)},
    f"SELECT name FROM {F} UNION ALL SELECT period FROM {M}": {("name", F, "name", I), ("name", M, "period", I)},
    f"SELECT (SELECT max(m.revenue) FROM {M} m WHERE m.uscc = f.uscc) AS top FROM {F} f": {("top", M, "revenue", A)},
    f"SELECT f.uscc IN (SELECT m.uscc FROM {M} m) AS known FROM {F} f": {
        ("known", F, "uscc", T), ("known", M, "uscc", T),
    },
    f"SELECT uscc, unnest([name, region]) AS u FROM {F}": {
        ("uscc", F, "uscc", I), ("u", F, "name", T), ("u", F, "region", T),
    },
    f"SELECT f.uscc, r.range AS k FROM {F} f, range(3) r": {("uscc", F, "uscc", I)},
    f"SELECT list_transform([revenue], lambda x: x + staff) AS l FROM {M}": {
        ("l", M, "revenue", T), ("l", M, "staff", T),
    },
    f"SELECT DISTINCT ON (uscc) uscc, period FROM {M} ORDER BY uscc, period DESC": {
        ("uscc", M, "uscc", I), ("period", M, "period", I),
    },
    f"SELECT uscc FROM {M} QUALIFY row_number() OVER (PARTITION BY uscc ORDER BY period DESC) = 1": {
        ("uscc", M, "uscc", I),
    },
    f"SELECT a.name, b.name AS other FROM {F} a JOIN {F} b ON a.region = b.region": {
        ("name", F, "name", I), ("other", F, "name", I),
    },
    "SELECT ID, amount + 1 AS more FROM public.Mixed": {("Id", X, "Id", I), ("more", X, "Amount", T)},
    f'SELECT "Id" AS "编号" FROM {X}': {("编号", X, "Id", I)},
    f"SELECT name FROM {F} WHERE uscc = $u ORDER BY region LIMIT 3": {("name", F, "name", I)},
    "SELECT * FROM (VALUES (1, 'a')) v(a, b)": set(),
}  # fmt: skip
NOT_TOLD = [
    f"SELECT COLUMNS('u.*') FROM {F}",
    f"SELECT name.upper() AS n FROM {F}",
    f"PIVOT {M} ON period IN ('2025-01', '2025-02') USING sum(revenue) GROUP BY uscc",
]


@pytest.fixture(scope="module")
def engine() -> duckdb.DuckDBPyConnection:
    """Empty tables of the same shape."""
    made = duckdb.connect()
    for name, columns in TABLES.items():
        warehouse, dataset = name.split(".")
        made.execute(f"CREATE SCHEMA IF NOT EXISTS {warehouse}")
        shape = ", ".join(f"{column} {TYPES.get(column, 'VARCHAR')}" for column in columns)
        made.execute(f"CREATE TABLE {warehouse}.{dataset} ({shape})")
    return made


def outputs(engine: duckdb.DuckDBPyConnection, sql: str) -> list[str]:
    """The columns that the engine gives."""
    return list(engine.sql(sql, params={"u": "x"} if "$u" in sql else None).columns)


@pytest.mark.parametrize("sql", CASES)
def test_columns_come_from_where_a_reader_finds_them(engine: duckdb.DuckDBPyConnection, sql: str) -> None:
    """The whole map: nothing missing, nothing added."""
    found = column_sources(sql, TABLES, outputs(engine, sql))

    assert found is not None
    assert len(found) == len(set(found))
    assert set(found) == CASES[sql]


@pytest.mark.parametrize("sql", NOT_TOLD)
def test_what_is_not_followed_is_said_to_be_unknown(engine: duckdb.DuckDBPyConnection, sql: str) -> None:
    """No map rather than a wrong one."""
    assert column_sources(sql, TABLES, outputs(engine, sql)) is None


@pytest.mark.parametrize("sql", ["SELECT", "SELECT n FROM nowhere", f"SELECT x FROM {F}", "SELECT 1; SELECT 2", ""])
def test_text_that_is_no_query_is_unknown(sql: str) -> None:
    """The engine refuses it; this reading must only not fail."""
    assert column_sources(sql, TABLES, ["x"]) is None


def test_a_result_of_another_width_is_unknown() -> None:
    """When the two readings differ the engine is right and this one says nothing."""
    assert column_sources(f"SELECT * FROM {F}", TABLES, ["uscc", "name"]) is None


def test_what_takes_long_to_read_is_unknown() -> None:
    """Seventy queries inside each other, and a text of more than ten thousand characters."""
    nested = f"SELECT uscc FROM {F}"
    for number in range(70):
        nested = f"SELECT uscc FROM ({nested}) t{number}"
    assert column_sources(nested, TABLES, ["uscc"]) is None
    terms = " + ".join(["revenue"] * 1_100)
    assert column_sources(f"SELECT {terms} AS r FROM {M}", TABLES, ["r"]) is None
