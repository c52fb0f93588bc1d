"""Services that act for an organisation: they see and own what that does, and nobody else may say for whom."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from brain_contracts.codes import make_uscc

from tests.data_hub.acting import BUREAU, LABORATORY, NEIGHBOUR, PLANT, ActingHub, acting_hub
from tests.data_hub.hub import OPERATOR, contract

SHARED = "enterprise.shared"
COLUMNS = {"id": "string", "weight": "number"}
EXAMPLE = {"id": "a", "weight": 1.0}
NDJSON = {"Content-Type": "application/x-ndjson"}
YAML = {"Content-Type": "application/yaml"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ActingHub]:
    """A data set of the platform in which plant and neighbour have a row each."""
    for hub in acting_hub(request, tmp_path_factory.mktemp("acting")):
        assert hub.put_contract(SHARED, contract(SHARED, COLUMNS, ["id"], example=EXAMPLE)).status == 201
        for org, weight in ((PLANT, 1.0), (NEIGHBOUR, 50.0)):
            answer = hub.push(SHARED, [{"id": "a", "weight": weight}], org=org, kind="enterprise")
            assert answer.json()["state"] == "committed"
        yield hub


def weights(hub: ActingHub, org: str | None) -> list[float]:
    """What a service reads for an organisation."""
    body = json.dumps({"sql": f"SELECT weight FROM {SHARED} ORDER BY weight"}).encode()
    answer = hub.act(org, "POST", "/v1/queries", body=body, headers=JSON)
    assert answer.status == 200, answer.data
    page = hub.act(org, "GET", f"/v1/datasets/{SHARED}/rows?columns=weight").json()
    found = [row["weight"] for row in answer.json()["items"]]
    assert sorted(row["weight"] for row in page["items"]) == found
    return found


def register(hub: ActingHub, org: str | None, name: str, **options: Any) -> Any:
    """A contract registered by a service."""
    document = contract(name, COLUMNS, ["id"], example=EXAMPLE, **options)
    return hub.act(org, "PUT", f"/v1/contracts/{name}", body=document.encode(), headers=YAML)


def test_a_service_sees_what_the_organisation_sees(hub: ActingHub) -> None:
    """Each enterprise its own row, a department all; one after the other, so that nothing kept is mixed up."""
    assert weights(hub, None) == [1.0, 50.0]
    assert weights(hub, PLANT) == [1.0]
    assert weights(hub, NEIGHBOUR) == [50.0]
    assert weights(hub, BUREAU) == [1.0, 50.0]
    assert weights(hub, LABORATORY) == []


def test_results_kept_for_one_organisation_are_not_read_for_another(hub: ActingHub) -> None:
    """The same service, the same query id: pages of a result belong to whom it acted for."""
    body = json.dumps({"sql": f"SELECT * FROM range(5), {SHARED}", "id": "kept-by-plant", "limit": 1}).encode()
    page = hub.act(PLANT, "POST", "/v1/queries", body=body, headers=JSON).json()
    path = f"/v1/queries/kept-by-plant/rows?after={page['next']}"

    assert hub.act(PLANT, "GET", path).status == 200
    assert hub.act(NEIGHBOUR, "GET", path).status == 404


def test_rows_pushed_for_an_organisation_are_its_own(hub: ActingHub) -> None:
    """Owner and receipt name the organisation; the neighbour finds no such push."""
    answer = hub.act(
        LABORATORY, "POST", f"/v1/datasets/{SHARED}/pushes?wait=60", body=b'{"id": "lab", "weight": 7}', headers=NDJSON
    )
    receipt = answer.json()

    assert (receipt["state"], receipt["owner"]) == ("committed", LABORATORY)
    assert weights(hub, LABORATORY) == [7.0]
    assert hub.act(NEIGHBOUR, "GET", f"/v1/pushes/{receipt['id']}").status == 404
    assert hub.call("GET", f"/v1/pushes/{receipt['id']}", org=LABORATORY, kind="provider").status == 200


@pytest.mark.parametrize("path", [f"/v1/datasets/{SHARED}/rows", "/v1/datasets", "/v1/statistics", "/v1/pushes"])
@pytest.mark.parametrize(("org", "kind"), [(OPERATOR, "operator"), (PLANT, "enterprise"), (BUREAU, "department")])
def test_only_services_may_say_for_whom_they_act(hub: ActingHub, path: str, org: str, kind: str) -> None:
    """Not even the operator, and not even for oneself."""
    answer = hub.call("GET", path, org=org, kind=kind, headers={"X-Acting-Org": PLANT})

    assert (answer.status, answer.json()["code"]) == (403, "acting_not_permitted")


@pytest.mark.parametrize("uscc", ["91370303MA3C00999X", "nobody", "", "../v1/keys"])
def test_an_organisation_that_is_not_registered_is_named(hub: ActingHub, uscc: str) -> None:
    """A service never falls back to seeing everything."""
    answer = hub.act(uscc, "GET", "/v1/datasets")

    assert (answer.status, answer.json()["code"], answer.json()["field"]) == (422, "acting_org_invalid", "X-Acting-Org")


def test_nobody_acts_for_a_suspended_organisation(hub: ActingHub) -> None:
    """Its data stay, its work stops."""
    closed = make_uscc("370303", 59)
    hub.identity("POST", "/v1/organisations", {"uscc": closed, "name": "停", "kind": "enterprise", "region": "370303"})
    hub.identity("PATCH", f"/v1/organisations/{closed}", {"state": "suspended"})

    answer = hub.act(closed, "GET", "/v1/datasets")

    assert (answer.status, answer.json()["code"]) == (403, "acting_not_permitted")


def test_a_service_registers_data_sets_of_an_organisation(hub: ActingHub) -> None:
    """The organisation owns it: it pushes, reads and sees it; a department sees it; the neighbour does not."""
    name = "enterprise.plant_result"
    assert register(hub, PLANT, name).status == 201
    answer = hub.act(
        PLANT, "POST", f"/v1/datasets/{name}/pushes?wait=60", body=b'{"id": "x", "weight": 3}', headers=NDJSON
    )
    assert answer.json()["state"] == "committed"

    own = hub.call("GET", f"/v1/datasets/{name}", org=PLANT, kind="enterprise")
    assert (own.status, own.json()["owner_org"], own.json()["rows"]) == (200, PLANT, 1)
    assert hub.call("GET", f"/v1/datasets/{name}", org=BUREAU, kind="department").status == 200
    assert name in [
        item["name"] for item in hub.call("GET", "/v1/datasets", org=PLANT, kind="enterprise").json()["items"]
    ]


@pytest.mark.parametrize(
    ("method", "path", "body", "headers"),
    [
        ("GET", "/v1/datasets/{name}", None, {}),
        ("GET", "/v1/contracts/{name}", None, {}),
        ("GET", "/v1/datasets/{name}/rows", None, {}),
        ("GET", "/v1/datasets/{name}/versions", None, {}),
        ("POST", "/v1/datasets/{name}/versions/1/pins", b'{"reason": "x"}', JSON),
        ("DELETE", "/v1/datasets/{name}/versions/1/pins/pin_1", None, {}),
        ("POST", "/v1/datasets/{name}/pushes", b'{"id": "y"}', NDJSON),
    ],
)
def test_data_sets_of_an_organisation_do_not_exist_for_its_neighbours(
    hub: ActingHub, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> None:
    """Every route answers as for a name that was never registered."""
    name = "enterprise.hidden_result"
    register(hub, PLANT, name)
    found = hub.call(method, path.format(name=name), org=NEIGHBOUR, kind="enterprise", body=body, headers=headers)
    none = hub.call(
        method, path.format(name="enterprise.none"), org=NEIGHBOUR, kind="enterprise", body=body, headers=headers
    )

    assert (found.status, found.json()["code"]) == (none.status, none.json()["code"]) == (404, "dataset_unknown")
    assert found.json()["detail"].replace(name, "enterprise.none") == none.json()["detail"]


def test_lists_and_queries_leave_out_data_sets_of_others(hub: ActingHub) -> None:
    """Neither the catalogue nor the statistics nor SQL tell of them."""
    name = "enterprise.secret_result"
    register(hub, PLANT, name)
    listed = hub.call("GET", "/v1/datasets?limit=1000", org=NEIGHBOUR, kind="enterprise").json()["items"]
    figures = hub.call("GET", "/v1/statistics", org=NEIGHBOUR, kind="enterprise").json()["datasets"]
    body = json.dumps({"sql": f"SELECT * FROM {name}"}).encode()
    answer = hub.call("POST", "/v1/queries", org=NEIGHBOUR, kind="enterprise", body=body, headers=JSON)

    assert name not in [item["name"] for item in listed]
    assert name not in [item["dataset"] for item in figures]
    assert (answer.status, answer.json()["code"]) == (422, "query_table_unknown")


@pytest.mark.parametrize(("org", "kind"), [(BUREAU, "department"), (OPERATOR, "operator")])
def test_only_the_owner_pushes_to_its_data_set(hub: ActingHub, org: str, kind: str) -> None:
    """A department sees the enterprise's result but does not write into it."""
    name = "enterprise.owned_result"
    register(hub, PLANT, name)
    answer = hub.push(name, [{"id": "z"}], org=org, kind=kind)

    assert (answer.status, answer.json()["code"]) == (403, "push_not_permitted")


def test_a_name_that_another_has_is_taken(hub: ActingHub) -> None:
    """By another organisation, or by the platform."""
    name = "enterprise.taken"
    assert register(hub, PLANT, name).status == 201
    assert register(hub, PLANT, name).status == 200
    for taken, org in ((name, NEIGHBOUR), (SHARED, PLANT), (name, BUREAU)):
        answer = register(hub, org, taken)
        assert (answer.status, answer.json()["code"]) == (409, "dataset_name_taken")


@pytest.mark.parametrize(
    ("org", "name", "options", "field"),
    [
        (PLANT, "public.mine", {}, "name"),
        (PLANT, "industry.mine", {}, "name"),
        (LABORATORY, "public.mine", {}, "name"),
        (PLANT, "enterprise.open_result", {"access": "open"}, "customProperties.access"),
    ],
)
def test_organisations_stay_in_their_own_warehouses(
    hub: ActingHub, org: str, name: str, options: Any, field: str
) -> None:
    """The public warehouse is the departments', and what is open to all is the operator's decision."""
    answer = register(hub, org, name, **options)

    assert (answer.status, answer.json()["code"]) == (422, "contract_invalid")
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_departments_make_data_sets_in_every_warehouse(hub: ActingHub) -> None:
    """What they compute from the public warehouse belongs there."""
    for warehouse in ("public", "industry", "enterprise"):
        assert register(hub, BUREAU, f"{warehouse}.bureau_result").status == 201


def test_people_register_contracts_as_before(hub: ActingHub) -> None:
    """Operators do; a service that says for nobody does not."""
    document = contract("enterprise.by_hand", COLUMNS, ["id"], example=EXAMPLE).encode()
    for org, kind, status in ((PLANT, "enterprise", 403), (BUREAU, "department", 403), (OPERATOR, "operator", 201)):
        answer = hub.call("PUT", "/v1/contracts/enterprise.by_hand", org=org, kind=kind, body=document, headers=YAML)
        assert answer.status == status, answer.data
    answer = register(hub, None, "enterprise.for_nobody")
    assert (answer.status, answer.json()["code"]) == (403, "contract_not_permitted")
