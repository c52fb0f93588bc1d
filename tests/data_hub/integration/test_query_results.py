"""Results in every format say the same; pages of one result fit together; the history is the caller's own."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data_hub.small_warehouse import CHEM_KEY, OPERATOR, STEEL, STEEL_KEY, ReadingService, filled, principal

CSV, ARROW, PARQUET = "text/csv", "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"
TYPES = """
    SELECT 1::TINYINT AS tiny, 9007199254740993 AS big, -9007199254740991 AS safe,
    170141183460469231731687303715884105727 AS huge, 12.50::DECIMAL(10, 2) AS money,
    1234567890123456.78::DECIMAL(18, 2) AS exact, 0.1::DOUBLE AS fraction,
    'nan'::DOUBLE AS nan, 'inf'::DOUBLE AS infinite, true AS yes, DATE '2024-02-29' AS day, TIME '01:02:03' AS clock,
    TIMESTAMPTZ '2024-01-01 08:00:00+08' AS moment, TIMESTAMPTZ '2024-01-01 00:00:00.5+00' AS parted,
    TIMESTAMP '2024-01-01 00:00:00' AS naive, INTERVAL '1 month 2 days 3.5 seconds' AS span, '中文 "x", y' AS text,
    'ab'::BLOB AS binary, [1, 2] AS list, {'a': 1, 'b': NULL} AS pair, MAP {'k': 1.5} AS map, NULL AS nothing,
    'x'::ENUM('x', 'y') AS kind, uuid '00000000-0000-0000-0000-000000000001' AS id, '{"a": 1}'::JSON AS document
"""
# What the documentation promises, written by hand.
EXPECTED: dict[str, Any] = {
    "tiny": 1,
    "big": "9007199254740993",
    "safe": -9007199254740991,
    "huge": "170141183460469231731687303715884105727",
    "money": 12.5,
    "exact": "1234567890123456.78",
    "fraction": 0.1,
    "nan": None,
    "infinite": None,
    "yes": True,
    "day": "2024-02-29",
    "clock": "01:02:03",
    "moment": "2024-01-01T00:00:00Z",
    "parted": "2024-01-01T00:00:00.500000Z",
    "naive": "2024-01-01T00:00:00",
    "span": "P1M2DT3.5S",
    "text": '中文 "x", y',
    "binary": "YWI=",
    "list": [1, 2],
    "pair": {"a": 1, "b": None},
    "map": [["k", 1.5]],
    "nothing": None,
    "kind": "x",
    "id": "00000000-0000-0000-0000-000000000001",
    "document": '{"a": 1}',
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadingService]:
    """The small warehouse."""
    made = filled(ReadingService(tmp_path_factory.mktemp("results"), data_hub_query_results_s=600))
    yield made
    made.close()


def test_every_type_as_json(service: ReadingService) -> None:
    """Exactly the forms that the documentation promises, with the SQL type beside each column."""
    body = service.query(OPERATOR, TYPES).json()
    item = body["items"][0]

    assert item["clock"].startswith("01:02:03")
    assert item | {"clock": "01:02:03"} == EXPECTED
    types = {column["name"]: column["type"] for column in body["columns"]}
    assert (types["huge"], types["money"], types["moment"]) == (
        "HUGEINT",
        "DECIMAL(10,2)",
        "TIMESTAMP WITH TIME ZONE",
    )


def test_every_type_as_csv(service: ReadingService) -> None:
    """Texts as in JSON, nulls empty, nested values as JSON."""
    reply = service.query(OPERATOR, TYPES, accept=CSV)
    row = next(csv.DictReader(io.StringIO(reply.content.decode())))

    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    assert {name: row[name] for name in ("big", "exact", "moment", "text", "nan", "nothing", "kind", "yes")} == {
        "big": "9007199254740993",
        "exact": "1234567890123456.78",
        "moment": "2024-01-01T00:00:00Z",
        "text": '中文 "x", y',
        "nan": "",
        "nothing": "",
        "kind": "x",
        "yes": "true",
    }
    assert json.loads(row["pair"]) == {"a": 1, "b": None}


@pytest.mark.parametrize("accept", [ARROW, PARQUET])
def test_every_type_as_arrow_and_parquet(service: ReadingService, accept: str) -> None:
    """Values keep their types."""
    content = service.query(OPERATOR, TYPES.replace("TIMESTAMP '2024", "TIMESTAMP_S '2024"), accept=accept).content
    table = pa.ipc.open_stream(content).read_all() if accept == ARROW else pq.read_table(io.BytesIO(content))
    row = table.to_pylist()[0]

    assert (row["big"], row["exact"], row["day"]) == (
        9007199254740993,
        Decimal("1234567890123456.78"),
        date(2024, 2, 29),
    )
    assert row["moment"] == datetime(2024, 1, 1, tzinfo=UTC)
    assert (row["binary"], row["list"], row["kind"]) == (b"ab", [1, 2], "x")


@pytest.mark.parametrize(
    "sql", ["SELECT * FROM enterprise.enterprise_monthly ORDER BY uscc, month", "SELECT * FROM public.empty"]
)
def test_all_formats_carry_the_same_rows(service: ReadingService, sql: str) -> None:
    """JSON, CSV, Arrow and Parquet read back equal, also without any row."""
    page = service.query(OPERATOR, sql).json()
    names = [column["name"] for column in page["columns"]]
    text = list(csv.reader(io.StringIO(service.query(OPERATOR, sql, accept=CSV).content.decode())))
    arrow = pa.ipc.open_stream(service.query(OPERATOR, sql, accept=ARROW).content).read_all()
    parquet = pq.read_table(io.BytesIO(service.query(OPERATOR, sql, accept=PARQUET).content))

    assert text[0] == names == arrow.column_names == parquet.column_names
    assert arrow.equals(parquet)
    assert arrow.num_rows == len(page["items"]) == len(text) - 1
    if page["items"]:
        assert [item["revenue"] for item in page["items"]] == arrow["revenue"].to_pylist()
        assert [[str(int(item["revenue"])), item["note"]] for item in page["items"]] == [[r[2], r[4]] for r in text[1:]]


def test_csv_for_spreadsheets(service: ReadingService) -> None:
    """A byte order mark and defused formulas, when asked for; without, the exact texts."""
    sql = "SELECT * FROM (VALUES ('=1+1'), ('@x'), ('-5'), ('plain'), ('\t=x'), (NULL)) t(\"=v\")"
    path = "/v1/queries"
    headers = {"accept": CSV}
    exact = service.query(OPERATOR, sql, accept=CSV).content.decode()
    safe = service.call(
        OPERATOR, "POST", path, json={"sql": sql}, headers=headers, params={"bom": "true", "escape_formulas": "true"}
    ).content

    assert exact.splitlines()[0:2] == ['"=v"', '"=1+1"']
    assert safe.startswith(b"\xef\xbb\xbf")
    rows = [row[0] if row else "" for row in csv.reader(io.StringIO(safe.decode("utf-8-sig")))]
    assert rows == ["'=v", "'=1+1", "'@x", "'-5", "plain", "'\t=x", ""]


@pytest.mark.parametrize(
    ("accept", "status", "kind"),
    [
        ("*/*", 200, "application/json"),
        ("text/html, application/json;q=0.5", 200, "application/json"),
        ("text/csv;q=0.9, application/json;q=0.1", 200, "text/csv; charset=utf-8"),
        ("application/json;q=0, text/csv", 200, "text/csv; charset=utf-8"),
        ("image/png", 406, "application/problem+json"),
    ],
)
def test_the_accept_header_decides(service: ReadingService, accept: str, status: int, kind: str) -> None:
    """By weight, then by order; what cannot be given is a 406."""
    reply = service.query(OPERATOR, "SELECT 1", accept=accept)

    assert (reply.status, reply.headers["content-type"]) == (status, kind)


def test_pages_of_a_result_fit_together_and_belong_to_their_owner(service: ReadingService) -> None:
    """Every row once, in order; another credential, of the same organisation too, finds nothing."""
    sql = "SELECT i, i * i AS square FROM range(25000) t(i)"
    page = service.query(STEEL_KEY, sql, limit=7000).json()
    found = list(page["items"])
    path = f"/v1/queries/{page['id']}/rows"
    foreign = [
        service.call(caller, "GET", path, params={"after": page["next"]}).status
        for caller in (CHEM_KEY, OPERATOR, principal(STEEL, subject="another key"))
    ]
    while page["next"]:
        page = service.call(STEEL_KEY, "GET", path, params={"after": page["next"], "limit": 7000}).json()
        found += page["items"]

    assert [item["i"] for item in found] == list(range(25000))
    assert found[-1]["square"] == 24999**2
    assert foreign == [404, 404, 404]
    assert service.call(STEEL_KEY, "GET", path, params={"after": "x"}).status == 422
    assert service.call(STEEL_KEY, "GET", path, params={"after": "999999"}).json()["items"] == []


def test_a_kept_result_goes_away_after_its_time(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Then the answer says to ask again."""
    service = ReadingService(tmp_path_factory.mktemp("short"), data_hub_query_results_s=0.001)
    try:
        page = service.query(STEEL_KEY, "SELECT * FROM range(10)", limit=5).json()
        time.sleep(0.1)
        service.reading.queries._kept.tend()
        reply = service.call(STEEL_KEY, "GET", f"/v1/queries/{page['id']}/rows", params={"after": "5"})
    finally:
        service.close()

    assert (reply.status, reply.json()["code"]) == (404, "query_unknown")


def test_results_together_stay_within_their_space(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The oldest give way."""
    service = ReadingService(tmp_path_factory.mktemp("space"), data_hub_query_results_mib=2, data_hub_query_kept_mib=1)
    try:
        sql = "SELECT repeat('x', 1000) AS x FROM range(900)"
        pages = [service.query(STEEL_KEY, sql, limit=1).json() for _ in range(4)]
        status = [
            service.call(STEEL_KEY, "GET", f"/v1/queries/{page['id']}/rows", params={"after": "1"}).status
            for page in pages
        ]
        cut = service.query(STEEL_KEY, sql.replace("900", "9000"), limit=1).json()
    finally:
        service.close()

    assert status == [404, 404, 200, 200]
    assert cut["truncated"]


def test_repeated_column_names_are_told_apart(service: ReadingService) -> None:
    """No value is lost in a JSON object."""
    body = service.query(OPERATOR, "SELECT 1 AS a, 2 AS a, 3 AS a_1, 4 AS A").json()

    assert sorted(body["items"][0].values()) == [1, 2, 3, 4]
    assert [column["name"] for column in body["columns"]] == list(body["items"][0])


def test_parameters_are_bound_and_never_spliced(service: ReadingService) -> None:
    """By name, by position, with any content; wrong ones are named."""
    hostile = "'; DROP TABLE x; --"
    assert service.query(OPERATOR, "SELECT $a AS a", parameters={"a": hostile}).json()["items"] == [{"a": hostile}]
    assert service.query(OPERATOR, "SELECT ? + ? AS n", parameters=[1, 2]).json()["items"] == [{"n": 3}]
    assert service.query(OPERATOR, "SELECT $1 + $1 AS n", parameters=[2]).json()["items"] == [{"n": 4}]
    assert service.query(OPERATOR, "SELECT $a IS NULL AS n", parameters={"a": None}).json()["items"] == [{"n": True}]
    wrong = service.query(OPERATOR, "SELECT $a", parameters={"b": 1}).json()
    assert (wrong["code"], wrong["missing"], wrong["surplus"]) == ("query_parameters", ["a"], ["b"])
    assert service.query(OPERATOR, "SELECT ?", parameters=[[1]]).json()["field"] == "1"
    assert service.query(OPERATOR, "SELECT ?", parameters=[2**200]).json()["code"] == "query_parameters"


@pytest.mark.parametrize(
    "body",
    [{}, {"sql": 1}, {"sql": "SELECT 1", "limit": 0}, {"sql": "SELECT 1", "surprise": 1}, {"sql": "x" * 100_001}],
)
def test_a_malformed_request_names_its_fields(service: ReadingService, body: dict[str, Any]) -> None:
    """problem+json with the field."""
    reply = service.call(OPERATOR, "POST", "/v1/queries", json=body)

    assert (reply.status, reply.json()["code"]) == (422, "fields_invalid")


def test_the_history_is_the_callers_own_newest_first(tmp_path_factory: pytest.TempPathFactory) -> None:
    """With state, rows and milliseconds; page after page."""
    service = filled(ReadingService(tmp_path_factory.mktemp("history")))
    try:
        for number in range(5):
            service.query(STEEL_KEY, f"SELECT {number} FROM public.enterprise")
        service.query(STEEL_KEY, "SELECT getenv('x')")
        service.query(CHEM_KEY, "SELECT 'not yours'")
        first = service.call(STEEL_KEY, "GET", "/v1/queries", params={"limit": 4}).json()
        second = service.call(STEEL_KEY, "GET", "/v1/queries", params={"limit": 4, "after": first["next"]}).json()
        bad = service.call(STEEL_KEY, "GET", "/v1/queries", params={"after": "nonsense"})
    finally:
        service.close()

    items = first["items"] + second["items"]
    assert [item["state"] for item in items] == ["refused"] + ["done"] * 5
    assert [item["sql"] for item in items[1:]] == [
        f"SELECT {number} FROM public.enterprise" for number in range(4, -1, -1)
    ]
    assert (items[1]["rows"], items[1]["datasets"], items[0]["problem"]) == (
        2,
        ["public.enterprise"],
        "query_function_refused",
    )
    assert all(item["elapsed_ms"] > 0 for item in items)
    assert second["next"] is None
    assert (bad.status, bad.json()["code"]) == (422, "cursor_invalid")


def test_an_export_is_audited_with_its_size_alone(service: ReadingService) -> None:
    """Who took how many rows of what; no value."""
    from brain_kit.database.tables import OUTBOX

    service.query(STEEL_KEY, "SELECT * FROM enterprise.enterprise_monthly", accept=CSV)
    with service.database.reading() as session:
        last = session.execute(OUTBOX.select().order_by(OUTBOX.c.id.desc()).limit(1)).mappings().one()["data"]
    assert isinstance(last, dict)

    assert (last["action"], last["subject"]) == ("query.export", STEEL_KEY.subject)
    assert last["detail"] == {"format": "csv", "rows": 12, "datasets": ["enterprise.enterprise_monthly"]}


def test_shadowing_names_of_common_tables_mean_what_sql_says(service: ReadingService) -> None:
    """A common table may carry a data set's name; the qualified name still means the data set."""
    sql = """
        WITH enterprise AS (SELECT 1 AS n)
        SELECT (SELECT n FROM enterprise) AS n, count(*) AS c FROM public.enterprise
    """
    nested = """
        WITH a AS (SELECT 1 AS n), b AS (SELECT n + 1 AS n FROM a)
        SELECT * FROM (WITH a AS (SELECT 9 AS n) SELECT a.n, b.n AS m FROM a, b)
    """

    assert service.query(OPERATOR, sql).json()["items"] == [{"n": 1, "c": 2}]
    assert service.query(OPERATOR, nested).json()["items"] == [{"n": 9, "m": 2}]


@pytest.mark.parametrize(
    ("sql", "first"),
    [
        ("FROM public.enterprise SELECT count(*) AS n", {"n": 2}),
        (
            "SELECT count(*) n FROM public.enterprise a ASOF JOIN public.enterprise b ON a.founded >= b.founded",
            {"n": 2},
        ),
        ("PIVOT (SELECT 1 a, 2 b) ON a IN (1) USING sum(b)", {"1": 2}),
        ("SELECT * FROM (SELECT 1 a, 2 b) PIVOT (sum(b) FOR a IN (1))", {"1": 2}),
        ("SELECT * FROM (SELECT 1 a, 2 b) UNPIVOT (v FOR n IN (a, b)) ORDER BY v DESC", {"n": "b", "v": 2}),
        ("SELECT a FROM (VALUES (1), (2)) t(a) QUALIFY row_number() OVER (ORDER BY a DESC) = 1", {"a": 2}),
        ("SELECT 1 AS a UNION ALL BY NAME SELECT 2 AS a ORDER BY a DESC LIMIT 1", {"a": 2}),
        ("VALUES (1)", {"col0": 1}),
        ("SELECT count(*) <= 2 AS few FROM public.enterprise TABLESAMPLE 50.5% (bernoulli)", {"few": True}),
        ("SELECT count(*) AS n FROM public.enterprise USING SAMPLE 2 ROWS (reservoir, 42)", {"n": 2}),
        ("TABLE public.enterprise LIMIT 0", None),
        ("SELECT list_sum([x * 2 FOR x IN range(4)]) AS s", {"s": 12}),
        ("SELECT COLUMNS('^n') FROM public.enterprise ORDER BY 1 LIMIT 1", {"name": "鲁中化工"}),
        ("SELECT strftime(date_trunc('month', DATE '2024-05-06'), '%Y-%m') AS m", {"m": "2024-05"}),
        ("SELECT name FROM public.enterprise WHERE name LIKE '%钢%' -- comment\n;", {"name": "齐鲁钢铁"}),
        ("SELECT sum(x) AS s FROM unnest([1, 2]) t(x), generate_series(1, 2) g(y)", {"s": 6}),
        ("SELECT g.k, count(*) AS c FROM (SELECT 1 k) g GROUP BY ROLLUP (g.k) ORDER BY ALL LIMIT 1", {"k": 1, "c": 1}),
    ],
)
def test_the_dialect_of_analysts_is_not_cut_down(
    service: ReadingService, sql: str, first: dict[str, Any] | None
) -> None:
    """What DuckDB offers for reading works, as far as it is one SELECT."""
    reply = service.query(OPERATOR, sql)

    assert reply.status == 200, reply.content
    assert (reply.json()["items"] or [None])[0] == first
