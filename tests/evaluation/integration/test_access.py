"""Who may do what: every route as nobody, as an enterprise and as a department; and what is wrong with a request."""

from __future__ import annotations

from typing import Any

import pytest
from brain_kit.openapi import routes_of

from tests.evaluation.world import CLUSTER, World

PLACE = {
    "set_id": "construction", "code": "L1P2", "cluster": CLUSTER, "run": "run_x", "report": "rep_x",
    "assessment": "asm_x", "evidence_id": "evd_x", "action": "submit",
}  # fmt: skip
BODIES: dict[str, Any] = {
    "PUT /v1/clusters/{cluster}": {"name": "x", "region": "3703"},
    "POST /v1/runs": {"cluster": CLUSTER},
    "POST /v1/indicator-sets/{set_id}/indicators/{code}/reports": {"cluster": CLUSTER, "period": "2019", "value": 1},
    "PATCH /v1/reports/{report}": {"value": 1},
    "PUT /v1/indicator-sets/{set_id}/indicators/{code}/target": {"cluster": CLUSTER, "period": "2019", "value": 1},
    "PUT /v1/indicator-sets/{set_id}/weights": {"weights": {"L1P1": 1}},
    "PUT /v1/level-rule": {"method": "criteria"},
    "POST /v1/assessments": {"year": "2022"},
    "PATCH /v1/assessments/{assessment}": {"marks": {"C01": {"met": True}}},
    "PATCH /v1/assessments/{assessment}/review": {"marks": {"C01": {"reviewed": True}}},
}
QUERY = {"period": "2025", "name": "a.pdf", "criterion": "C01", "cluster": CLUSTER}
# What an enterprise may do: see the sets as they are printed, and work on its own assessment.
OPEN_TO_ENTERPRISES = {
    "GET /v1/indicator-sets",
    "GET /v1/indicator-sets/{set_id}/indicators",
    "GET /v1/indicator-sets/{set_id}/indicators/{code}",
    "GET /v1/indicator-sets/{set_id}/weights",
    "GET /v1/indicator-sets/{set_id}/export",
    "GET /v1/level-rule",
    "GET /v1/assessments",
    "GET /v1/assessments/{assessment}",
    "GET /v1/assessments/{assessment}/export",
    "GET /v1/assessments/{assessment}/evidence/{evidence_id}",
    "POST /v1/assessments",
    "PATCH /v1/assessments/{assessment}",
    "POST /v1/assessments/{assessment}/evidence",
    "DELETE /v1/assessments/{assessment}/evidence/{evidence_id}",
    "POST /v1/assessments/{assessment}/{action}",
}


def routes(world: World) -> list[str]:
    """`METHOD path` of every public route."""
    return sorted(
        f"{method} {route.path}"
        for route in routes_of(world.runtimes["evaluation"].app)
        for method in route.methods or ()
        if str(route.path).startswith("/v1/")
    )


def call(world: World, who: str, route: str) -> tuple[int, str]:
    """(status, code or empty) of a route with ids put in."""
    method, path = route.split(" ")
    options: dict[str, Any] = {"params": QUERY}
    if route in BODIES:
        options["json"] = BODIES[route]
    reply = world.call(who, method, path.format(**PLACE), **options)
    is_problem = reply.headers.get("content-type", "").startswith("application/problem+json")
    return reply.status, reply.json()["code"] if is_problem else ""


def test_nobody_gets_in_without_credentials(world: World) -> None:
    """Every route answers 401 before anything else is looked at."""
    assert len(routes(world)) > 30
    for route in routes(world):
        assert call(world, "", route) == (401, "credentials_missing"), route


def test_an_enterprise_reaches_its_own_routes_only(world: World) -> None:
    """All others answer 403, whatever the ids; its own answer as if others' objects did not exist."""
    for route in routes(world):
        status, code = call(world, "neighbour", route)
        if route in OPEN_TO_ENTERPRISES:
            assert status < 300 or (status, code) == (404, "assessment_unknown"), (route, status, code)
        else:
            assert status == 403, (route, status, code)


def test_an_enterprise_sees_the_sets_without_values(world: World) -> None:
    """Names, codes and units as printed; no value, no source, no cluster, in no answer."""
    for path in ("/v1/indicator-sets/construction/indicators", "/v1/indicator-sets/construction/indicators/L1P1"):
        body = world.json("neighbour", "GET", path, params={"period": "2025", "cluster": CLUSTER})
        assert body["cluster"] is None
        items = body.get("items") or [body["indicator"]]
        assert items[0]["name"] == "产业规模"
        assert all((item["value"], item["source"], item["state"]) == (None, None, "hidden") for item in items)
        assert all(item["reason"] for item in items)
    assert b"2.335" not in world.call("neighbour", "GET", "/v1/indicator-sets/construction/export").content


def test_only_operators_register_clusters(world: World) -> None:
    """A department reads them; one with reported values stays."""
    assert world.refused("bureau", "PUT", "/v1/clusters/other", json={"name": "x", "region": "3703"})[0] == 403
    assert world.json("bureau", "GET", f"/v1/clusters/{CLUSTER}")["region"] == "3703"
    made = world.report("bureau", "L1P2", "2020", value=1)
    assert world.refused("operator", "DELETE", f"/v1/clusters/{CLUSTER}")[1]["code"] == "cluster_in_use"
    world.json("bureau", "POST", f"/v1/reports/{made['id']}/discard")


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "code"),
    [
        ("GET", "/v1/indicator-sets/nothing/indicators", {}, 404, "indicator_set_unknown"),
        ("GET", "/v1/indicator-sets/construction/indicators/L9P9", {}, 404, "indicator_unknown"),
        ("GET", "/v1/indicator-sets/construction/indicators", {"params": {"period": "2025-13"}}, 422, "period_invalid"),
        ("GET", "/v1/indicator-sets/construction/indicators", {"params": {"cluster": "x"}}, 404, "cluster_unknown"),
        ("GET", "/v1/runs/run_nothing", {}, 404, "run_unknown"),
        ("GET", "/v1/reports/rep_nothing", {}, 404, "report_unknown"),
        ("GET", "/v1/assessments/asm_nothing", {}, 404, "assessment_unknown"),
        ("POST", "/v1/runs", {"json": {"cluster": "x"}}, 404, "cluster_unknown"),
        ("POST", "/v1/runs", {"json": {"cluster": CLUSTER, "set": "nothing"}}, 404, "indicator_set_unknown"),
        ("POST", "/v1/runs", {"json": {"cluster": CLUSTER, "indicators": ["L1P1"]}}, 404, "indicator_set_unknown"),
        (
            "POST",
            "/v1/runs",
            {"json": {"cluster": CLUSTER, "set": "construction", "indicators": ["L9P9"]}},
            404,
            "indicator_unknown",
        ),
        ("POST", "/v1/runs", {"json": {"cluster": CLUSTER, "periods": ["soon"]}}, 422, "period_invalid"),
        ("POST", "/v1/runs", {"json": {"cluster": CLUSTER, "periods": []}}, 422, "fields_invalid"),
        ("PUT", "/v1/clusters/x", {"json": {"name": "x"}}, 422, "fields_missing"),
        ("PUT", "/v1/clusters/x", {"json": {"name": "x", "region": "370"}}, 422, "fields_invalid"),
        ("GET", "/v1/indicator-sets/construction/export", {"params": {"format": "pdf"}}, 422, "fields_invalid"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(
    world: World, method: str, path: str, options: dict[str, Any], status: int, code: str
) -> None:
    """Unknown set, indicator, cluster, run; a period that is none; a region of three digits."""
    found, problem = world.refused("operator", method, path, **options)
    assert (found, problem["code"]) == (status, code), problem
    assert problem["detail"]
