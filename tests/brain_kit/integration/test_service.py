"""What every service application has: errors in one form, ids, health, readiness, metrics, OpenAPI."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from brain_kit.client import Reply
from brain_kit.database import Database
from brain_kit.openapi import routes_of
from brain_kit.service import Platform, ServiceRuntime, create_app
from brain_kit.settings import PlatformSettings

from tests.brain_kit.echo import in_process, register

STANDARD = {"type", "title", "status", "detail", "code", "instance", "request_id"}
JSON_TYPE = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The echo service in this process."""
    with in_process(tmp_path_factory.mktemp("service")) as (platform, _):
        yield platform


def call(platform: Platform, method: str, path: str, **options: Any) -> Reply:
    """One call, whatever it answers."""
    options.setdefault("token", "")
    return platform.client("echo").request(method, path, raise_errors=False, **options)


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "code"),
    [
        ("GET", "/v1/nothing", {}, 404, "not_found"),
        ("DELETE", "/v1/things", {}, 405, "method_not_allowed"),
        ("GET", "/v1/who", {}, 401, "credentials_missing"),
        ("GET", "/v1/who", {"token": "a.b.c"}, 401, "token_invalid"),
        ("GET", "/v1/conflict", {}, 409, "rows_broken"),
        ("GET", "/v1/doubled/name", {}, 409, "written_meanwhile"),
        ("GET", "/v1/doubled/kept", {}, 500, "internal"),
        ("POST", "/v1/things", {"content": b"{", "headers": JSON_TYPE}, 422, "fields_invalid"),
        ("POST", "/v1/things", {"content": b'{"name": "\xff\xfe"}', "headers": JSON_TYPE}, 400, "body_unreadable"),
        ("POST", "/v1/things", {"content": b"[" * 100_000, "headers": JSON_TYPE}, 400, "body_unreadable"),
        ("POST", "/v1/things", {"content": b"1" * 5000, "headers": JSON_TYPE}, 400, "body_unreadable"),
        ("POST", "/v1/things", {"content": b'{"name": "\\ud800x", "count": 1}', "headers": JSON_TYPE}, 422, None),
        ("POST", "/v1/things", {"content": b" " * 1_000_001, "headers": JSON_TYPE}, 413, "too_large"),
        ("POST", "/v1/things", {"content": iter([b" " * 600_000] * 2), "headers": JSON_TYPE}, 413, "too_large"),
        ("GET", "/v1/echo%00", {}, 400, "bad_request"),
        ("GET", "/v1/echo?a=%00", {}, 400, "bad_request"),
        ("GET", "/v1/crash", {}, 500, "internal"),
    ],
)
def test_every_refusal_is_a_problem(
    platform: Platform, method: str, path: str, options: dict[str, Any], status: int, code: str | None
) -> None:
    """Whatever goes wrong, and whoever notices: the framework, the kit or the service."""
    reply = call(platform, method, path, **options)

    body = reply.json()
    assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json")
    assert set(body) >= STANDARD
    assert (body["status"], body["code"]) == (status, code or body["code"])
    assert body["type"] == f"urn:brain:problem:{body['code']}"
    assert body["request_id"] == reply.headers["x-request-id"]
    assert body["detail"]


def test_wrong_fields_are_listed_with_what_to_do(platform: Platform) -> None:
    """All of them at once: name, place, reason, and the value that was sent."""
    body = {"name": "x", "count": "many", "password": "a-password-too-long"}
    answer = call(platform, "POST", "/v1/things?limit=99", json=body).json()

    assert (answer["status"], answer["code"]) == (422, "fields_invalid")
    errors = {error["field"]: error for error in answer["errors"]}
    assert errors == {
        "limit": {"field": "limit", "in": "query", "reason": "不大于 10", "value": "99"},
        "name": {"field": "name", "in": "body", "reason": "至少 2 个字符", "value": "x"},
        "count": {"field": "count", "in": "body", "reason": "应为整数", "value": "many"},
        "password": {"field": "password", "in": "body", "reason": "最多 8 个字符"},
    }
    for name in errors:
        assert name in answer["detail"]


def test_a_missing_field_and_bad_json_say_what_is_wrong(platform: Platform) -> None:
    """The field by its path; JSON by the fault."""
    missing = call(platform, "POST", "/v1/things", json={"name": "xx"}).json()
    broken = call(platform, "POST", "/v1/things", content=b'{"name": }', headers=JSON_TYPE).json()

    assert missing["errors"] == [{"field": "count", "in": "body", "reason": "缺少该字段"}]
    assert broken["errors"][0]["field"] == "body"
    assert broken["errors"][0]["reason"].startswith("不是合法的 JSON")


def test_a_crash_tells_an_id_and_nothing_else(platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    """The caller gets the id; the log has the traceback under the same id, with no secret of the place."""
    reply = call(platform, "GET", "/v1/crash", headers={"x-request-id": "req_from_caller"})
    log = capsys.readouterr().err

    assert b"hunter2" not in reply.content
    assert b"RuntimeError" not in reply.content
    assert reply.json()["request_id"] == "req_from_caller"
    assert "req_from_caller" in log
    assert "RuntimeError" in log
    assert "hunter2" not in log


@pytest.mark.parametrize("given", ["short", "x" * 65, "with space in it", "injected\r\nheader: x", "机床机床机床机床"])
def test_a_request_id_that_could_do_harm_is_replaced(platform: Platform, given: str) -> None:
    """Ids go into logs and headers: 8 to 64 letters, digits, and - _ . only."""
    headers = {"x-request-id": given.encode().decode("latin-1")}

    made = call(platform, "GET", "/v1/echo", headers=headers).headers["x-request-id"]

    assert made.startswith("req_")


def test_roles_decide(platform: Platform) -> None:
    """A service's token has the role service, and no other."""
    reply = call(platform, "GET", "/v1/operators", token=None)

    assert (reply.status, reply.json()["code"]) == (403, "not_permitted")
    assert reply.json()["required"] == ["operator"]


def test_readiness_names_the_failing_part(tmp_path: Path) -> None:
    """503, which part, what to do; the others are still told; a password in the text is masked."""

    def away() -> None:
        raise ConnectionError("cannot reach postgresql://brain:hunter2@db:5432/brain, is it running?")

    with Ready(tmp_path, {"disk": lambda: None, "database": away}) as ready:
        reply = ready()

    assert reply.status == 503
    disk, database = reply.json()["parts"]
    assert disk == {"name": "disk", "ok": True, "detail": None}
    assert (database["name"], database["ok"]) == ("database", False)
    assert "is it running?" in database["detail"]
    assert "hunter2" not in reply.content.decode()


def test_a_part_that_hangs_fails_readiness_in_time(tmp_path: Path) -> None:
    """Probes neither wait for it nor pile up on it; when it answers again all is well."""
    calls: list[float] = []
    release = threading.Event()

    def hangs() -> None:
        calls.append(time.monotonic())
        release.wait(30)

    with Ready(tmp_path, {"broker": hangs, "database": lambda: None}) as ready:
        started = time.monotonic()
        first, second = ready(), ready()
        waited = time.monotonic() - started
        release.set()
        time.sleep(0.1)
        third = ready()

    assert (first.status, second.status, third.status) == (503, 503, 200)
    assert [part["name"] for part in first.json()["parts"] if not part["ok"]] == ["broker"]
    assert waited < 10
    assert len(calls) == 2  # the two first probes shared one


class Ready:
    """A service with checks; calling it probes."""

    def __init__(self, home: Path, checks: dict[str, Any]) -> None:
        self.platform = Platform(PlatformSettings(home=home))
        self.platform.register(
            ServiceRuntime("checked", create_app("checked", self.platform, title="x", checks=checks))
        )

    def __enter__(self) -> Ready:
        return self

    def __exit__(self, *_: object) -> None:
        self.platform.close()

    def __call__(self) -> Reply:
        return self.platform.client("checked").request("GET", "/readyz", token="", raise_errors=False)


def test_health_says_that_the_process_lives(platform: Platform) -> None:
    """And asks nothing else, so that a broken database does not restart every process."""
    assert call(platform, "GET", "/healthz").json() == {"status": "ok", "service": "echo"}


def test_requests_are_counted_by_route_and_never_by_what_callers_make_up(platform: Platform) -> None:
    """Made-up paths and methods must not become time series."""
    for number in range(5):
        call(platform, "GET", f"/made-up/{number}")
        call(platform, f"MADE{number}", "/v1/echo")
    text = call(platform, "GET", "/metrics").content.decode()

    lines = [line for line in text.splitlines() if line.startswith("brain_http_requests_total{")]
    assert any('method="GET",route="unmatched",service="echo",status="404"' in line for line in lines)
    assert any('method="other"' in line for line in lines)
    assert not [line for line in lines if "made-up" in line or "MADE" in line]


@pytest.mark.parametrize(("access_log", "lines"), [(True, 2), (False, 1)])
def test_requests_are_logged_when_asked_for_and_failures_always(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], access_log: bool, lines: int
) -> None:
    """One line each with method, path, status and time; probes leave none."""
    platform = Platform(PlatformSettings(home=tmp_path, log_format="json", access_log=access_log))
    register(platform)
    for path in ("/v1/echo", "/v1/crash", "/healthz"):
        call(platform, "GET", path)
    platform.close()
    written = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]

    requests = [line for line in written if line["event"] == "request"]
    assert [(line["path"], line["status"]) for line in requests] == [("/v1/echo", 200), ("/v1/crash", 500)][-lines:]
    assert all(line["service"] == "echo" and line["ms"] >= 0 and line["request_id"] for line in requests)


def test_two_services_of_one_process_count_apart(tmp_path: Path) -> None:
    """Each has a registry of its own."""
    with in_process(tmp_path) as (platform, _):
        for _ in range(3):
            call(platform, "GET", "/v1/echo")
        text = platform.client("identity").request("GET", "/metrics", token="").content.decode()

    assert 'service="echo"' not in text


def test_the_catalogue_says_how_to_authenticate_and_how_it_refuses(platform: Platform) -> None:
    """Public routes need nothing; the others a bearer token or a key; every error is a Problem."""
    document = call(platform, "GET", "/openapi.json").json()

    assert set(document["components"]["securitySchemes"]) == {"bearer", "apiKey"}
    guarded, public = document["paths"]["/v1/who"]["get"], document["paths"]["/v1/things"]["post"]
    assert guarded["security"] == [{"bearer": []}, {"apiKey": []}]
    assert public["security"] == []
    refused = public["responses"]["422"]["content"]["application/problem+json"]["schema"]
    assert refused == {"$ref": "#/components/schemas/Problem"}
    assert set(document["components"]["schemas"]["Problem"]["required"]) == STANDARD
    assert "HTTPValidationError" not in str(document)


def test_the_routes_of_included_routers_are_listed(platform: Platform) -> None:
    """The architecture tests walk them; a route that is not listed would not be guarded."""
    from fastapi import APIRouter

    app = create_app("routed", platform, title="x")
    router = APIRouter(prefix="/v1")
    router.get("/inner")(lambda: None)
    app.include_router(router)

    assert "/v1/inner" in {route.path for route in routes_of(app)}


def test_the_text_of_a_database_error_carries_no_values(tmp_path: Path) -> None:
    """It goes into logs; the values are rows of enterprises and hashes of passwords."""
    database = Database(f"sqlite:///{tmp_path}/x.db")
    with database.transaction() as session:
        session.execute(sa.text("CREATE TABLE firm (name TEXT UNIQUE)"))
    insert = sa.text("INSERT INTO firm (name) VALUES (:name)")

    with pytest.raises(sa.exc.IntegrityError) as failure, database.transaction() as session:
        session.execute(insert, [{"name": "秘密机床厂"}, {"name": "秘密机床厂"}])
    database.close()

    assert "秘密机床厂" not in str(failure.value)
    assert "firm" in str(failure.value)
