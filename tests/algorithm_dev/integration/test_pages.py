"""Market, card, trial, registration and approval in the portal, and `brain component`, on the running platform."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import urllib3
import yaml
from brain_contracts.codes import make_uscc
from brain_testing.process import PlatformProcess
from industry_brain.apiclient import ApiClient

from tests.algorithm_dev.lab import SQL, sql_card
from tests.algorithm_dev.models import with_external_data

DEPARTMENT = make_uscc("370300", 88, registrar="12")


class Visitor:
    """A signed-in person without a browser."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        self._pool = urllib3.PoolManager(retries=False)
        self._cookies: dict[str, str] = {}
        self.get("/sign-in")
        reply = self.post("/sign-in", {"user": user, "password": password, "next": "/"}, page="/sign-in")
        assert reply.status == 303

    def get(self, path: str) -> str:
        """The text of a page that must be there."""
        reply = self.send("GET", path)
        assert reply.status == 200, (path, reply.status, reply.data[:500])
        return reply.data.decode()

    def post(self, path: str, fields: dict[str, Any], page: str = "/components") -> urllib3.BaseHTTPResponse:
        """Sends a form with its token."""
        body = urlencode(fields | {"form_token": self.token(page)}, doseq=True)
        return self.send("POST", path, {"Content-Type": "application/x-www-form-urlencoded"}, body)

    def token(self, page: str = "/components") -> str:
        """The form token of a page."""
        found = re.search(r'name="form-token" content="([^"]+)"', self.get(page))
        assert found is not None
        return found[1]

    def send(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: Any = None
    ) -> urllib3.BaseHTTPResponse:
        """One request."""
        sent = {"Cookie": "; ".join(f"{k}={v}" for k, v in self._cookies.items())} | (headers or {})
        reply = self._pool.request(method, self.url + path, headers=sent, body=body, redirect=False)
        for header in reply.headers.getlist("set-cookie"):
            name, _, rest = header.partition("=")
            self._cookies[name] = rest.partition(";")[0].strip('"')
        return reply


class Place:
    """A running platform with an operator in the portal and a department's key."""

    def __init__(self, platform: PlatformProcess) -> None:
        first = json.loads((platform.home / "first-credentials.json").read_text(encoding="utf-8"))["operator"]
        self.url, self.key = platform.url, first["api_key"]
        with ApiClient(self.url, self.key) as api:
            body = {"uscc": DEPARTMENT, "name": "工信局", "kind": "department", "region": "370300"}
            api.post("/api/identity/v1/organisations", body)
            self.reviewer_key = api.post("/api/identity/v1/keys", {"org": DEPARTMENT, "name": "审批"})["key"]
            user = {"org": DEPARTMENT, "login": "reviewer", "name": "李审批", "password": "Correct-Horse-42"}
            api.post("/api/identity/v1/users", user)
        self.operator = Visitor(self.url, first["user"], first["password"])
        self.reviewer = Visitor(self.url, "reviewer", "Correct-Horse-42")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The platform of these tests."""
    with PlatformProcess(tmp_path_factory.mktemp("pages")) as platform:
        yield Place(platform)


def test_the_market_lists_and_searches(place: Place) -> None:
    """The platform's six, marked as such; a word narrows; nothing found says what to do."""
    text = place.operator.get("/components")
    assert text.count("平台内置") >= 6
    assert "carbon-accounting" in place.operator.get("/components?q=%E7%A2%B3%E6%8E%92%E6%94%BE")
    assert "没有符合条件的组件" in place.operator.get("/components?q=zzzz")


def test_a_card_shows_signature_sources_and_a_trial(place: Place) -> None:
    """The published example of OEE: 74.79 %; one wrong field is named beside the form."""
    page = place.operator.get("/components/oee")
    assert "Vorne" in page
    row = {"equipment": "1 号", "period": "早班", "planned_busy_time_min": 420, "actual_production_time_min": 373,
           "planned_runtime_per_item_s": 1, "produced_quantity": 19271, "good_quantity": 18848}  # fmt: skip
    fields = {"by": "form"} | {f"input-{name}": value for name, value in row.items()}
    good = place.operator.post("/components/oee/versions/1.0.0/try", fields).data.decode()
    assert re.search(r'title="0\.747[0-9]+"', good)
    assert "正常" in good
    wrong = place.operator.post("/components/oee/versions/1.0.0/try", fields | {"input-produced_quantity": -1})
    assert "produced_quantity" in wrong.data.decode()
    assert "小于下限" in wrong.data.decode()
    body = json.dumps({"inputs": [row, row | {"planned_busy_time_min": None}]})
    many = place.operator.post("/components/oee/versions/1.0.0/try", {"by": "json", "body": body}).data.decode()
    assert re.search(r'<td class="num"[^>]*>2</td>', many)
    assert place.operator.post("/components/oee/versions/1.0.0/try", {"by": "json", "body": "{"}).status == 422


def test_a_component_is_registered_submitted_and_approved_by_another(place: Place) -> None:
    """From the drop form to the market: digests filled in, checks run, a second person decides."""
    card = sql_card("page-carbon", owner="platform")
    card["artefacts"] = [{"path": "component.sql"}]
    token = place.operator.token("/components/register")
    sent = {"X-Form-Token": token, "Accept": "application/json", "Content-Type": "application/octet-stream"}
    made = place.operator.send("POST", "/components/register/files", sent, SQL)
    assert made.status == 201
    named = {f"X-File-{b'component.sql'.hex()}": f"{made.json()['sha256']}:{made.json()['size']}"}
    text = yaml.safe_dump(json.loads(json.dumps(card)), allow_unicode=True)
    registered = place.operator.send("POST", "/components/register/card", sent | named, text.encode())
    assert registered.status == 201, registered.data
    assert "草稿" in place.operator.get(registered.json()["location"])

    base = "/components/page-carbon/versions/1.0.0"
    assert place.operator.post(f"{base}/decisions/submit", {}).status == 303
    assert "需由另一位审批人决定" in place.operator.get("/approvals")
    assert place.operator.post(f"{base}/decisions/approve", {"reason": "自己批准"}).status == 403
    assert "page-carbon" in place.reviewer.get("/approvals")
    assert place.reviewer.post(f"{base}/decisions/approve", {"reason": "与手算一致"}).status == 303
    assert "已发布" in place.reviewer.get("/components/page-carbon")

    moved = {"alias": "production", "version": "1.0.0", "reason": "首版", "edit": ""}
    assert place.operator.post("/components/page-carbon/aliases", moved).status == 303
    page = place.operator.get("/components/page-carbon")
    assert "首版" in page
    assert place.operator.post("/components/page-carbon/subscription", {"wanted": "yes"}).status == 303
    assert "取消订阅" in place.operator.get("/components/page-carbon")


def test_a_bad_card_is_explained_field_by_field(place: Place) -> None:
    """problem+json for the page's script; a card of aliases is not unfolded."""
    token = place.operator.token("/components/register")
    sent = {"X-Form-Token": token, "Accept": "application/json", "Content-Type": "application/octet-stream"}
    card = sql_card("page-bad", owner="platform", licence="Apache 2")
    refused = place.operator.send("POST", "/components/register/card", sent, json.dumps(card).encode())
    assert refused.status == 422
    assert "licence" in [item["field"] for item in refused.json()["errors"]]
    bomb = place.operator.send("POST", "/components/register/card", sent, b"a: &a [1]\nb: [*a, *a]\n")
    assert bomb.status == 422
    assert "别名" in bomb.json()["detail"]
    assert place.operator.send("POST", "/components/register/card", {"Accept": "application/json"}, b"x").status == 403


def test_the_command_line_lists_shows_publishes_and_tries(place: Place, tmp_path: Path) -> None:
    """As in the how-to; a malicious model is refused with its reason and exit code 6."""
    assert "oee" in brain(place, "component", "list", "-q", "OEE").stdout
    assert "planned_busy_time_min" in brain(place, "component", "show", "oee").stdout
    card = sql_card("cli-carbon", owner="platform")
    card["artefacts"] = [{"path": "component.sql", "media_type": "application/sql"}]
    (tmp_path / "card.json").write_text(json.dumps(card), encoding="utf-8")
    (tmp_path / "component.sql").write_bytes(SQL)
    done = brain(place, "component", "publish", str(tmp_path / "card.json"), "--submit", "--json")
    assert json.loads(done.stdout)["state"] == "submitted", done.stderr
    (tmp_path / "rows.json").write_text('[{"month": "2026-01-01", "kwh": 4}]', encoding="utf-8")
    tried = brain(
        place, "component", "try", "cli-carbon", "1.0.0", str(tmp_path / "rows.json"), "-p", "factor=0.25", "--json"
    )
    assert json.loads(tried.stdout)["outputs"] == [{"month": "2026-01-01", "co2": 1.0}]
    from tests.algorithm_dev.lab import onnx_card

    bad = onnx_card("cli-bad", content=with_external_data(), owner="platform")
    (tmp_path / "bad.json").write_text(json.dumps(bad), encoding="utf-8")
    (tmp_path / "model.onnx").write_bytes(with_external_data())
    refused = brain(place, "component", "publish", str(tmp_path / "bad.json"), "--submit")
    assert refused.returncode == 6
    assert "外部路径" in refused.stderr


def brain(place: Place, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command of `brain` with the operator's key."""
    line = [sys.executable, "-m", "industry_brain", *arguments, "--url", place.url, "--key", place.key]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
