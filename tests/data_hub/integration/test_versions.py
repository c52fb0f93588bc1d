"""Fixed versions: reading one, who may, what is said of one that is gone, and pins that keep one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from unittest import mock
from urllib.parse import urlencode

import pytest
from brain_kit.database.tables import OUTBOX
from brain_kit.events.outbox import event_of
from data_hub.engine import icecommit
from data_hub.service import commit as commit_module

from tests.data_hub.acting import NEIGHBOUR, PLANT, ActingHub, acting_hub
from tests.data_hub.hub import OPERATOR, contract

NAME = "enterprise.batch"
COLUMNS = {"id": "string", "weight": "number"}


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ActingHub]:
    """Two enterprises have pushed: the plant 1 row, the neighbour 1 row, then the plant changed its row."""
    for hub in acting_hub(request, tmp_path_factory.mktemp("versions")):
        document = contract(NAME, COLUMNS, ["id"], example={"id": "a", "weight": 1.0})
        assert hub.put_contract(NAME, document).status == 201
        for org, row, mode in (
            (PLANT, {"id": "a", "weight": 1.0}, "append"),
            (NEIGHBOUR, {"id": "a", "weight": 50.0}, "append"),
            (PLANT, {"id": "a", "weight": 2.0}, "upsert"),
        ):
            answer = hub.push(NAME, [row], mode=mode, org=org, kind="enterprise")
            assert answer.json()["state"] == "committed", answer.data
        yield hub


def versions(hub: ActingHub, org: str = OPERATOR, kind: str = "operator", **params: Any) -> Any:
    """A page of versions."""
    answer = hub.call("GET", f"/v1/datasets/{NAME}/versions?{urlencode(params)}", org=org, kind=kind)
    assert answer.status == 200, answer.data
    return answer.json()


def rows(hub: ActingHub, org: str, kind: str, **params: Any) -> Any:
    """A page of rows."""
    return hub.call("GET", f"/v1/datasets/{NAME}/rows?{urlencode(params)}", org=org, kind=kind)


def query(hub: ActingHub, org: str, kind: str, sql: str, **body: Any) -> Any:
    """A query."""
    content = json.dumps({"sql": sql} | body).encode()
    headers = {"Content-Type": "application/json"}
    return hub.call("POST", "/v1/queries", org=org, kind=kind, body=content, headers=headers)


def pin(hub: ActingHub, name: str, version: str, reason: str, **who: Any) -> Any:
    """A pin, by default of the plant's manager."""
    body = json.dumps({"reason": reason}).encode()
    path = f"/v1/datasets/{name}/versions/{version}/pins"
    asking = {"org": PLANT, "kind": "enterprise"} | who
    return hub.call("POST", path, body=body, headers={"Content-Type": "application/json"}, **asking)


def first(hub: ActingHub) -> str:
    """The oldest version: the plant's row alone."""
    return str(versions(hub)["items"][-1]["version"])


def test_versions_are_listed_newest_first_with_what_each_commit_did(hub: ActingHub) -> None:
    """One version a commit, numbered from 1; the totals are those after it."""
    items = versions(hub)["items"]

    assert [item["sequence"] for item in items] == [3, 2, 1]
    counts = [(item["rows"], item["rows_added"], item["rows_removed"]) for item in items]
    assert counts == [(2, 1, 1), (2, 1, 0), (1, 1, 0)]
    assert [item["is_current"] for item in items] == [True, False, False]
    detail = hub.call("GET", f"/v1/datasets/{NAME}", org=OPERATOR, kind="operator").json()
    assert detail["snapshot"] == items[0]["version"]


def test_pages_of_versions_fit_together(hub: ActingHub) -> None:
    """`next` leads on; the last page has none."""
    page = versions(hub, limit=2)
    rest = versions(hub, limit=2, after=page["next"])

    assert [item["sequence"] for item in [*page["items"], *rest["items"]]] == [3, 2, 1]
    assert rest["next"] is None


def test_a_fixed_version_reads_the_rows_as_they_were(hub: ActingHub) -> None:
    """In rows and in queries, whatever was pushed since."""
    old = first(hub)
    page = rows(hub, OPERATOR, "operator", version=old).json()
    answer = query(hub, OPERATOR, "operator", f"SELECT id, weight FROM {NAME}", versions={NAME: old}).json()

    assert [(row["_owner"], row["weight"]) for row in page["items"]] == [(PLANT, 1.0)]
    assert page["snapshot"] == old
    assert answer["items"] == [{"id": "a", "weight": 1.0}]
    assert answer["snapshots"] == {NAME: old}
    now = query(hub, OPERATOR, "operator", f"SELECT id, weight FROM {NAME} ORDER BY weight").json()
    assert [row["weight"] for row in now["items"]] == [2.0, 50.0]


def test_old_versions_show_each_owner_its_own_rows_only(hub: ActingHub) -> None:
    """The second version has a row of each; asked one after the other, so that a shared cache would tell."""
    second = str(versions(hub)["items"][1]["version"])
    for _ in range(2):
        for org, weight in ((PLANT, 1.0), (NEIGHBOUR, 50.0)):
            page = rows(hub, org, "enterprise", version=second).json()
            answer = query(hub, org, "enterprise", f"SELECT weight FROM {NAME}", versions={NAME: second}).json()
            assert [row["weight"] for row in page["items"]] == [weight]
            assert answer["items"] == [{"weight": weight}]
    assert query(hub, OPERATOR, "operator", f"SELECT weight FROM {NAME}", versions={NAME: second}).json()["rows"] == 2


def test_owners_learn_no_totals_of_others(hub: ActingHub) -> None:
    """An enterprise sees which versions there are, not how much the others pushed."""
    items = versions(hub, PLANT, "enterprise")["items"]

    assert len(items) == 3
    assert {(item["rows"], item["rows_added"], item["rows_removed"]) for item in items} == {(None, None, None)}


def test_pages_of_a_fixed_version_stay_with_it(hub: ActingHub) -> None:
    """The cursor carries the version, so a page asked without it goes on in the same one."""
    second = str(versions(hub)["items"][1]["version"])
    page = rows(hub, OPERATOR, "operator", version=second, limit=1).json()
    rest = rows(hub, OPERATOR, "operator", limit=1, after=page["next"]).json()

    assert sorted(row["weight"] for row in [*page["items"], *rest["items"]]) == [1.0, 50.0]
    assert rest["snapshot"] == second


@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({"version": "123456789"}, 404, "snapshot_unknown"),
        ({"version": "newest"}, 422, "version_invalid"),
        ({"version": "9" * 19 + "9"}, 422, "version_invalid"),
        ({"version": "1", "as_of": "2026-01-01T00:00:00Z"}, 422, "version_invalid"),
    ],
)
def test_a_version_that_cannot_be_read_is_named(hub: ActingHub, params: Any, status: int, code: str) -> None:
    """The problem says which versions there are."""
    answer = rows(hub, PLANT, "enterprise", **params)

    assert (answer.status, answer.json()["code"]) == (status, code)
    if status == 404:
        assert answer.json()["versions"] == [item["version"] for item in versions(hub)["items"]]


@pytest.mark.parametrize(
    ("wanted", "code", "field"),
    [
        ({NAME: "123456789"}, "query_version_unknown", f"versions.{NAME}"),
        ({NAME: "x"}, "version_invalid", f"versions.{NAME}"),
        ({"public.enterprise": "1"}, "version_invalid", "versions.public.enterprise"),
    ],
)
def test_versions_of_a_query_must_fit_it(hub: ActingHub, wanted: Any, code: str, field: str) -> None:
    """Each names a data set of the query and a version that it has."""
    answer = query(hub, PLANT, "enterprise", f"SELECT 1 FROM {NAME}", versions=wanted)

    assert (answer.status, answer.json()["code"], answer.json()["field"]) == (422, code, field)


def test_pins_keep_versions_from_being_forgotten(hub: ActingHub) -> None:
    """With room for one version only the pinned one and the newest stay; the others read as gone."""
    name = "enterprise.pinned"
    assert hub.put_contract(name, contract(name, COLUMNS, ["id"], example={"id": "a", "weight": 1.0})).status == 201

    def listed() -> list[str]:
        answer = hub.call("GET", f"/v1/datasets/{name}/versions", org=OPERATOR, kind="operator").json()
        return [str(item["version"]) for item in answer["items"]]

    def push(number: int) -> None:
        assert hub.push(name, [{"id": f"r{number}"}], org=PLANT, kind="enterprise").json()["state"] == "committed"

    for number in range(3):
        push(number)
    third, second, oldest = listed()
    path = f"/v1/datasets/{name}/versions/{second}/pins"
    made, again = (pin(hub, name, second, "三季度评价") for _ in range(2))
    assert (made.status, again.status) == (201, 200)
    assert made.json()["id"] == again.json()["id"]
    with mock.patch.object(commit_module, "snapshots_to_expire", lambda found, *_: [item for item, _ in found[:-1]]):
        push(3)

    fourth = listed()[0]
    assert listed() == [fourth, third, second]
    kept = hub.call("GET", f"/v1/datasets/{name}/rows?version={second}", org=PLANT, kind="enterprise").json()
    assert [row["id"] for row in kept["items"]] == ["r0", "r1"]
    gone = hub.call("GET", f"/v1/datasets/{name}/rows?version={oldest}", org=PLANT, kind="enterprise")
    assert (gone.status, gone.json()["versions"]) == (404, [fourth, third, second])
    late = pin(hub, name, oldest, "太晚")
    assert (late.status, late.json()["code"]) == (404, "snapshot_unknown")

    other = hub.call("DELETE", f"{path}/{made.json()['id']}", org=NEIGHBOUR, kind="enterprise")
    assert (other.status, other.json()["code"]) == (404, "pin_unknown")
    assert hub.call("DELETE", f"{path}/{made.json()['id']}", org=PLANT, kind="enterprise").status == 204
    with mock.patch.object(commit_module, "snapshots_to_expire", lambda found, *_: [item for item, _ in found[:-1]]):
        push(4)
    assert len(listed()) == 2
    assert fourth in listed()


def test_a_pin_that_comes_while_a_commit_forgets_wins(hub: ActingHub) -> None:
    """The commit has chosen what to forget; a pin is kept before it is done; it tries again and forgets nothing."""
    name = "enterprise.raced"
    assert hub.put_contract(name, contract(name, COLUMNS, ["id"], example={"id": "a", "weight": 1.0})).status == 201
    assert hub.push(name, [{"id": "r0"}], org=PLANT, kind="enterprise").json()["state"] == "committed"
    oldest = hub.warehouse.snapshots(name)[0].version
    real, pinned = icecommit.data_file, []

    def pin_first(*arguments: Any) -> Any:
        if not pinned:
            pinned.append(pin(hub, name, oldest, "正在使用").status)
        return real(*arguments)

    with (
        mock.patch.object(commit_module, "snapshots_to_expire", lambda found, *_: [item for item, _ in found]),
        mock.patch.object(icecommit, "data_file", pin_first),
    ):
        assert hub.push(name, [{"id": "r1"}], org=PLANT, kind="enterprise").json()["state"] == "committed"

    assert pinned == [201]
    assert oldest in [item.version for item in hub.warehouse.snapshots(name)]
    assert sorted(row["id"] for row in hub.rows(name)) == ["r0", "r1"]


@pytest.mark.parametrize(("role", "status"), [("member", 403), ("auditor", 403), ("manager", 201)])
def test_pins_need_a_role(hub: ActingHub, role: str, status: int) -> None:
    """A version that stays costs storage, so not everybody may ask for it; the pin is audited."""
    answer = pin(hub, NAME, first(hub), f"由 {role} 保留", role=role)

    assert answer.status == status, answer.data
    if status == 201:
        with hub.database.reading() as session:
            events = [event_of(row) for row in session.execute(OUTBOX.select())]
        audited = [event.data["detail"] for event in events if event.data.get("action") == "version.pin"]
        assert f"由 {role} 保留" in [detail["reason"] for detail in audited]


@pytest.mark.parametrize("body", [{}, {"reason": " "}, {"reason": "x" * 301}, {"reason": "a", "until": "2027"}])
def test_a_pin_without_a_usable_reason_is_refused(hub: ActingHub, body: Any) -> None:
    """Whoever cleans up later must know why it is kept."""
    path = f"/v1/datasets/{NAME}/versions/{first(hub)}/pins"
    headers = {"Content-Type": "application/json"}
    answer = hub.call("POST", path, org=PLANT, kind="enterprise", body=json.dumps(body).encode(), headers=headers)

    assert (answer.status, answer.json()["code"]) == (422, "fields_invalid")
