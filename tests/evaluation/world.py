"""Identity, data hub and evaluation in one process, with the twelve enterprises pushed through the real API."""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from brain_contracts.codes import make_uscc
from brain_kit.client import Reply
from brain_kit.service import Platform, ServiceRuntime
from brain_kit.settings import PlatformSettings
from identity.main import bootstrap
from industry_brain.wiring import ROLES, RunningWorkers, build_service, start_workers

from tests.evaluation.small_cluster import CHAIN, REGION, USCC, datasets

CLUSTER = "small"
SERIALS = itertools.count(500)
SERVICES = ("identity", "data-hub", "evaluation")
PDF = b"%PDF-1.7\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"


@dataclass
class World:
    """The running services, called with the tokens of several organisations and people."""

    platform: Platform
    runtimes: dict[str, ServiceRuntime]
    workers: RunningWorkers
    tokens: dict[str, str] = field(default_factory=dict)
    orgs: dict[str, str] = field(default_factory=dict)
    first_run: dict[str, Any] = field(default_factory=dict)

    def call(self, who: str, method: str, path: str, service: str = "evaluation", **options: Any) -> Reply:
        """One call, whatever it answers."""
        token = self.tokens[who] if who else ""
        client = self.platform.client(service)
        return client.request(method, path, token=token, raise_errors=False, timeout_s=60, **options)

    def json(self, who: str, method: str, path: str, service: str = "evaluation", **options: Any) -> Any:
        """The body of a call that must succeed."""
        reply = self.call(who, method, path, service, **options)
        assert reply.status < 300, (method, path, reply.status, reply.content.decode())
        return reply.json()

    def refused(self, who: str, method: str, path: str, **options: Any) -> tuple[int, dict[str, Any]]:
        """(status, problem) of a call that must fail."""
        reply = self.call(who, method, path, **options)
        assert reply.status >= 400, (method, path, reply.status, reply.content.decode())
        assert reply.headers["content-type"] == "application/problem+json"
        return reply.status, reply.json()

    def add_org(self, name: str, kind: str, registrar: str = "91", region: str = "370300") -> str:
        """Registers an organisation and keeps a token of a key of it under its name."""
        uscc = make_uscc(region, next(SERIALS), registrar=registrar)
        body = {"uscc": uscc, "name": name, "kind": kind, "region": region}
        self.json("operator", "POST", "/v1/organisations", "identity", json=body)
        self.orgs[name] = uscc
        self.add_key(name, name)
        return uscc

    def add_key(self, name: str, org: str) -> None:
        """Another person of an organisation: a key of its own."""
        body = {"org": self.orgs[org], "name": name}
        key = self.json("operator", "POST", "/v1/keys", "identity", json=body)["key"]
        self.tokens[name] = self.token_of(key)

    def token_of(self, key: str) -> str:
        """The token that the gateway would forward for a key."""
        client = self.platform.client("identity")
        token: str = client.request("POST", "/internal/credentials/verify", json={"api_key": key}).json()["token"]
        return token

    def push(self, who: str, dataset: str, rows: list[dict[str, Any]], mode: str = "upsert") -> None:
        """Pushes rows and waits until they are committed."""
        body = "\n".join(json.dumps(row, ensure_ascii=False, default=str) for row in rows).encode()
        receipt = self.json(
            who,
            "POST",
            f"/v1/datasets/{dataset}/pushes",
            "data-hub",
            params={"mode": mode, "wait": 30},
            content=body,
            headers={"content-type": "application/x-ndjson"},
        )
        assert (receipt["state"], receipt["rejected"]) == ("committed", 0), receipt

    def computed(self, run: dict[str, Any], timeout_s: float = 240) -> dict[str, Any]:
        """A run once it has ended."""
        deadline = time.monotonic() + timeout_s
        while run["state"] in ("queued", "running"):
            assert time.monotonic() < deadline, run
            time.sleep(0.05)
            run = self.json("bureau", "GET", f"/v1/runs/{run['id']}")
        return run

    def compute(self, **body: Any) -> dict[str, Any]:
        """Computes and waits for the end."""
        return self.computed(self.json("bureau", "POST", "/v1/runs", json={"cluster": CLUSTER} | body))

    def indicator(self, set_id: str, code: str, period: str = "2025", cluster: str = CLUSTER) -> dict[str, Any]:
        """One indicator as the bureau sees it."""
        params = {"period": period, "cluster": cluster}
        body = self.json("bureau", "GET", f"/v1/indicator-sets/{set_id}/indicators/{code}", params=params)
        found: dict[str, Any] = body["indicator"]
        return found

    def report(self, who: str, code: str, period: str, set_id: str = "construction", **body: Any) -> dict[str, Any]:
        """A draft of a reported value."""
        path = f"/v1/indicator-sets/{set_id}/indicators/{code}/reports"
        made: dict[str, Any] = self.json(who, "POST", path, json={"cluster": CLUSTER, "period": period} | body)
        return made

    def attach(self, who: str, path: str, content: bytes = PDF, name: str = "证明.pdf", **params: Any) -> Any:
        """Evidence for a reported value or an assessment."""
        headers = {"content-type": "application/octet-stream"}
        return self.json(who, "POST", path, params={"name": name} | params, content=content, headers=headers)

    def close(self) -> None:
        """Ends workers and connections."""
        self.workers.stop(10)
        self.platform.close()


def build_world(home: Path, **settings: Any) -> World:
    """The services with their workers, people of two departments, two factories, the cluster, its values of 2025."""
    platform = Platform(PlatformSettings(home=home, token_lifetime_s=3600, **settings))
    runtimes = {name: build_service(platform, name) for name in SERVICES}
    credentials = bootstrap(platform)
    assert credentials is not None
    world = World(platform, runtimes, start_workers(runtimes.values(), ROLES))
    world.tokens["operator"] = world.token_of(credentials.api_key)
    world.add_org("bureau", "department", registrar="11")
    world.add_key("colleague", "bureau")
    world.add_org("statistics", "department", registrar="11")
    world.add_org("factory", "enterprise")
    world.add_org("neighbour", "enterprise")
    for dataset, rows in datasets().items():
        world.push("bureau", dataset, rows)
    cluster = {"name": "十二家企业", "region": REGION, "chain": CHAIN, "synthetic": True}
    world.json("operator", "PUT", f"/v1/clusters/{CLUSTER}", json=cluster)
    world.first_run = world.compute(periods=["2025"])
    return world


def firm(number: int) -> str:
    """The code of one of the twelve."""
    return USCC[number]
