"""The rows API: columns, filter, pages that fit together, as of a time, and nobody else's rows."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from brain_kit.auth import Principal
from data_hub.domain.tables import ColumnField

from tests.data_hub.small_warehouse import (
    CHEM,
    CHEM_KEY,
    MONTHLY,
    OPERATOR,
    STEEL,
    STEEL_KEY,
    ReadingService,
    contract,
    filled,
    principal,
)

DEPARTMENT = principal("11370000MB0000001X", "department", "analyst")
PROVIDER = principal("91370300MA3C00077A", "provider", "provider")
SERVICE = Principal("government-services", "service", "platform", "operator", roles=frozenset({"service"}))
M = MONTHLY.name


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadingService]:
    """The small warehouse."""
    made = filled(ReadingService(tmp_path_factory.mktemp("rows")))
    yield made
    made.close()


def all_pages(service: ReadingService, caller: Principal, name: str, **params: Any) -> list[dict[str, Any]]:
    """Every row, page after page."""
    found: list[dict[str, Any]] = []
    after = None
    while True:
        page = service.rows(caller, name, after=after, **params).json()
        found += page["items"]
        after = page["next"]
        if after is None:
            return found


@pytest.mark.parametrize("limit", [1, 5, 7, 24, 1000])
def test_pages_hold_every_row_once_in_the_order_of_the_key(service: ReadingService, limit: int) -> None:
    """Whatever the size of a page."""
    rows = all_pages(service, OPERATOR, M, limit=limit)

    keys = [(row["uscc"], row["month"], row["_owner"]) for row in rows]
    assert keys == sorted(keys)
    assert len(set(keys)) == 24


@pytest.mark.parametrize("limit", [1, 7, 40])
def test_pages_of_a_data_set_without_key_stay_with_their_snapshot(service: ReadingService, limit: int) -> None:
    """A commit between two pages changes nothing about them."""
    first = service.rows(OPERATOR, "industry.readings", limit=limit).json()
    service.warehouse.commit("industry.readings", STEEL, [{"ts": datetime(2027, 1, 1, tzinfo=UTC), "value": -1.0}])
    found = list(first["items"])
    after = first["next"]
    while after:
        page = service.rows(OPERATOR, "industry.readings", limit=limit, after=after).json()
        assert page["snapshot"] == first["snapshot"]
        found += page["items"]
        after = page["next"]
    service.warehouse.states["industry.readings"].pop()

    assert len({(row["_owner"], row["ts"]) for row in found}) == len(found) == 40


@pytest.mark.parametrize(
    ("caller", "owners", "system"),
    [
        (OPERATOR, {STEEL, CHEM}, True),
        (DEPARTMENT, {STEEL, CHEM}, True),
        (SERVICE, {STEEL, CHEM}, True),
        (STEEL_KEY, {STEEL}, False),
        (CHEM_KEY, {CHEM}, False),
        (PROVIDER, set(), False),
    ],
)
def test_each_caller_sees_the_rows_that_are_hers(
    service: ReadingService, caller: Principal, owners: set[str], system: bool
) -> None:
    """By every way of asking: page, filter, each file format, a named owner."""
    page = service.rows(caller, M).json()
    table = pq.read_table(io.BytesIO(service.rows(caller, M, accept="application/vnd.apache.parquet").content))
    stream = service.rows(caller, M, accept="application/vnd.apache.arrow.stream").content
    text = list(csv.DictReader(io.StringIO(service.rows(caller, M, accept="text/csv").content.decode())))
    named = service.rows(caller, M, filter=f"_owner = '{CHEM}' or uscc = '{CHEM}' or true").json()

    for rows in (
        page["items"],
        table.to_pylist(),
        pa.ipc.open_stream(stream).read_all().to_pylist(),
        text,
        named["items"],
    ):
        assert {row["_owner"] for row in rows} == owners
        assert len(rows) == 12 * len(owners)
    assert ("_push" in [column["name"] for column in page["columns"]]) is system


def test_all_see_an_open_data_set(service: ReadingService) -> None:
    """Its rows belong to the operator, and everybody reads them."""
    items = service.rows(PROVIDER, "public.enterprise").json()["items"]

    assert [row["name"] for row in items] == ["齐鲁钢铁", "鲁中化工"]


def test_columns_filter_and_limit(service: ReadingService) -> None:
    """In the order asked for, of the rows asked for."""
    page = service.rows(
        STEEL_KEY, M, columns="month, revenue", filter="month >= '2025-03' AND revenue < 1005", limit=10
    ).json()

    assert page["columns"] == [{"name": "month", "type": "VARCHAR"}, {"name": "revenue", "type": "DOUBLE"}]
    assert page["items"] == [{"month": "2025-03", "revenue": 1003.0}, {"month": "2025-04", "revenue": 1004.0}]
    assert (page["next"], page["snapshot"]) == (None, "2")


@pytest.mark.parametrize(
    ("params", "code", "field"),
    [
        ({"columns": "month,nope"}, "invalid_input", "columns"),
        ({"columns": "month,month"}, "invalid_input", "columns"),
        ({"columns": "_push"}, "invalid_input", "columns"),
        ({"filter": "nope = 1"}, "filter_refused", "filter"),
        ({"filter": "_push = 'x'"}, "filter_refused", "filter"),
        ({"filter": "getenv('HOME') = 'x'"}, "filter_refused", "filter"),
        ({"filter": "uscc IN (SELECT uscc FROM enterprise.enterprise_monthly)"}, "filter_refused", "filter"),
        ({"filter": "1=1) OR (1=1"}, "filter_refused", "filter"),
        ({"limit": 10_001}, "invalid_input", "limit"),
        ({"after": "nonsense"}, "cursor_invalid", "after"),
        ({"after": "é"}, "cursor_invalid", "after"),
        ({"after": base64.urlsafe_b64encode(b"[1]").decode()}, "cursor_invalid", "after"),
        (
            {"after": base64.urlsafe_b64encode(b'{"d": "public.enterprise", "k": ["a", "b"]}').decode()},
            "cursor_invalid",
            "after",
        ),
        (
            {"after": base64.urlsafe_b64encode(json.dumps({"d": M, "k": ["a"]}).encode()).decode()},
            "cursor_invalid",
            "after",
        ),
        (
            {"after": base64.urlsafe_b64encode(json.dumps({"d": M, "k": [{}, 1, 2]}).encode()).decode()},
            "cursor_invalid",
            "after",
        ),
        ({"as_of": "yesterday"}, "invalid_input", "as_of"),
        ({"as_of": "2025-01-01T00:00:00"}, "invalid_input", "as_of"),
    ],
)
def test_a_wrong_request_names_the_field(
    service: ReadingService, params: dict[str, Any], code: str, field: str
) -> None:
    """And hidden columns are as unknown as missing ones."""
    reply = service.rows(STEEL_KEY, M, **params)

    assert (reply.status, reply.json()["code"], reply.json()["field"]) == (422, code, field)


def test_a_forged_cursor_opens_no_other_rows(service: ReadingService) -> None:
    """It can only say where to begin among the caller's own; quotes in it stay data."""
    for key in (["", "", ""], ["' OR 1=1 --", "x", "x"], [CHEM, "2025-01", CHEM], ['a"b', "\\", "\x01"]):
        forged = base64.urlsafe_b64encode(json.dumps({"d": M, "k": key}).encode()).decode()
        reply = service.rows(STEEL_KEY, M, after=forged)

        assert reply.status == 200, reply.content
        assert {row["_owner"] for row in reply.json()["items"]} <= {STEEL}


@pytest.mark.parametrize(
    "name", ["public.nothing", "nothing", "enterprise.enterprise_monthly'--", "information_schema.tables"]
)
def test_an_unknown_data_set_is_a_404(service: ReadingService, name: str) -> None:
    """The catalogue tells what there is."""
    reply = service.rows(STEEL_KEY, name)

    assert (reply.status, reply.json()["code"]) == (404, "dataset_unknown")


def test_a_data_set_without_rows_has_columns(service: ReadingService) -> None:
    """Before its first push."""
    page = service.rows(PROVIDER, "public.empty").json()

    assert [(column["name"], column["type"]) for column in page["columns"]][:2] == [("a", "BIGINT"), ("b", "DATE")]
    assert (page["items"], page["next"], page["snapshot"]) == ([], None, None)


def test_files_by_page_and_as_a_whole(service: ReadingService) -> None:
    """With a limit, a file is a page and a header leads to the next one; without, it has every row."""
    whole = service.rows(OPERATOR, M, accept="text/csv")
    first = service.rows(OPERATOR, M, accept="text/csv", limit=20, columns="month")
    second = service.rows(OPERATOR, M, accept="text/csv", limit=20, columns="month", after=first.headers["x-next-page"])

    assert (whole.content.count(b"\n"), "x-next-page" in whole.headers) == (25, False)
    assert [len(part.content.splitlines()) - 1 for part in (first, second)] == [20, 4]
    assert first.content.splitlines()[0] == b'"month"'
    assert "x-next-page" not in second.headers
    assert first.headers["x-snapshot"] == "2"


def test_as_of_a_snapshot_and_a_time(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Reads what was there then; the pages that follow stay there."""
    service = ReadingService(tmp_path_factory.mktemp("as-of"))
    service.add(contract("public.park", {"id": "integer", "name": "string"}, ("id",), "open"))
    try:
        first = service.warehouse.commit("public.park", STEEL, [{"id": n, "name": "old"} for n in range(4)])
        between = datetime.now(UTC)
        service.warehouse.commit("public.park", STEEL, [{"id": 9, "name": "new"}])
        now = all_pages(service, STEEL_KEY, "public.park")
        by_id = service.rows(STEEL_KEY, "public.park", as_of=first, limit=3).json()
        rest = service.rows(STEEL_KEY, "public.park", after=by_id["next"], limit=3).json()
        by_time = service.rows(STEEL_KEY, "public.park", as_of=between.isoformat()).json()
        unknown = service.rows(STEEL_KEY, "public.park", as_of="12345")
    finally:
        service.close()

    assert [row["id"] for row in now] == [0, 1, 2, 3, 9]
    assert [row["id"] for row in by_id["items"] + rest["items"]] == [0, 1, 2, 3]
    assert rest["snapshot"] == by_id["snapshot"] == str(first)
    assert len(by_time["items"]) == 4
    assert unknown.status == 404


def test_renamed_added_and_dropped_columns_read_right(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Old and new files together, for those who see all rows and for an owner: columns go by field id, not by name."""
    service = ReadingService(tmp_path_factory.mktemp("evolution"))
    name = "enterprise.evolving"
    service.add(contract(name, {"id": "integer", "old_name": "string", "count": "integer"}, ("id",)))
    fields = {item.name: item for item in service.warehouse.states[name][0].schema}
    service.warehouse.commit(name, STEEL, [{"id": 1, "old_name": "before", "count": 7}])
    system = tuple(fields[column] for column in ("_owner", "_push", "_pushed_at"))
    renamed = (
        *system,
        fields["id"],
        ColumnField("new_name", fields["old_name"].field_id, "VARCHAR"),
        # Dropped and added again under the same name: another column, without the old values; widened as well.
        ColumnField("count", 90, "DOUBLE"),
        ColumnField("extra", 91, "VARCHAR"),
    )
    service.warehouse.contracts[name] = contract(
        name, {"id": "integer", "new_name": "string", "count": "number", "extra": "string", "later": "date"}, ("id",)
    )
    service.warehouse.commit(name, STEEL, [{"id": 2, "new_name": "after", "count": 1.5, "extra": "x"}], schema=renamed)
    try:
        pages = [
            service.rows(caller, name, columns="id,new_name,count,extra,later").json()
            for caller in (OPERATOR, STEEL_KEY)
        ]
        query = service.query(STEEL_KEY, f"SELECT new_name, extra FROM {name} WHERE later IS NULL ORDER BY id").json()
        gone = service.query(STEEL_KEY, f"SELECT old_name FROM {name}").json()
    finally:
        service.close()

    expected = [
        {"id": 1, "new_name": "before", "count": None, "extra": None, "later": None},
        {"id": 2, "new_name": "after", "count": 1.5, "extra": "x", "later": None},
    ]
    assert [page["items"] for page in pages] == [expected, expected]
    assert query["items"] == [{"new_name": "before", "extra": None}, {"new_name": "after", "extra": "x"}]
    assert gone["code"] == "query_failed"
