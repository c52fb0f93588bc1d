"""Plays the examples of every service on a running platform, in their order, as the people who would make the calls."""

from __future__ import annotations

import base64
import copy
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import urllib3
from brain_contracts.codes import make_uscc
from brain_contracts.events import WarehouseCommitted
from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.events import dead_letters
from brain_kit.events.event import Event
from brain_kit.openapi.examples import load_examples
from industry_brain.apiclient import ApiClient
from industry_brain.wiring import SERVICES

OWNER = "91370300MA3C00002Y"
NEIGHBOUR = "91370300MA3C000045"
BUREAU = make_uscc("370303", 901, registrar="11")
PROVIDER = make_uscc("370303", 902)
PAUSE_S = 0.3


@dataclass
class Answer:
    """What a call answered."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def media(self) -> str:
        """The content type without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip()

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.content)


@dataclass
class Played:
    """An example, the request as it was really made, and its answer."""

    service: str
    example: dict[str, Any]
    request: dict[str, Any]
    answer: Answer

    @property
    def operation(self) -> str:
        """The operation's id in the merged document."""
        return f"{self.service.replace('-', '_')}.{self.example['operation']}"

    @property
    def name(self) -> str:
        """What tells this example from others of the operation."""
        return str(self.example.get("name", "example"))


@dataclass
class Stage:
    """A platform with a demonstration, and tokens of one caller for each role."""

    url: str
    home: Path
    tokens: dict[str, str] = field(default_factory=dict)
    played: dict[str, Played] = field(default_factory=dict)
    pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(maxsize=4))

    def cast(self) -> None:
        """Registers the organisations of the examples and makes a key for every role, none of them slowed down."""
        key = json.loads((self.home / "first-credentials.json").read_text(encoding="utf-8"))["operator"]["api_key"]
        operator = ApiClient(self.url, key)
        home = operator.get("/api/identity/v1/me")["org"]
        unlimited = {"rate_per_s": None, "burst": 1, "monthly_requests": None, "monthly_bytes": None}
        operator.put(
            "/api/service-portal/v1/plans/unlimited", json.dumps(unlimited).encode(), content_type="application/json"
        )
        organisations = [
            (BUREAU, "示例市工业和信息化局（测试）", "department"),
            (OWNER, "示例机床有限公司", "enterprise"),
            (NEIGHBOUR, "示例邻居有限公司", "enterprise"),
            (PROVIDER, "示例数据商有限公司", "provider"),
        ]
        for uscc, name, kind in organisations:
            body = {"uscc": uscc, "name": name, "kind": kind, "region": "370303", "synthetic": True}
            operator.post("/api/identity/v1/organisations", body)
        for uscc in (home, *(uscc for uscc, _, _ in organisations)):
            body = json.dumps({"plan": "unlimited"}).encode()
            operator.put(f"/api/service-portal/v1/plan-assignments/{uscc}", body, content_type="application/json")
        callers = [
            ("operator", home, "operator"), ("auditor", home, "auditor"), ("analyst", BUREAU, "analyst"),
            ("manager", OWNER, "manager"), ("member", OWNER, "member"), ("developer", OWNER, "developer"),
            ("provider", PROVIDER, "provider"), ("neighbour", NEIGHBOUR, "manager"),
        ]  # fmt: skip
        for name, org, role in callers:
            made = operator.post("/api/identity/v1/keys", {"org": org, "name": f"{name} key", "roles": [role]})
            self.tokens[name] = made["key"]
        self._leave_a_dead_letter()

    def _leave_a_dead_letter(self) -> None:
        """What a consumer leaves when it gave an event up; the only thing here that no API call can bring about."""
        database = Database(f"sqlite:///{self.home / 'government_services.db'}", name="government-services")
        event = WarehouseCommitted(
            dataset="public.enterprise",
            snapshot="1",
            sequence=1,
            mode_counts={},
            pushes=(),
            rows_added=0,
            rows_removed=0,
            total_rows=0,
            committed_at=utc_now(),
        )
        with database.transaction() as session:
            members = Event("evt_example", event.topic, event.key(), "data-hub", utc_now(),
                            event.model_dump(mode="json"), None)  # fmt: skip
            dead_letters.bury(session, "government-services", members, RuntimeError("example"), 5)
        database.close()

    def play_all(self) -> list[Played]:
        """Plays the examples of all services; those that answer otherwise than they say are played all the same."""
        for service in SERVICES:
            for example in load_examples(service.replace("-", "_"))["examples"]:
                done = self.play(service, example)
                key = done.operation + (f":{example['name']}" if "name" in example else "")
                self.played.setdefault(done.operation, done)
                self.played[key] = done
        return list({id(item): item for item in self.played.values()}.values())

    def play(self, service: str, example: dict[str, Any]) -> Played:
        """Makes the call of an example, again while it has patience and its answer is not there yet."""
        try:
            request = self.request_of(example)
        except (KeyError, IndexError, ValueError) as error:
            reason = f"what it takes is not there: {example.get('take')} {error!r}"
            return Played(service, example, {"operation": example["operation"]}, Answer(0, {}, reason.encode()))
        deadline = time.monotonic() + example.get("patience_s", 0)
        while True:
            answer = self.send(service, request, self.token_of(example["as"]))
            is_there = answer.status == example["status"] and _has(answer, example.get("until"))
            if is_there or time.monotonic() > deadline:
                return Played(service, example, request, answer)
            time.sleep(PAUSE_S)

    def request_of(self, example: dict[str, Any]) -> dict[str, Any]:
        """The request of an example with what it takes from earlier answers put in."""
        parts = ("operation", "path", "query", "headers", "body", "text", "base64", "content_type")
        request = {name: copy.deepcopy(example[name]) for name in parts if name in example}
        for target, source in example.get("take", {}).items():
            place, *steps = target.split(".", 1)
            _put(
                request, [place, *(steps if place in ("path", "headers") else steps[0].split("."))], self.taken(source)
            )
        return request

    def taken(self, source: str) -> Any:
        """A value of an earlier answer: `service.operation[:name].member.member`, or `.@header`."""
        service, operation, *steps = source.split(".")
        answer = self.played[f"{service}.{operation}"].answer
        if steps[0].startswith("@"):
            return answer.headers[steps[0][1:]]
        value = answer.json()
        for step in steps:
            value = value[int(step)] if isinstance(value, list) else value[step]
        return value

    def token_of(self, who: str) -> str:
        """The token of a role, of an earlier answer, or none."""
        if who == "nobody":
            return ""
        return str(self.taken(who)) if "." in who else self.tokens[who]

    def send(self, service: str, request: dict[str, Any], token: str, operation: Any = None) -> Answer:
        """One call through the gateway."""
        method, path = operation or self.address_of(service, request["operation"])
        for name, value in request.get("path", {}).items():
            path = path.replace("{" + name + "}", quote(str(value), safe=""))
        if request.get("query"):
            path += "?" + urlencode(request["query"], doseq=True)
        headers = dict(request.get("headers", {})) | ({"Authorization": f"Bearer {token}"} if token else {})
        body = body_of(request)
        if body is not None:
            headers["Content-Type"] = request.get("content_type", "application/json")
        reply = self.pool.request(method, self.url + path, body=body, headers=headers, retries=False, timeout=90)
        return Answer(reply.status, {name.lower(): value for name, value in reply.headers.items()}, reply.data)

    def address_of(self, service: str, operation: str) -> tuple[str, str]:
        """Method and path of an operation, by the merged document."""
        return self.addresses()[f"{service.replace('-', '_')}.{operation}"]

    def document(self) -> dict[str, Any]:
        """The merged document, read once."""
        if not hasattr(self, "_document"):
            self._document: dict[str, Any] = self.pool.request("GET", f"{self.url}/openapi.json").json()
        return self._document

    def addresses(self) -> dict[str, tuple[str, str]]:
        """Method and path by operation id."""
        paths = self.document()["paths"]
        return {item["operationId"]: (verb.upper(), path) for path, of in paths.items() for verb, item in of.items()}


def body_of(request: dict[str, Any]) -> bytes | None:
    """The body of a request; None without one."""
    if "body" in request:
        return json.dumps(request["body"], ensure_ascii=False).encode()
    if "base64" in request:
        return base64.b64decode(request["base64"])
    return str(request["text"]).encode() if "text" in request else None


def _has(answer: Answer, path: str | None) -> bool:
    if path is None:
        return True
    value = answer.json()
    for step in path.split("."):
        if isinstance(value, list):
            if len(value) <= int(step):
                return False
            value = value[int(step)]
        else:
            value = value.get(step)
    return value not in (None, [], {})


def _put(request: dict[str, Any], steps: list[str], value: Any) -> None:
    holder: Any = request
    for step in steps[:-1]:
        holder = holder[int(step)] if isinstance(holder, list) else holder.setdefault(step, {})
    holder[int(steps[-1]) if isinstance(holder, list) else steps[-1]] = value
