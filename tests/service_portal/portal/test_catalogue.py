"""The catalogue: what is found, what an operation's page shows, and calls that are tried."""

from __future__ import annotations

import ast
import json
from urllib.parse import urlencode

import pytest
from service_portal.portal import calling
from service_portal.portal.catalogue import chosen, entries, operation
from service_portal.portal.routes.catalogue import fits

from tests.service_portal.portal.conftest import Browserless
from tests.service_portal.portal.fake.document import DOCUMENT, PUSH

BASE = "http://brain.example"
TARGET = "/api/data-hub/v1/datasets/enterprise.enterprise_monthly/pushes"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("推送", [PUSH]),
        ("PUSHES", [PUSH]),
        ("/api/data-hub", [PUSH, "data_hub.list_datasets"]),
        ("datasets 列表", ["data_hub.list_datasets"]),
        ("没有的词", []),
        ("", [PUSH, "data_hub.list_datasets", "identity.sign_in"]),
    ],
)
def test_search_finds_by_chinese_path_and_tag(text: str, found: list[str]) -> None:
    """Every word has to stand somewhere in id, path, words or tags; case does not matter."""
    assert {entry.id for entry in chosen(entries(DOCUMENT), text, "", "")} == set(found)


def test_a_service_or_tag_narrows_the_list() -> None:
    """Both filters may be combined with words."""
    assert [entry.id for entry in chosen(entries(DOCUMENT), "", "identity", "")] == ["identity.sign_in"]
    assert [entry.id for entry in chosen(entries(DOCUMENT), "", "data-hub", "pushes")] == [PUSH]


def test_the_curl_line_survives_a_shell() -> None:
    """Quotes of the body are kept; the key is a variable; the address is the reader's own."""
    found = operation(DOCUMENT, PUSH)
    assert found is not None
    line = calling.curl_line(found, BASE)

    assert line.startswith(f"curl -X POST \\\n  '{BASE}{TARGET}?wait=60'")
    assert '-H "Authorization: Bearer $BRAIN_KEY"' in line
    assert "-H 'Idempotency-Key: 2026-10'" in line
    assert "it'\\''s" in line


def test_the_python_line_is_python() -> None:
    """It names the method of the client with the example's values."""
    found = operation(DOCUMENT, PUSH)
    assert found is not None
    tree = ast.parse(calling.python_line(found, BASE))
    call = next(
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("push")
    )

    assert ast.unparse(call.func) == "brain.data_hub.push"
    assert ast.literal_eval(call.args[0]) == "enterprise.enterprise_monthly"
    assert ast.literal_eval(call.args[1]) == [{"month": "2026", "note": "it's"}]
    assert {item.arg: ast.literal_eval(item.value) for item in call.keywords} == {
        "wait": 60,
        "idempotency_key": "2026-10",
        "content_type": "application/json",
    }


@pytest.mark.parametrize("who", ["operator", "owner"])
def test_the_list_is_for_every_role(who: str, request: pytest.FixtureRequest) -> None:
    """Operators and managers of enterprises see the same list, with a link to each operation."""
    text = request.getfixturevalue(who).text("/catalogue?q=" + "%E6%8E%A8%E9%80%81")

    assert f'href="/catalogue/{PUSH}"' in text
    assert "data_hub.list_datasets" not in text


def test_an_operation_shows_parameters_examples_errors_and_lines(owner: Browserless) -> None:
    """All that a developer needs stands on one page, with the portal's own address in the lines."""
    text = owner.text(f"/catalogue/{PUSH}")

    for part in (
        "推送数据",
        "idempotency-key",
        "fields_invalid",
        "请求不合要求",
        "committed",
        "text/csv",
        "curl -X POST",
    ):
        assert part in text, part
    assert f"{owner.url}{TARGET}" in text
    assert owner.get("/catalogue/data_hub.nothing").status == 404


def test_the_list_comes_as_a_file(operator: Browserless) -> None:
    """CSV of what is shown."""
    lines = operator.get("/catalogue.csv?service=identity").data.decode("utf-8-sig").splitlines()

    assert lines[0].startswith("id,service,method,path")
    assert [line.split(",")[0] for line in lines[1:]] == ["identity.sign_in"]


@pytest.fixture
def token(operator: Browserless) -> str:
    """The form token of an operator's page."""
    return operator.token("/catalogue")


def test_a_try_goes_through_the_gateway_as_the_person(operator: Browserless, token: str) -> None:
    """Method, target, body and the chosen headers arrive there, with the token of the session."""
    query = urlencode({"target": f"{TARGET}?wait=5"})
    headers = {
        "X-Form-Token": token,
        "X-Try-Content-Type": "text/csv",
        "X-Try-Idempotency-Key": "k1",
        "X-Try-Cookie": "no",
    }
    reply = operator.request("POST", f"/catalogue/{PUSH}/try?{query}", headers, body=b"month\n2026-10\n")
    answer = json.loads(reply.data)
    heard = json.loads(answer["body"])

    assert (reply.status, answer["status"]) == (200, 200)
    assert (heard["method"], heard["path"], heard["query"]) == ("POST", TARGET, "wait=5")
    assert heard["body"] == "month\n2026-10\n"
    assert heard["headers"]["authorization"].startswith("Bearer ")
    assert heard["headers"]["content-type"] == "text/csv"
    assert heard["headers"]["idempotency-key"] == "k1"
    assert "cookie" not in heard["headers"]
    assert answer["elapsed_ms"] >= 0


@pytest.mark.parametrize(
    "target",
    [
        "/api/identity/v1/keys",
        "/api/data-hub/v1/datasets//pushes",
        "/api/data-hub/v1/datasets/a/pushes/../../keys",
        "http://elsewhere/api/data-hub/v1/datasets/a/pushes",
        "/sign-out",
    ],
)
def test_a_try_of_another_address_is_refused(operator: Browserless, token: str, target: str) -> None:
    """The form of one operation calls that operation and nothing else."""
    query = urlencode({"target": target})
    headers = {"X-Form-Token": token, "Accept": "application/json"}
    reply = operator.request("POST", f"/catalogue/{PUSH}/try?{query}", headers, body=b"")

    assert reply.status == 422
    assert json.loads(reply.data)["field"] == "target"


def test_a_try_needs_a_session_and_its_form_token(visitor: Browserless, operator: Browserless) -> None:
    """Another site cannot make the browser call an interface."""
    query = urlencode({"target": TARGET})
    assert operator.request("POST", f"/catalogue/{PUSH}/try?{query}", {"Accept": "application/json"}).status == 403
    assert visitor.request("POST", f"/catalogue/{PUSH}/try?{query}", {"Accept": "application/json"}).status == 401


def test_a_path_fits_its_template_step_by_step() -> None:
    """Parameters are one step each and not empty."""
    assert fits("/v1/a/{name}/b", "/v1/a/x%20y/b")
    assert not fits("/v1/a/{name}/b", "/v1/a/%20/b")
    assert not fits("/v1/a/{name}", "/v1/a/x/y")
