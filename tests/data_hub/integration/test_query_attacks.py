"""SQL that writes, reads files, changes settings, recurses or reaches for other tenants' rows is refused.

The caller is an enterprise; another enterprise's rows carry the word `secret`, and her org code is CHEM.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data_hub.small_warehouse import CHEM, STEEL, STEEL_KEY, ReadingService, filled

NOT_SELECT, NOT_SINGLE, SYNTAX = "query_not_select", "query_not_single", "query_syntax"
TABLE, FUNCTION, RECURSIVE, REFUSED = (
    "query_table_unknown",
    "query_function_refused",
    "query_recursive",
    "query_refused",
)
M = "enterprise.enterprise_monthly"

WRITES = [
    f"INSERT INTO {M} VALUES ('x')",
    f"DELETE FROM {M}",
    f"UPDATE {M} SET revenue = 0",
    f"MERGE INTO {M} USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
    f"TRUNCATE {M}",
    f"DROP TABLE {M}",
    f"DROP VIEW {M}",
    f"ALTER TABLE {M} ADD COLUMN x INT",
    "CREATE TABLE x AS SELECT 1",
    "CREATE OR REPLACE VIEW x AS SELECT 1",
    "CREATE TEMP TABLE x (a INT)",
    "CREATE MACRO f() AS 1",
    "CREATE FUNCTION f() AS TABLE SELECT 1",
    "CREATE SCHEMA x",
    "CREATE SECRET s (TYPE s3)",
    "CREATE SEQUENCE s",
    "CREATE TYPE t AS ENUM ('a')",
    "CREATE INDEX i ON x (a)",
    "COPY (SELECT 1) TO '/tmp/x.csv'",
    f"COPY {M} TO 'x.parquet' (FORMAT parquet)",
    f"COPY {M} FROM '/etc/passwd'",
    "EXPORT DATABASE '/tmp/x'",
    "IMPORT DATABASE '/tmp/x'",
    "ATTACH '/tmp/x.db' AS x",
    "DETACH memory",
    "USE memory",
    "INSTALL httpfs",
    "LOAD httpfs",
    "UPDATE EXTENSIONS",
    "SET enable_external_access = true",
    "SET GLOBAL threads = 64",
    "SET VARIABLE x = 1",
    "RESET lock_configuration",
    "PRAGMA database_list",
    f"PRAGMA table_info('{M}')",
    "PRAGMA enable_profiling",
    "CALL pragma_version()",
    "CALL query('SELECT 1')",
    "CHECKPOINT",
    "FORCE CHECKPOINT",
    "VACUUM",
    "ANALYZE",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "DEALLOCATE p",
    "EXPLAIN SELECT 1",
    f"EXPLAIN ANALYZE SELECT * FROM {M}",
    "COMMENT ON TABLE x IS 'y'",
    "GRANT SELECT ON x TO y",
    f"WITH x AS (INSERT INTO {M} VALUES ('x') RETURNING *) SELECT * FROM x",
    f"WITH x AS (DELETE FROM {M} RETURNING *) SELECT * FROM x",
    f"WITH x AS (UPDATE {M} SET revenue = 0 RETURNING *) SELECT * FROM x",
    f"WITH x AS (SELECT 1) INSERT INTO {M} SELECT * FROM x",
    f"PIVOT {M} ON month USING sum(revenue)",
    "DESCRIBE enterprise.enterprise_monthly",
    "DESCRIBE SELECT 1",
    "SUMMARIZE enterprise.enterprise_monthly",
    "SHOW TABLES",
    "SHOW ALL TABLES",
    "SHOW DATABASES",
    "SELECT * FROM (DESCRIBE enterprise.enterprise_monthly)",
    "SELECT * FROM (SHOW TABLES)",
    "SELECT * FROM (SUMMARIZE enterprise.enterprise_monthly)",
]
SEVERAL = [
    "SELECT 1; SELECT 2",
    f"SELECT 1; DROP TABLE {M}",
    "SELECT 1;; SELECT getenv('HOME')",
    "/* only a comment */",
    "",
    ";",
    "SELECT 1; -- x\nSET threads = 64",
]
FILES = [
    "SELECT * FROM read_parquet('{file}')",
    "SELECT * FROM parquet_scan('{file}')",
    "SELECT * FROM read_parquet(['{file}'])",
    "SELECT * FROM READ_PARQUET('{file}')",
    "SELECT * FROM \"read_parquet\"('{file}')",
    "SELECT * FROM main.read_parquet('{file}')",
    "SELECT * FROM system.main.read_parquet('{file}')",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_csv_auto('/etc/passwd')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM read_json('/etc/passwd')",
    "SELECT * FROM read_json_auto('/etc/passwd')",
    "SELECT * FROM read_ndjson('/etc/passwd')",
    "SELECT * FROM read_json_objects('/etc/passwd')",
    "SELECT * FROM glob('/**')",
    "SELECT * FROM parquet_metadata('{file}')",
    "SELECT * FROM parquet_schema('{file}')",
    "SELECT * FROM parquet_file_metadata('{file}')",
    "SELECT * FROM parquet_bloom_probe('{file}', 'uscc', 'x')",
    "SELECT * FROM read_duckdb('/tmp/x.db')",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('enterprise.enterprise_monthly')",
    "SELECT * FROM json_execute_serialized_sql('x')",
    "SELECT * FROM summary((SELECT 1))",
    "SELECT * FROM histogram('x', 'y')",
    "SELECT * FROM duckdb_views()",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_tables()",
    "SELECT * FROM duckdb_external_file_cache()",
    "SELECT * FROM duckdb_logs()",
    "SELECT * FROM pragma_table_info('x')",
    "SELECT * FROM pragma_storage_info('x')",
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "SELECT * FROM pandas_scan(1)",
    "SELECT * FROM seq_scan('x')",
    "SELECT * FROM repeat(1, 1000000000)",
    "SELECT * FROM test_all_types()",
    "SELECT * FROM which_secret('s3://x', 's3')",
    "SELECT * FROM public.enterprise, LATERAL (SELECT * FROM read_text('/etc/passwd'))",
    "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "FROM read_text('/etc/passwd')",
    "WITH t AS (FROM read_text('/etc/passwd')) FROM t",
    "SELECT 1 WHERE EXISTS (FROM read_text('/etc/passwd'))",
    "VALUES ((SELECT content FROM read_text('/etc/passwd')))",
    "SELECT * FROM range(3) UNION ALL SELECT content FROM read_text('/etc/passwd')",
    "SELECT 1 ORDER BY (SELECT content FROM read_text('/etc/passwd'))",
    "SELECT 1 LIMIT (SELECT count(*) FROM glob('/*'))",
]
FUNCTIONS = [
    "SELECT getenv('HOME')",
    "SELECT 'HOME'.getenv()",
    "SELECT current_setting('temp_directory')",
    "SELECT getvariable('x')",
    "SELECT stats(revenue) FROM enterprise.enterprise_monthly",
    "SELECT current_query()",
    "SELECT current_database()",
    "SELECT pg_sleep(60)",
    "SELECT sleep_ms(60000)",
    "SELECT write_log('x')",
    "SELECT json_serialize_sql('SELECT 1')",
    "SELECT json_deserialize_sql('x')",
    "SELECT json_serialize_plan('SELECT 1')",
    "SELECT nextval('s')",
    "SELECT setseed(0.5)",
    "SELECT txid_current()",
    "SELECT in_search_path('a', 'b')",
    "SELECT vector_type(revenue) FROM enterprise.enterprise_monthly",
    "SELECT pg_get_viewdef(1)",
    "SELECT has_table_privilege('x', 'y')",
    "SELECT create_sort_key(1, 'ASC')",
    "SELECT parse_path('/a/b')",
    "SELECT system.main.getenv('HOME')",
    "SELECT main.lower('A')",
    "SELECT no_such_function(1)",
    "SELECT sum(1) FILTER (WHERE getenv('A') = 'x')",
    "SELECT list_transform([1], lambda x: getenv('HOME'))",
    "SELECT [getenv(x) FOR x IN ['HOME']]",
    "SELECT CASE WHEN getenv('A') = 'x' THEN 1 END",
    "SELECT row_number() OVER (ORDER BY getenv('A'))",
    "SELECT 1 GROUP BY getenv('A')",
    "SELECT count(*) HAVING getenv('A') = 'x'",
    "SELECT columns(lambda c: getenv(c) = 'x') FROM public.enterprise",
    "SELECT * REPLACE (getenv('A') AS uscc) FROM public.enterprise",
    "SELECT DISTINCT ON (getenv('A')) 1",
    "SELECT * FROM range(getenv('A')::INT)",
    "SELECT * FROM unnest([getenv('A')])",
    "SELECT * FROM public.enterprise a JOIN public.enterprise b ON getenv('A') = a.uscc",
    "SELECT string_agg(uscc, ',' ORDER BY getenv('A')) FROM public.enterprise",
]
TABLES = [
    "SELECT * FROM '{file}'",
    'SELECT * FROM "{file}"',
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM 'https://example.org/x.parquet'",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM INFORMATION_SCHEMA.VIEWS",
    "SELECT * FROM pg_catalog.pg_views",
    "SELECT * FROM pg_class",
    "SELECT * FROM duckdb_views",
    "SELECT * FROM duckdb_settings",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM main.sqlite_master",
    "SELECT * FROM system.main.duckdb_views",
    "SELECT * FROM memory.enterprise.enterprise_monthly",
    "SELECT * FROM temp.enterprise.enterprise_monthly",
    "SELECT * FROM enterprise_monthly",
    'SELECT * FROM "enterprise.enterprise_monthly"',
    "SELECT * FROM enterprise.other",
    f'SELECT * FROM enterprise."{CHEM}"',
    f'SELECT * FROM "{CHEM}".enterprise_monthly',
    "SELECT * FROM enterprise.enterprise_monthly.data",
    "SELECT * FROM e.enterprise_monthly",
    "SELECT * FROM public.enterprise UNION SELECT * FROM duckdb_views",
    "SELECT * FROM (SELECT * FROM sqlite_master)",
    "WITH sqlite_master AS (SELECT * FROM sqlite_master) SELECT * FROM sqlite_master",
    "WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a",
    "SELECT * FROM (WITH sqlite_master AS (SELECT 1) SELECT * FROM sqlite_master), sqlite_master",
    "SELECT (WITH duckdb_views AS (SELECT 1 x) SELECT x FROM duckdb_views) FROM duckdb_views",
    "(WITH pg_views AS (SELECT 1) SELECT * FROM pg_views) UNION ALL SELECT 1 FROM pg_views",
    "SELECT 1 WHERE EXISTS (SELECT * FROM duckdb_settings)",
    "SELECT 1 IN (SELECT 1 FROM sqlite_master)",
    "FROM sqlite_master SELECT sql",
    "TABLE sqlite_master",
    "SELECT * FROM sqlite_master PIVOT (count(*) FOR name IN ('x'))",
    "SELECT * FROM (UNPIVOT sqlite_master ON name INTO NAME n VALUE v)",
    "SELECT * FROM sqlite_master TABLESAMPLE 10%",
    "SELECT * FROM public.enterprise SEMI JOIN sqlite_master USING (name)",
    "SELECT * FROM public.enterprise POSITIONAL JOIN sqlite_master",
    "SELECT * FROM public.enterprise, LATERAL (SELECT * FROM sqlite_master)",
    "SELECT df FROM df",
    "SELECT * FROM sys.modules",
]
RECURSIONS = [
    "WITH RECURSIVE t AS (SELECT 1 a UNION ALL SELECT a + 1 FROM t) SELECT * FROM t",
    "WITH RECURSIVE t(a) AS (VALUES (1) UNION SELECT a FROM t) SELECT * FROM t",
    "WITH RECURSIVE t(a) USING KEY (a) AS (SELECT 1 UNION SELECT a + 1 FROM t) SELECT * FROM t",
    "WITH RECURSIVE t AS MATERIALIZED (SELECT 1 a UNION ALL SELECT a + 1 FROM t) SELECT * FROM t",
    "SELECT * FROM (WITH RECURSIVE t AS (SELECT 1 a UNION ALL SELECT a FROM t) SELECT * FROM t)",
    "SELECT (WITH RECURSIVE t AS (SELECT 1 a UNION ALL SELECT a FROM t) SELECT max(a) FROM t)",
    "WITH x AS (WITH RECURSIVE t AS (SELECT 1 a UNION ALL SELECT a FROM t) SELECT * FROM t) SELECT * FROM x",
]
OTHERS = [
    ("SELECT * FROM public.enterprise AT (VERSION => 1)", REFUSED),
    ("SELECT * FROM public.enterprise AT (TIMESTAMP => now())", REFUSED),
    ("SELECT FROM WHERE", SYNTAX),
    ("SELECT 'unclosed", SYNTAX),
    ("SELECT " + "(" * 3000 + "1" + ")" * 3000, SYNTAX),
    ("SELECT " + "+".join(["1"] * 20_000), SYNTAX),
    ("SELECT 1 \x00", SYNTAX),
    ("SELECT $a", "query_parameters"),
    ("SELECT ?, $a", "query_parameters"),
]
ATTACKS = [
    *((sql, {NOT_SELECT, SYNTAX}) for sql in WRITES),
    *((sql, {NOT_SINGLE, NOT_SELECT, FUNCTION, SYNTAX}) for sql in SEVERAL),
    *((sql, {FUNCTION, SYNTAX}) for sql in FILES),
    *((sql, {FUNCTION}) for sql in FUNCTIONS),
    *((sql, {TABLE}) for sql in TABLES),
    *((sql, {RECURSIVE}) for sql in RECURSIONS),
    *((sql, {code}) for sql, code in OTHERS),
]
# Allowed statements that try to learn of rows which are not the caller's.
PROBES = [
    f"SELECT * FROM {M}",
    f"SELECT * FROM {M} WHERE true OR _owner = '{CHEM}'",
    f"SELECT * FROM {M} WHERE _owner = '{CHEM}' OR uscc = '{CHEM}'",
    f"SELECT count(*) FROM {M} HAVING count(*) > 12",
    f"SELECT min(revenue), max(revenue), count(*) FROM {M} HAVING max(revenue) > 1012",
    f"SELECT approx_count_distinct(uscc) n FROM {M} HAVING n > 1",
    f"SELECT CAST(note AS INT) FROM {M} WHERE uscc = '{CHEM}'",
    f"SELECT * FROM {M} WHERE CAST(substr(note, 1, 6) = 'secret' AS INT)::VARCHAR = '1'",
    f"SELECT * FROM {M} WHERE CASE WHEN note LIKE 'secret%' THEN CAST(note AS INT) = 1 ELSE false END",
    f"SELECT * FROM {M} WHERE 1 / (CASE WHEN note LIKE 'secret%' THEN 0 ELSE 1 END) IS NULL",
    f"SELECT a.* FROM {M} a JOIN (SELECT DISTINCT note FROM {M}) b ON b.note LIKE 'secret%'",
    f"SELECT * FROM {M} TABLESAMPLE 100% WHERE note LIKE 'secret%'",
    f"SELECT * FROM {M} t, unnest([t.note]) u(v) WHERE v LIKE 'secret%'",
    f"SELECT * FROM (SELECT *, row_number() OVER () n FROM {M}) WHERE n > 12",
    f"WITH t AS MATERIALIZED (SELECT * FROM {M}) SELECT * FROM t WHERE note LIKE 'secret%'",
    'SELECT * FROM "ENTERPRISE"."Enterprise_Monthly" WHERE note LIKE \'secret%\'',
    f"SELECT * FROM {M} QUALIFY lag(note) OVER (ORDER BY month) LIKE 'secret%'",
    f"SELECT * FROM {M} PIVOT (max(note) FOR uscc IN ('{CHEM}')) WHERE \"{CHEM}\" IS NOT NULL",
    "SELECT * FROM industry.readings OFFSET 20",
    "SELECT DISTINCT _owner FROM industry.readings WHERE _owner <> '" + STEEL + "'",
    f"SELECT string_agg(note, ',') s FROM {M} HAVING s LIKE '%secret%'",
    f"SELECT * FROM {M} WHERE note SIMILAR TO 'secret.*'",
    f"SELECT rowid, * FROM {M} WHERE note LIKE 'secret%'",
    f"SELECT * FROM {M} WHERE revenue = (SELECT max(revenue) FROM {M}) AND revenue > 1012",
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadingService]:
    """Two enterprises' rows behind the real routes."""
    made = filled(ReadingService(tmp_path_factory.mktemp("attacks")))
    yield made
    made.close()


@pytest.fixture(scope="module")
def file(service: ReadingService) -> Path:
    """A data file that holds the other enterprise's rows; the attacker is supposed to know its path."""
    return sorted((service.warehouse.folder / "tables/enterprise/enterprise_monthly").rglob("*.parquet"))[1]


def test_the_corpus_is_large_and_has_no_repetitions() -> None:
    """Enough spellings to mean something."""
    assert len({sql for sql, _ in ATTACKS}) == len(ATTACKS) >= 180


@pytest.mark.parametrize(("sql", "codes"), ATTACKS, ids=[sql[:60] for sql, _ in ATTACKS])
def test_an_attack_is_refused_with_its_reason(service: ReadingService, file: Path, sql: str, codes: set[str]) -> None:
    """A 422 whose code names the rule, and nothing of files or other tenants in it."""
    reply = service.query(STEEL_KEY, sql.replace("{file}", str(file)))

    assert reply.status == 422, reply.content
    assert reply.json()["code"] in codes
    assert CHEM not in reply.json()["detail"] or CHEM in sql
    if "{file}" not in sql:
        assert str(file.parent) not in reply.content.decode()


@pytest.mark.parametrize("sql", PROBES)
def test_a_probe_learns_nothing_of_other_tenants(service: ReadingService, sql: str) -> None:
    """The answer is what a warehouse with the caller's rows alone would give."""
    reply = service.query(STEEL_KEY, sql)
    body = reply.content.decode()

    assert "secret" not in body
    assert reply.status == 200 or (reply.status == 422 and reply.json()["code"] == "query_failed"), body
    for item in reply.json().get("items", []):
        assert item.get("_owner", STEEL) == STEEL
        assert item.get("uscc", STEEL) == STEEL
    if "WHERE" in sql or "HAVING" in sql or "QUALIFY" in sql or "OFFSET" in sql:
        assert reply.json().get("items", []) == [] or "true OR" in sql or " b ON " in sql
    if "CAST(note AS INT)" in sql:
        assert reply.status == 200, "an error would tell that a hidden row exists"


def test_a_failing_cast_shows_the_callers_own_value_alone(service: ReadingService) -> None:
    """The engine's message may carry a value; it is one of the caller's, since no other is in its reach."""
    reply = service.query(STEEL_KEY, f"SELECT CAST(note AS INT) FROM {M}")

    assert reply.json()["code"] == "query_failed"
    assert "plain-" in reply.json()["detail"]


@pytest.mark.parametrize("column", ["filename", "file_row_number", "file_index", "_push", "_pushed_at"])
def test_hidden_columns_do_not_exist(service: ReadingService, column: str) -> None:
    """Neither those of the platform nor those that the reader of files offers."""
    for name in ("public.enterprise", M):
        reply = service.query(STEEL_KEY, f"SELECT {column} FROM {name}")

        assert reply.json()["code"] == "query_failed"
        assert ".parquet" not in reply.content.decode()


def test_a_broken_file_is_not_named(service: ReadingService) -> None:
    """An engine error about files tells no path."""
    service.warehouse.commit("public.enterprise", STEEL, [{"uscc": "x", "name": "y"}])
    path = service.warehouse.folder / service.warehouse.states["public.enterprise"][-1].files[-1].key
    whole = path.read_bytes()
    path.write_bytes(b"no parquet")
    reply = service.query(STEEL_KEY, "SELECT * FROM public.enterprise")
    path.write_bytes(whole)

    assert reply.status == 422
    assert str(path) not in reply.content.decode()
    assert path.name not in reply.content.decode()


def test_the_service_answers_after_all_of_it(service: ReadingService) -> None:
    """Nothing above has left a trace."""
    reply = service.query(STEEL_KEY, f"SELECT count(*) AS n FROM {M}")

    assert reply.json()["items"] == [{"n": 12}]
