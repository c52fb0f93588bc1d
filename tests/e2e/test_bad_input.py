"""Bad input through the gateway: each a precise problem, the valid rows of a mixed file land, the platform lives."""

from __future__ import annotations

import io
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from brain_testing.process import PlatformProcess
from industry_brain.apiclient import ApiClient, ApiError

from tests.e2e.bombs import send_raw, xlsx_bomb
from tests.e2e.journey import Journey

pytestmark = [pytest.mark.slow]

MONTHLY = "enterprise.enterprise_monthly"
PUSHES = f"/api/data-hub/v1/datasets/{MONTHLY}/pushes"
OWN, OTHER = "91370300MA3C00001U", "91370300MA3C00002Y"
NDJSON, CSV, PARQUET = "application/x-ndjson", "text/csv", "application/vnd.apache.parquet"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
LIMIT = 12_000_000


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """A platform with a small body limit, two enterprises and a provider."""
    home: Path = tmp_path_factory.mktemp("bad")
    environment = {
        "BRAIN_SERVICE_PORTAL_PUSH_LIMIT_BYTES": str(LIMIT),
        "BRAIN_DATA_HUB_PUSH_LIMIT_BYTES": str(10 * LIMIT),
    }
    with PlatformProcess(home / "home", env=environment) as running:
        made = Journey(running.url, running.home)
        made.add_organisation("own", OWN, "enterprise", "370303")
        made.add_organisation("other", OTHER, "enterprise", "370303")
        yield made


@pytest.fixture
def api(journey: Journey) -> ApiClient:
    """The enterprise that pushes."""
    return journey.as_("own")


def row(month: str, **changes: Any) -> dict[str, Any]:
    """A valid row with changes."""
    return {"uscc": OWN, "month": month, "revenue_10k_cny": 1.5} | changes


def ndjson(*rows: dict[str, Any]) -> bytes:
    """Rows as NDJSON."""
    return "\n".join(json.dumps(item, ensure_ascii=False) for item in rows).encode()


def push(api: ApiClient, body: bytes, media: str = NDJSON, **options: Any) -> dict[str, Any]:
    """An upsert that waits for its end."""
    return api.push(MONTHLY, body, media, **({"mode": "upsert", "wait_s": 30} | options))


def problem(api: ApiClient, body: bytes, media: str = NDJSON, **options: Any) -> dict[str, Any]:
    """The problem that a push is refused with."""
    try:
        receipt = push(api, body, media, **options)
    except ApiError as error:
        return error.problem
    assert receipt["state"] == "refused", receipt
    return receipt


@pytest.mark.parametrize(
    ("bad", "field", "code"),
    [
        (row("2026-02", revenue_10k_cny="十二"), "revenue_10k_cny", "wrong_type"),
        (row("2026-02", employees=1.5), "employees", "wrong_type"),
        ({"uscc": OWN, "revenue_10k_cny": 1}, "month", "required_missing"),
        (row("2026-02", colour="red"), "colour", "unknown_column"),
        (row("2026-02", uscc="91370300MA3C00001X"), "uscc", "bad_uscc"),
        (row("2026-01"), "uscc", "duplicate_key"),
        (row("2026-13"), "month", "bad_month"),
        (row("2026-02", revenue_10k_cny=-1), "revenue_10k_cny", "below_minimum"),
        (row("2026-02", uscc=OTHER), "uscc", "not_your_row"),
        (row("2026-02", revenue_10k_cny=[[[1]]]), "revenue_10k_cny", "wrong_type"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_bad_row_comes_back_and_the_valid_row_lands(
    api: ApiClient, bad: dict[str, Any], field: str, code: str
) -> None:
    """Row number, field, value, reason and what to do; the first row is in."""
    receipt = push(api, ndjson(row("2026-01"), bad))

    assert (receipt["state"], receipt["received"], receipt["accepted"], receipt["rejected"]) == ("committed", 2, 1, 1)
    reject = receipt["rejects"][0]
    assert (reject["row"], reject["code"]) == (2, code)
    assert field in reject["field"]
    assert reject["reason"]
    assert reject["fix"]


def test_nul_bytes_are_told_by_field(journey: Journey) -> None:
    """A NUL in a text comes back; the other row lands."""
    rows = [
        {"chain_id": "bad-input", "node_id": "a", "name": "x\x00y"},
        {"chain_id": "bad-input", "node_id": "b", "name": "好"},
    ]
    receipt = journey.operator.push("industry.chain_node", ndjson(*rows), NDJSON, mode="upsert", wait_s=30)
    assert [(item["field"], item["code"]) for item in receipt["rejects"]] == [("name", "nul_byte")]
    assert receipt["accepted"] == 1


def test_gb18030_is_read_declared_or_not(journey: Journey) -> None:
    """Chinese names arrive whole from a GB18030 file, with and without the charset parameter."""
    for number, media in enumerate(("text/csv; charset=gb18030", "text/csv")):
        body = f"chain_id,node_id,name\nbad-input,g{number},高端装备\n".encode("gb18030")
        receipt = journey.operator.push("industry.chain_node", body, media, mode="upsert", wait_s=30)
        assert receipt["accepted"] == 1, receipt
    sql = "SELECT DISTINCT name FROM industry.chain_node WHERE node_id IN ('g0', 'g1')"
    assert journey.operator.post("/api/data-hub/v1/queries", {"sql": sql})["items"] == [{"name": "高端装备"}]


def test_header_columns_that_do_not_fit_refuse_the_file_by_name(api: ApiClient) -> None:
    """Unknown and missing columns of a CSV are all named."""
    found = problem(api, b"uscc,mounth,revenue_10k_cny\n", CSV)
    text = json.dumps(found, ensure_ascii=False)
    assert "mounth" in text
    assert "month" in text


def test_truncated_parquet_is_told_as_such(api: ApiClient) -> None:
    """Half a file is refused whole; nothing of it is in."""
    out = io.BytesIO()
    pq.write_table(pa.table({"uscc": [OWN] * 100, "month": ["2025-01"] * 100}), out)
    found = problem(api, out.getvalue()[: len(out.getvalue()) // 2], PARQUET)
    assert "parquet" in json.dumps(found).lower()


def test_a_spreadsheet_is_read_and_a_bomb_is_refused(api: ApiClient) -> None:
    """An ordinary XLSX lands; one that unpacks to 10 GB is refused within seconds and little memory."""
    book = openpyxl.Workbook()
    book.active.append(["uscc", "month", "revenue_10k_cny", "employees"])
    book.active.append([OWN, "2026-03", 12.5, 30])
    out = io.BytesIO()
    book.save(out)
    assert push(api, out.getvalue(), XLSX)["accepted"] == 1

    started = time.monotonic()
    found = problem(api, xlsx_bomb(10 << 30), XLSX)
    assert time.monotonic() - started < 20
    assert found.get("status", 422) in (413, 422)
    assert push(api, ndjson(row("2026-03")))["accepted"] == 1


def test_deep_json_is_no_danger(api: ApiClient) -> None:
    """A hundred thousand nested arrays are a bad row or a bad body, never a crash."""
    deep = (
        b'{"uscc":"' + OWN.encode() + b'","month":"2026-04","revenue_10k_cny":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    )
    found = problem(api, deep)
    assert found
    assert push(api, ndjson(row("2026-04")))["accepted"] == 1


@pytest.mark.parametrize("counted", [False, True], ids=["by header", "by count"])
def test_a_body_over_the_limit_is_refused(journey: Journey, counted: bool) -> None:
    """413 with the limit, before the body is read when its length is declared, else as soon as it is over."""
    headers = {"Authorization": f"Bearer {journey.keys['own']}", "Content-Type": NDJSON}
    if counted:
        headers["Transfer-Encoding"] = "chunked"
        chunk = b" " * 65535 + b"\n"
        body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for _ in range(LIMIT // len(chunk) + 4)) + b"0\r\n\r\n"
    else:
        headers["Content-Length"] = str(LIMIT + 1)
        body = b""
    answer = send_raw(journey.url, PUSHES, headers, body, close_after=False)
    assert b" 413 " in answer.split(b"\r\n", 1)[0]
    assert str(LIMIT).encode() in answer


def test_wrong_expired_and_revoked_keys_are_told_apart(journey: Journey) -> None:
    """Three codes; a revoked key is refused by the very next request."""
    add = {"org": OWN, "name": uuid.uuid4().hex}
    short = journey.operator.post("/api/identity/v1/keys", add | {"expires_at": _soon()})
    revoked = journey.operator.post("/api/identity/v1/keys", add)
    assert ApiClient(journey.url, revoked["key"]).get("/api/identity/v1/me")["org"] == OWN
    journey.operator.delete(f"/api/identity/v1/keys/{revoked['id']}")
    time.sleep(2.1)
    expected = {
        "key_unknown": revoked["key"][:-3] + ("abc" if revoked["key"][-3:] != "abc" else "xyz"),
        "key_revoked": revoked["key"],
        "key_expired": short["key"],
    }
    for code, key in expected.items():
        with pytest.raises(ApiError) as refused:
            ApiClient(journey.url, key).get("/api/identity/v1/me")
        assert (refused.value.status, refused.value.code) == (401, code)


def _soon() -> str:
    from datetime import timedelta

    from brain_kit.clock import rfc3339, utc_now

    return rfc3339(utc_now() + timedelta(seconds=2))


def test_another_tenants_rows_receipts_and_rejects_do_not_exist(journey: Journey, api: ApiClient) -> None:
    """The neighbour finds nothing by any route."""
    receipt = push(api, ndjson(row("2026-05"), row("2026-99")))
    other = journey.as_("other")
    for path in (f"/api/data-hub/v1/pushes/{receipt['id']}", f"/api/data-hub/v1/pushes/{receipt['id']}/rejects"):
        with pytest.raises(ApiError) as refused:
            other.get(path)
        assert refused.value.status == 404
    assert other.get(f"/api/data-hub/v1/datasets/{MONTHLY}/rows")["items"] == []
    count = other.post("/api/data-hub/v1/queries", {"sql": f"SELECT count(*) AS n FROM {MONTHLY}"})
    assert count["items"] == [{"n": 0}]


def test_an_unknown_data_set_is_404(api: ApiClient) -> None:
    """The name is in the answer."""
    with pytest.raises(ApiError) as refused:
        api.push("enterprise.nowhere", b"{}", NDJSON)
    assert refused.value.status == 404
    assert "enterprise.nowhere" in str(refused.value)


def test_an_idempotency_key_with_other_content_is_refused(api: ApiClient) -> None:
    """The same content gives the same receipt, other content 409."""
    key = uuid.uuid4().hex
    first = push(api, ndjson(row("2026-06")), idempotency_key=key)
    again = push(api, ndjson(row("2026-06")), idempotency_key=key)
    assert again["id"] == first["id"]
    with pytest.raises(ApiError) as refused:
        push(api, ndjson(row("2026-06", revenue_10k_cny=2)), idempotency_key=key)
    assert (refused.value.status, refused.value.code) == (409, "idempotency_key_reused")


def test_a_body_shorter_than_promised_leaves_nothing(journey: Journey, api: ApiClient) -> None:
    """The connection ends early, by fault or because the client has gone: no row of it is ever there."""
    body = ndjson(row("2024-01"), row("2024-02")) + b"\n"
    headers = {
        "Authorization": f"Bearer {journey.keys['own']}",
        "Content-Type": NDJSON,
        "Content-Length": str(len(body) + 100),
    }
    send_raw(journey.url, f"{PUSHES}?mode=append", headers, body, close_after=False)
    send_raw(journey.url, f"{PUSHES}?mode=append", headers, body, close_after=True)
    time.sleep(1.5)
    sql = f"SELECT count(*) AS n FROM {MONTHLY} WHERE month < '2025'"
    assert api.post("/api/data-hub/v1/queries", {"sql": sql})["items"] == [{"n": 0}]


@pytest.mark.parametrize(
    "sql",
    [
        f"DELETE FROM {MONTHLY}",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "ATTACH 'x.db'",
        "SET memory_limit='100GB'",
        "COPY (SELECT 1) TO '/tmp/x'",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM t) SELECT * FROM t",
        "SELECT * FROM identity.account",
        "SELECT getenv('HOME')",
    ],
)
def test_sql_that_does_more_than_ask_is_refused(api: ApiClient, sql: str) -> None:
    """4xx with a code; the next query is answered."""
    with pytest.raises(ApiError) as refused:
        api.post("/api/data-hub/v1/queries", {"sql": sql})
    assert 400 <= refused.value.status < 500
    assert refused.value.code != "unknown"
    assert api.post("/api/data-hub/v1/queries", {"sql": "SELECT 1 AS one"})["items"] == [{"one": 1}]
