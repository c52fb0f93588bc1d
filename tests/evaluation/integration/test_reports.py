"""Reported values: evidence, two persons, states, and bad input that is told by field."""

from __future__ import annotations

import hashlib
import io
import zipfile
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from brain_kit.clock import utc_now
from evaluation.service.evidence import PREFIX, EvidenceFiles

from tests.evaluation.world import CLUSTER, PDF, World

# 产业布局, a count; 组织领导机制, a statement. Each test takes a period of its own.
COUNT, STATEMENT = "L1P2", "L5P1"


def act(world: World, who: str, report: str, action: str, **body: Any) -> Any:
    """An action that must succeed."""
    return world.json(who, "POST", f"/v1/reports/{report}/{action}", json=body)


def refused_act(world: World, who: str, report: str, action: str, **body: Any) -> tuple[int, str]:
    """(status, code) of an action that must be refused."""
    status, problem = world.refused(who, "POST", f"/v1/reports/{report}/{action}", json=body)
    return status, problem["code"]


def submitted(world: World, period: str, **answer: Any) -> str:
    """A value that the bureau's first person has written, proved and submitted."""
    made = world.report("bureau", COUNT, period, **({"value": 3} | answer))
    world.attach("bureau", f"/v1/reports/{made['id']}/evidence")
    act(world, "bureau", made["id"], "submit")
    return str(made["id"])


def test_a_value_counts_once_a_second_person_has_confirmed_it(world: World) -> None:
    """Until then the table says what it waits for, and shows no value."""
    report = submitted(world, "2025")
    waiting = world.indicator("construction", COUNT)
    assert (waiting["value"], waiting["state"], waiting["kind"]) == (None, "submitted", "reported")
    assert waiting["open_report"] == {"id": report, "state": "submitted"}

    act(world, "colleague", report, "confirm")
    shown = world.indicator("construction", COUNT)
    assert (shown["value"], shown["state"], shown["reason"]) == (3, "confirmed", None)
    assert shown["as_of"] == "2025"
    assert world.orgs["bureau"] in shown["source"]
    history = world.json("bureau", "GET", f"/v1/reports/{report}")["history"]
    assert [item["action"] for item in history] == ["confirm", "submit", "add_evidence", "create"]


def test_who_wrote_or_submitted_cannot_review(world: World) -> None:
    """Neither the writer nor the submitter; a person of another department can."""
    made = world.report("bureau", COUNT, "2024", value=2)
    world.attach("bureau", f"/v1/reports/{made['id']}/evidence")
    act(world, "colleague", made["id"], "submit")

    for who in ("bureau", "colleague"):
        for action in ("confirm", "return"):
            body = {"note": "x"}
            assert refused_act(world, who, made["id"], action, **body) == (409, "second_person_needed")
    assert act(world, "statistics", made["id"], "confirm")["state"] == "confirmed"


def test_a_returned_value_is_mended_and_submitted_again(world: World) -> None:
    """A return needs a reason; an edit makes it a draft; an old version is refused."""
    report = submitted(world, "2023")
    assert refused_act(world, "colleague", report, "return") == (422, "fields_missing")
    returned = act(world, "statistics", report, "return", note="附件缺少盖章页")
    assert (returned["state"], returned["review_note"]) == ("returned", "附件缺少盖章页")

    path, stale = f"/v1/reports/{report}", {"if-match": f'"{returned["version"] - 1}"'}
    status, problem = world.refused("bureau", "PATCH", path, json={"value": 4}, headers=stale)
    assert (status, problem["code"]) == (412, "edited_meanwhile")
    edited = world.json("bureau", "PATCH", path, json={"value": 4}, headers={"if-match": f'"{returned["version"]}"'})
    assert (edited["state"], edited["value"]) == ("draft", 4)
    act(world, "bureau", report, "submit")
    assert act(world, "colleague", report, "confirm")["value"] == 4
    assert refused_act(world, "bureau", report, "submit") == (409, "state_conflict")


def test_a_confirmed_value_is_followed_by_a_newer_one(world: World) -> None:
    """It never changes itself; the one confirmed last counts, the earlier one stays in the lineage."""
    for value in (5, 6):
        act(world, "colleague", submitted(world, "2025Q3", value=value), "confirm")
    assert world.indicator("construction", COUNT, "2025Q3")["value"] == 6
    path = f"/v1/indicator-sets/construction/indicators/{COUNT}/lineage"
    reports = world.json("bureau", "GET", path, params={"period": "2025Q3", "cluster": CLUSTER})["reports"]
    values = [item["value"] for item in reports if item["period"] == "2025Q3"]
    assert values == [6, 5]
    assert all(len(item["evidence"][0]["sha256"]) == 64 for item in reports)


def test_what_changes_by_decision_stays_until_the_next_one(world: World) -> None:
    """A statement confirmed for 2024 still holds in 2025, and says since when; before it there is none."""
    made = world.report("bureau", STATEMENT, "2024", text="由分管市长任组长，发文〔2024〕8 号。")
    world.attach("bureau", f"/v1/reports/{made['id']}/evidence")
    act(world, "bureau", made["id"], "submit")
    confirmed = act(world, "colleague", made["id"], "confirm", points=90)

    later = world.indicator("construction", STATEMENT, "2025")
    assert (later["text"], later["as_of"], later["value"]) == (confirmed["text"], "2024", None)
    assert "2024" in later["notes"][0]
    assert world.indicator("construction", STATEMENT, "2023")["state"] == "missing"


def test_nothing_is_submitted_without_evidence(world: World) -> None:
    """The answer says what is missing."""
    made = world.report("bureau", COUNT, "2022", value=1)
    assert refused_act(world, "bureau", made["id"], "submit") == (409, "evidence_missing")
    status, problem = world.refused(
        "bureau",
        "POST",
        f"/v1/indicator-sets/construction/indicators/{COUNT}/reports",
        json={"cluster": CLUSTER, "period": "2022", "value": 2},
    )
    assert (status, problem["code"], problem["report"]) == (409, "report_open", made["id"])
    act(world, "bureau", made["id"], "discard")
    act(world, "bureau", world.report("bureau", COUNT, "2022", value=2)["id"], "discard")


@pytest.mark.parametrize(
    ("code", "body", "status", "problem", "field"),
    [
        (COUNT, {"value": "12"}, 422, "fields_invalid", "value"),
        (COUNT, {"value": True}, 422, "fields_invalid", "value"),
        (COUNT, {"value": 1.5}, 422, "value_invalid", "value"),
        (COUNT, {"value": -1}, 422, "value_invalid", "value"),
        (COUNT, {}, 422, "value_invalid", "value"),
        (COUNT, {"value": 1, "text": "三个"}, 422, "value_invalid", "text"),
        (COUNT, {"value": 1, "colour": "red"}, 422, "fields_invalid", "colour"),
        (COUNT, {"value": 1, "period": "2025-13"}, 422, "period_invalid", "period"),
        (COUNT, {"value": 1, "period": "去年"}, 422, "period_invalid", "period"),
        (COUNT, {"value": 1, "cluster": "nowhere"}, 404, "cluster_unknown", None),
        (STATEMENT, {"value": 1}, 422, "value_invalid", "value"),
        (STATEMENT, {"text": "  "}, 422, "value_invalid", "text"),
        ("L1P1", {"value": 1}, 409, "indicator_is_computed", None),
        ("L9P9", {"value": 1}, 404, "indicator_unknown", None),
    ],
)
def test_a_wrong_value_is_refused_by_field(
    world: World, code: str, body: dict[str, Any], status: int, problem: str, field: str | None
) -> None:
    """Text for a number, halves of things, a period that is none, an indicator that is computed."""
    path = f"/v1/indicator-sets/construction/indicators/{code}/reports"
    found, told = world.refused("bureau", "POST", path, json={"cluster": CLUSTER, "period": "2021"} | body)

    assert (found, told["code"]) == (status, problem), told
    if field is not None:
        assert field in {told.get("field"), *(item["field"].rsplit(".")[0] for item in told.get("errors", []))}
    assert told["detail"]


def test_an_infinite_value_is_refused(world: World) -> None:
    """JSON has no such number, but some writers send it."""
    path = f"/v1/indicator-sets/construction/indicators/{COUNT}/reports"
    body = b'{"cluster": "small", "period": "2021", "value": Infinity}'
    headers = {"content-type": "application/json"}
    status, problem = world.refused("bureau", "POST", path, content=body, headers=headers)
    assert (status, problem["code"]) == (422, "fields_invalid")


def test_evidence_comes_back_as_it_was(world: World) -> None:
    """Byte for byte, as a download, with its digest; the same bytes twice are kept once."""
    made = world.report("bureau", COUNT, "2025-01", value=1)
    path = f"/v1/reports/{made['id']}/evidence"
    content = PDF + b"0" * 300_000
    first = world.attach("bureau", path, content, "批复 (盖章).pdf", sha256=hashlib.sha256(content).hexdigest())
    second = world.attach("colleague", path, content, "another.pdf")
    reply = world.call("statistics", "GET", f"{path}/{first['id']}")

    assert second["id"] == first["id"]
    assert reply.content == content
    assert reply.headers["content-disposition"].startswith("attachment;")
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert first["sha256"] == hashlib.sha256(content).hexdigest()
    world.call("bureau", "DELETE", f"{path}/{first['id']}")
    assert world.refused("bureau", "GET", f"{path}/{first['id']}")[1]["code"] == "evidence_unknown"
    act(world, "bureau", made["id"], "discard")


def _package(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as package:
        for name in names:
            package.writestr(name, "x")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "media", "status", "code"),
    [
        ("virus.exe", b"MZ", "application/octet-stream", 415, "evidence_type"),
        ("no-extension", PDF, "application/octet-stream", 415, "evidence_type"),
        ("renamed.pdf", b"MZ\x90\x00", "application/octet-stream", 415, "evidence_type"),
        ("a.pdf", PDF, "image/png", 415, "evidence_type"),
        ("empty.pdf", b"", "application/octet-stream", 415, "evidence_type"),
        ("not-a-sheet.xlsx", _package("word/document.xml"), "application/octet-stream", 415, "evidence_type"),
        ("torn.xlsx", _package("xl/workbook.xml")[:-30], "application/octet-stream", 415, "evidence_type"),
        ("binary.txt", b"a\x00b", "text/plain", 415, "evidence_type"),
        ("huge.pdf", PDF + b"0" * (15 << 20), "application/pdf", 413, "evidence_too_large"),
    ],
    # A package carries the time of its making, and names of tests must be the same in every process.
    ids=lambda value: "bytes" if isinstance(value, bytes) else None,
)
def test_a_file_that_is_no_evidence_is_refused(
    world: World, name: str, content: bytes, media: str, status: int, code: str
) -> None:
    """By name, declared type, first bytes and size together; nothing of it is kept."""
    made = world.report("bureau", COUNT, "2025-02", value=1)
    path = f"/v1/reports/{made['id']}/evidence"
    found, problem = world.refused(
        "bureau", "POST", path, params={"name": name}, content=content, headers={"content-type": media}
    )
    assert (found, problem["code"]) == (status, code)
    assert world.json("bureau", "GET", f"/v1/reports/{made['id']}")["evidence"] == []
    act(world, "bureau", made["id"], "discard")


def test_a_wrong_digest_is_refused(world: World) -> None:
    """What arrived is not what was sent."""
    made = world.report("bureau", COUNT, "2025-03", value=1)
    params = {"name": "a.pdf", "sha256": "0" * 64}
    path = f"/v1/reports/{made['id']}/evidence"
    status, problem = world.refused("bureau", "POST", path, params=params, content=PDF)
    assert (status, problem["code"]) == (422, "checksum_mismatch")
    act(world, "bureau", made["id"], "discard")


def test_evidence_cannot_be_changed_after_submission(world: World) -> None:
    """Neither added nor taken away; nor by another department at any time."""
    report = submitted(world, "2025-04")
    path = f"/v1/reports/{report}/evidence"
    kept = world.json("bureau", "GET", f"/v1/reports/{report}")["evidence"][0]["id"]
    assert (
        world.refused("bureau", "POST", path, params={"name": "b.pdf"}, content=PDF + b"b")[1]["code"]
        == "state_conflict"
    )
    assert world.refused("bureau", "DELETE", f"{path}/{kept}")[1]["code"] == "state_conflict"
    act(world, "bureau", report, "withdraw")
    assert world.refused("statistics", "POST", path, params={"name": "b.pdf"}, content=PDF + b"b")[0] == 403
    assert refused_act(world, "statistics", report, "submit") == (403, "not_permitted")
    act(world, "bureau", report, "discard")


def test_objects_without_a_row_are_swept(world: World) -> None:
    """An upload that died leaves bytes; a day later they are gone, and those of rows are not."""
    report = submitted(world, "2025-05")
    objects = world.platform.objects
    objects.put(f"{PREFIX}evd_lost", PDF)
    files = EvidenceFiles(world.platform.database("evaluation"), objects, 20)

    assert files.remove_orphans(utc_now()) == 0
    assert files.remove_orphans(utc_now() + timedelta(days=2)) >= 1
    kept = world.json("bureau", "GET", f"/v1/reports/{report}")["evidence"][0]["id"]
    assert world.call("bureau", "GET", f"/v1/reports/{report}/evidence/{kept}").content == PDF
    assert objects.head(f"{PREFIX}evd_lost") is None


def test_targets_are_kept_with_their_history(world: World) -> None:
    """Set, changed, removed; a statement has none."""
    path = "/v1/indicator-sets/construction/indicators/L1P5/target"
    for value in (10, 12.5):
        world.json("bureau", "PUT", path, json={"cluster": CLUSTER, "period": "2025", "value": value})
    assert world.indicator("construction", "L1P5")["target"] == 12.5
    removed = world.json("colleague", "PUT", path, json={"cluster": CLUSTER, "period": "2025", "value": None})
    changes = [(item["before"]["value"], item["after"]["value"]) for item in removed["history"]]
    assert changes == [(12.5, None), (10, 12.5), (None, 10)]
    assert world.indicator("construction", "L1P5")["target"] is None
    statement = f"/v1/indicator-sets/construction/indicators/{STATEMENT}/target"
    body = {"cluster": CLUSTER, "period": "2025", "value": 1}
    assert world.refused("bureau", "PUT", statement, json=body)[1]["code"] == "choice_invalid"


def test_a_page_of_reports_asks_the_database_no_more_for_many_than_for_one(world: World) -> None:
    """The evidence of all of them comes with one question."""
    for period in ("1991", "1992", "1993"):
        submitted(world, period)
    engine = world.runtimes["evaluation"].database.engine  # type: ignore[union-attr]
    asked: list[str] = []

    def hear(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "evidence" in statement:
            asked.append(statement)

    sa.event.listen(engine, "before_cursor_execute", hear)
    try:
        counts = []
        for limit in (1, 3):
            asked.clear()
            items = world.json("bureau", "GET", "/v1/reports", params={"limit": limit})["items"]
            assert [len(item["evidence"]) for item in items] == [1] * limit
            counts.append(len(asked))
    finally:
        sa.event.remove(engine, "before_cursor_execute", hear)
    assert counts == [1, 1]
