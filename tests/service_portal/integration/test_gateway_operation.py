"""What operators see at the gateway: health, readiness by part, metrics, the merged catalogue."""

from __future__ import annotations

import re
from typing import Any

import pytest
from brain_kit.service import Platform, ServiceRuntime, create_app
from fastapi.openapi.models import OpenAPI

from tests.identity.brain import Holder
from tests.service_portal.front import Front


def refs(value: Any) -> set[str]:
    """Every reference inside a document."""
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(refs(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(refs(item) for item in value))
    return set()


def test_the_merged_openapi_is_valid_and_whole(front: Front) -> None:
    """It parses by the model of the specification, every reference leads somewhere, every operation has its own id."""
    document = front.call("GET", "/openapi.json").json()
    OpenAPI.model_validate(document)
    operations = [
        operation for item in document["paths"].values() for name, operation in item.items() if name != "parameters"
    ]
    ids = [operation["operationId"] for operation in operations]
    known = {f"#/components/{part}/{name}" for part in ("schemas", "examples") for name in document["components"][part]}

    # The stand-in for data-hub answers several methods by one function, which real services do not.
    real = [name for name in ids if not name.startswith("data_hub.")]
    assert len(real) > 25
    assert len(real) == len(set(real))
    assert refs(document["paths"]) | refs(document["components"]) <= known
    assert {path.split("/")[2] for path in document["paths"]} == {"identity", "service-portal", "data-hub"}


def test_the_catalogue_shows_no_internal_address(front: Front, holder: Holder) -> None:
    """Neither in the document nor in the list of routes; each listed route exists."""
    document = front.call("GET", "/openapi.json").json()
    listed = front.call("GET", "/api/service-portal/v1/routes", holder.key).json()["items"]

    assert all(re.match(r"/api/[a-z-]+/v1/", path) for path in document["paths"])
    assert {(item["path"]) for item in listed} == set(document["paths"])


def test_every_path_of_the_catalogue_is_reachable(front: Front) -> None:
    """Called without credentials each answers 401, or is one of the public ones."""
    document = front.call("GET", "/openapi.json").json()
    open_paths = set()
    for path, item in document["paths"].items():
        for method in item:
            reply = front.call(method.upper(), path.replace("{", "").replace("}", ""))
            if reply.status != 401:
                open_paths.add(f"{method} {path}")

    assert open_paths == {
        "post /api/identity/v1/sessions",
        "post /api/identity/v1/sessions/refresh",
        "post /api/identity/v1/sessions/revoke",
    }


def test_metrics_are_the_operators(front: Front, holder: Holder) -> None:
    """In either header; others get 401 or 403. The text is of the Prometheus form, each metric described once."""
    assert front.code("GET", "/metrics") == (401, "credentials_missing")
    assert front.code("GET", "/metrics", holder.key) == (403, "not_permitted")
    assert front.call("GET", "/metrics", headers={"X-API-Key": front.brain.first.api_key}).status == 200
    reply = front.call("GET", "/metrics", front.brain.first.api_key)
    lines = reply.data.decode().splitlines()
    described = [line for line in lines if line.startswith("# TYPE")]

    assert reply.headers["content-type"].startswith("text/plain")
    assert any(line.startswith("brain_http_requests_total{") and 'service="identity"' in line for line in lines)
    assert len(described) == len(set(described))


def test_metrics_do_not_grow_with_what_callers_make_up(front: Front, holder: Holder) -> None:
    """Unknown paths and methods are counted under one name."""

    def series() -> int:
        return len(front.call("GET", "/metrics", front.brain.first.api_key).data.splitlines())

    front.call("GET", "/api/data-hub/v1/made-up/0", holder.key)
    before = series()
    for number in range(20):
        front.call("GET", f"/api/data-hub/v1/made-up/{number}", holder.key)

    assert series() - before <= 2


def test_readiness_covers_every_service(front: Front) -> None:
    """Parts carry the name of their service."""
    reply = front.call("GET", "/readyz")
    names = {part["name"] for part in reply.json()["parts"]}

    assert reply.status == 200
    assert {"identity/database", "service-portal/database"} <= names
    assert front.call("GET", "/healthz").json()["status"] == "ok"


def test_readiness_names_the_part_that_fails(embedded: Front) -> None:
    """503 with the failing part and its reason, the others shown as well."""

    def broken() -> None:
        raise ConnectionError("postgresql://brain:hunter2@10.0.0.9/x refuses")

    app = create_app("data-hub", embedded.platform, title="Toy", checks={"warehouse": broken})
    embedded.platform.register(ServiceRuntime("data-hub", app))
    reply = embedded.call("GET", "/readyz")
    parts = {part["name"]: part for part in reply.json()["parts"]}

    assert (reply.status, reply.json()["status"]) == (503, "unavailable")
    assert parts["data-hub/warehouse"]["ok"] is False
    assert "refuses" in parts["data-hub/warehouse"]["detail"]
    assert "hunter2" not in reply.data.decode()
    assert parts["identity/database"]["ok"] is True


@pytest.mark.parametrize("path", ["/readyz", "/openapi.json"])
def test_a_service_that_is_away_does_not_take_the_gateway_with_it(embedded: Front, path: str) -> None:
    """Readiness names it, the catalogue goes on without it."""
    platform: Platform = embedded.platform
    platform.settings.services["government-services"] = "http://127.0.0.1:9"
    reply = embedded.call("GET", path)
    body = reply.json()

    if path == "/readyz":
        assert reply.status == 503
        assert [part["name"] for part in body["parts"] if not part["ok"]] == ["government-services"]
    else:
        assert reply.status == 200
        assert not [name for name in body["paths"] if "government" in name]


def test_everything_else_is_the_portals(front: Front) -> None:
    """Pages are not the gateway's business."""
    assert front.call("GET", "/").data == front.call("GET", "/apis").data == b"portal"
