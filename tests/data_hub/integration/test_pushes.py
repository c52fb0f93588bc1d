"""Pushes over HTTP: every format lands the same, receipts say what happened, tenants do not meet."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from brain_contracts.codes import make_uscc
from brain_contracts.events import AuditRecorded, PushChanged, WarehouseCommitted
from brain_kit.database.tables import OUTBOX
from brain_kit.events.outbox import event_of

from tests.data_hub.bodies import bodies, csv_text, ndjson
from tests.data_hub.hub import ENTERPRISE, OPERATOR, OTHER_PROVIDER, PROVIDER, Hub, contract, running

THING = "public.thing"
COLUMNS: dict[str, Any] = {
    "id": "string", "name": {"logicalType": "string", "logicalTypeOptions": {"maxLength": 20}}, "amount": "number",
    "count": {"logicalType": "integer", "logicalTypeOptions": {"minimum": 0}}, "is_on": "boolean", "day": "date",
    "at": "timestamp",
}  # fmt: skip
EXAMPLE = {"id": "a", "name": "名", "amount": 1.5, "count": 2, "is_on": True, "day": "2026-10-31"}
MONTHLY = "enterprise.enterprise_monthly"


@pytest.fixture(scope="module", params=["small", "large"])
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub that takes every body the way of small ones, and one that takes every body the way of large ones."""
    options = {} if request.param == "small" else {"data_hub_small_push_bytes": 0, "data_hub_segment_bytes": 1 << 16}
    for hub in running(tmp_path_factory.mktemp(request.param), **options):
        assert hub.put_contract(THING, contract(THING, COLUMNS, ["id"], example=EXAMPLE, access="open")).status == 201
        yield hub


def rows(count: int, prefix: str) -> list[dict[str, Any]]:
    """Rows of `public.thing`."""
    return [
        {"id": f"{prefix}{place}", "name": f"名 {place}", "amount": place / 4, "count": place,
         "is_on": place % 2 == 0, "day": "2026-10-31", "at": "2026-10-31T08:15:00+08:00"}
        for place in range(count)
    ]  # fmt: skip


def stored(hub: Hub, prefix: str) -> dict[str, dict[str, Any]]:
    """Rows of the table by id, those whose id begins with the prefix."""
    return {row["id"]: row for row in hub.rows(THING) if row["id"].startswith(prefix)}


@pytest.mark.parametrize("name", list(bodies([EXAMPLE])))
def test_every_format_lands_the_same(hub: Hub, name: str) -> None:
    """500 rows, typed the same whatever they came in."""
    prefix = f"{name}/"
    given = rows(500, prefix)
    body, content_type = bodies(given)[name]

    answer = hub.push(THING, body, content_type)

    assert answer.status == 200, answer.data
    receipt = answer.json()
    assert (receipt["state"], receipt["received"], receipt["accepted"], receipt["rejected"]) == (
        "committed",
        500,
        500,
        0,
    )
    assert (receipt["owner"], receipt["dataset"], receipt["mode"]) == (PROVIDER, THING, "append")
    found = stored(hub, prefix)
    assert len(found) == 500
    row = found[f"{prefix}8"]
    assert (row["name"], row["amount"], row["count"], row["is_on"]) == ("名 8", 2.0, 8, True)
    assert (row["day"].isoformat(), row["at"].isoformat()) == ("2026-10-31", "2026-10-31T00:15:00+00:00")
    assert (row["_owner"], row["_push"]) == (PROVIDER, receipt["id"])


def test_valid_rows_of_a_mixed_body_land_and_the_others_come_back(hub: Hub) -> None:
    """Row numbers, fields, values, codes; the file can be mended and sent again."""
    given = rows(300, "mixed/")
    given[10]["count"] = -1
    given[20]["amount"] = "viel"
    given[20]["colour"] = "red"
    given[30]["id"] = given[5]["id"]
    del given[40]["id"]
    lines = ndjson(given).split(b"\n")
    lines[50] = b'{"id": "mixed/50", '

    receipt = hub.push(THING, b"\n".join(lines)).json()

    assert (receipt["state"], receipt["accepted"], receipt["rejected"]) == ("committed", 295, 5)
    url = receipt["rejects_url"].removeprefix("/api/data-hub")
    items = hub.call("GET", url).json()["items"]
    assert sorted((item["row"], item["field"], item["code"]) for item in items) == [
        (11, "count", "below_minimum"),
        (21, "amount", "wrong_type"),
        (21, "colour", "unknown_column"),
        (31, "id", "duplicate_key"),
        (41, "id", "required_missing"),
        (51, "", "malformed_line"),
    ]
    assert sorted(receipt["rejects"], key=str) == sorted(items, key=str)
    by_row = {item["row"]: item for item in items}
    assert by_row[11]["value"] == "-1"
    assert "第 6 行" in by_row[31]["reason"]
    assert len(stored(hub, "mixed/")) == 295

    file = hub.call("GET", url, headers={"Accept": "text/csv"}).data.decode()
    mended = list({row["_row"]: row for row in csv.DictReader(io.StringIO(file))}.values())
    assert len(mended) == 5
    for row in mended:
        row |= {"count": "7", "amount": "1", "id": f"mixed/mended-{row['_row']}"}
    again = hub.push(THING, csv_text(mended).encode(), "text/csv").json()
    assert (again["state"], again["accepted"]) == ("committed", 5)
    assert stored(hub, "mixed/mended-21")["mixed/mended-21"]["name"] == "名 20"


def test_rejects_come_in_pages(hub: Hub) -> None:
    """Each reject once, in order."""
    given = [row | {"count": -place - 1} for place, row in enumerate(rows(250, "pages/"))]
    answer = hub.push(THING, given)

    assert answer.status == 422
    assert (answer.json()["code"], answer.json()["rejected"]) == ("nothing_accepted", 250)
    seen: list[int] = []
    after = ""
    while True:
        page = hub.call("GET", f"/v1/pushes/{answer.json()['id']}/rejects?limit=100&after={after}").json()
        seen += [item["row"] for item in page["items"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert seen == list(range(1, 251))
    assert len(answer.json()["rejects"]) == 20


def test_modes_work_by_key(hub: Hub) -> None:
    """An append of a key that is there comes back; an upsert replaces; a deletion removes."""
    given = rows(200, "modes/")
    assert hub.push(THING, given).json()["accepted"] == 200

    appended = hub.push(THING, [*given[:3], *rows(203, "modes/")[200:]]).json()
    assert (appended["state"], appended["accepted"], appended["rejected"]) == ("committed", 3, 3)
    assert [(item["row"], item["code"]) for item in appended["rejects"]] == [(n, "key_exists") for n in (1, 2, 3)]
    assert "upsert" in appended["rejects"][0]["fix"]

    changed = hub.push(THING, [row | {"amount": 99.0} for row in given[:50]] + rows(205, "modes/")[203:], mode="upsert")
    assert changed.json()["accepted"] == 52
    assert hub.push(THING, [{"id": row["id"]} for row in given[100:]], mode="delete").json()["accepted"] == 100

    found = stored(hub, "modes/")
    assert len(found) == 105
    assert sum(row["amount"] == 99.0 for row in found.values()) == 50
    gone = hub.push(THING, [given[0]]).json()
    assert (gone["state"], gone["problems"][0]["code"]) == ("refused", "nothing_accepted")
    file = hub.call("GET", f"/v1/pushes/{gone['id']}/rejects", headers={"Accept": "text/csv"}).data.decode()
    assert next(csv.DictReader(io.StringIO(file)))["name"] == "名 0"


def test_a_repeat_with_the_same_idempotency_key_changes_nothing(hub: Hub) -> None:
    """The same content gives the same receipt; other content, or another mode, is a conflict."""
    body = ndjson(rows(120, "idem/"))
    first = hub.push(THING, body, key="idem-1")

    again = hub.push(THING, body, key="idem-1")
    other = hub.push(THING, body + b'\n{"id": "idem/x"}', key="idem-1")
    mode = hub.push(THING, body, key="idem-1", mode="upsert")
    elsewhere = hub.push(THING, ndjson(rows(120, "idem2/")), key="idem-1", org=OTHER_PROVIDER)

    assert (first.status, again.status) == (200, 200)
    assert again.headers["Idempotent-Replay"] == "true"
    assert "Idempotent-Replay" not in first.headers
    assert again.json()["id"] == first.json()["id"]
    assert (other.status, other.json()["code"]) == (409, "idempotency_key_reused")
    assert mode.status == 409
    assert elsewhere.json()["accepted"] == 120
    assert len(stored(hub, "idem/")) == 120


def test_another_tenants_pushes_look_like_none(hub: Hub) -> None:
    """Receipt, rejects and list; the keys of others neither hinder nor show."""
    body = ndjson([*rows(3, "tenant/"), {"id": "tenant/bad", "count": -1}])
    mine = hub.push(THING, body).json()
    theirs = hub.push(THING, body, org=OTHER_PROVIDER).json()
    assert (mine["accepted"], theirs["accepted"]) == (3, 3)

    for path in (f"/v1/pushes/{mine['id']}", f"/v1/pushes/{mine['id']}/rejects", "/v1/pushes/psh_unknown"):
        answer = hub.call("GET", path, org=OTHER_PROVIDER)
        assert (answer.status, answer.json()["code"]) == (404, "push_unknown"), path
    listed = hub.call("GET", "/v1/pushes?limit=500", org=OTHER_PROVIDER).json()["items"]
    assert {item["owner"] for item in listed} == {OTHER_PROVIDER}
    assert hub.call("GET", f"/v1/pushes/{mine['id']}", org=OPERATOR, kind="operator").json()["id"] == mine["id"]

    hub.push(THING, [{"id": "tenant/0"}], mode="delete", org=OTHER_PROVIDER)
    assert sorted(row["_owner"] for row in hub.rows(THING) if row["id"] == "tenant/0") == [PROVIDER]


def test_pushes_are_listed_newest_first_in_pages(hub: Hub) -> None:
    """Filters by data set and state; every push once."""
    org = make_uscc("370300", 77 + hub.port)
    ids = [hub.push(THING, [{"id": f"list/{hub.port}/{place}"}], org=org).json()["id"] for place in range(5)]
    seen: list[str] = []
    after = ""
    while True:
        page = hub.call("GET", f"/v1/pushes?dataset={THING}&state=committed&limit=2&after={after}", org=org).json()
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert seen == ids[::-1]
    assert hub.call("GET", "/v1/pushes?state=refused", org=org).json()["items"] == []


def test_an_enterprise_pushes_only_its_own_rows(hub: Hub) -> None:
    """Rows of another company come back; its own land."""
    other = make_uscc("370300", 900)
    given = [{"uscc": ENTERPRISE, "month": f"2026-{hub.port % 9 + 1:02d}"}, {"uscc": other, "month": "2026-01"}]

    receipt = hub.push(MONTHLY, given, org=ENTERPRISE, kind="enterprise", mode="upsert").json()

    assert (receipt["accepted"], [(r["row"], r["code"]) for r in receipt["rejects"]]) == (1, [(2, "not_your_row")])


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstandard.ZstdCompressor().compress)],
)
def test_compressed_bodies_are_unpacked(hub: Hub, encoding: str, pack: Any) -> None:
    """Content-Encoding gzip, deflate and zstd."""
    body = pack(ndjson(rows(400, f"{encoding}/")))

    receipt = hub.push(THING, body, headers={"Content-Encoding": encoding}).json()

    assert receipt["accepted"] == 400


def test_a_push_that_is_not_waited_for_is_pending_and_then_final(hub: Hub) -> None:
    """202 first; the receipt can be waited for."""
    answer = hub.push(THING, [{"id": f"wait/{hub.port}"}], wait=0)
    final = hub.call("GET", f"/v1/pushes/{answer.json()['id']}?wait=10")

    assert answer.status == 202
    assert answer.json()["state"] == "validated"
    assert (final.status, final.json()["state"]) == (200, "committed")
    assert final.json()["snapshot"]


def test_every_push_and_commit_is_told_and_audited(hub: Hub) -> None:
    """Events carry counts and never values."""
    receipt = hub.push(THING, [{"id": "event/secret-value"}, {"id": "event/2", "count": -1}]).json()
    with hub.database.reading() as session:
        events = [event_of(row) for row in session.execute(OUTBOX.select())]

    changed = [e.payload(PushChanged) for e in events if e.topic == PushChanged.topic and receipt["id"] in str(e.data)]
    commits = [e.payload(WarehouseCommitted) for e in events if e.topic == WarehouseCommitted.topic]
    audits = [
        e.payload(AuditRecorded) for e in events if e.topic == AuditRecorded.topic and receipt["id"] in str(e.data)
    ]
    commit = next(item for item in commits if receipt["id"] in [push.push_id for push in item.pushes])

    assert [(item.state, item.accepted, item.rejected) for item in changed] == [("validated", 1, 1)]
    assert (commit.snapshot, commit.dataset) == (receipt["snapshot"], THING)
    assert [(item.action, item.org, item.object) for item in audits] == [("dataset.push", PROVIDER, THING)]
    assert "secret-value" not in json.dumps([event.data for event in events])
    assert [item.sequence for item in sorted(commits, key=lambda c: c.sequence) if item.dataset == THING] == list(
        range(1, 1 + sum(item.dataset == THING for item in commits))
    )


def test_the_example_of_every_data_set_can_be_pushed(hub: Hub) -> None:
    """What the catalogue shows works as printed."""
    for item in hub.call("GET", "/v1/datasets").json()["items"]:
        detail = hub.call("GET", f"/v1/datasets/{item['name']}").json()
        mode = "upsert" if detail["key"] else "append"
        receipt = hub.push(item["name"], [detail["example"]], mode=mode).json()
        assert receipt["state"] == "committed", (item["name"], receipt)


def test_nothing_is_left_in_the_spool(hub: Hub) -> None:
    """Bodies are gone once they are typed."""
    left = [path.name for path in (hub.platform.settings.home / "spool" / "data-hub").iterdir()]

    assert [name for name in left if name.startswith("psh_")] == []


def test_a_data_set_without_key_takes_every_row(hub: Hub) -> None:
    """Only appending is possible there, and the same row may come twice."""
    name = "public.note"
    hub.put_contract(name, contract(name, {"text": "string"}, [], example={"text": "x"}))
    given = [{"text": "same"}] * 150

    assert hub.push(name, given).json()["accepted"] == 150
    assert hub.push(name, given).json()["accepted"] == 150
    refused = hub.push(name, given, mode="upsert")
    assert (refused.status, refused.json()["code"]) == (422, "mode_impossible")
    assert len(hub.rows(name)) == 300


def test_a_file_from_disk_is_streamed(hub: Hub, tmp_path: Path) -> None:
    """A chunked body without a length, of many pieces."""
    body = ndjson(rows(5000, "chunked/"))

    receipt = hub.push(THING, iter([body[start : start + 1000] for start in range(0, len(body), 1000)])).json()

    assert (receipt["accepted"], receipt["bytes"]) == (5000, len(body))
