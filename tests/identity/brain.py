"""A built identity service with its workers, called in the process."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import identity.main
from brain_contracts.codes import make_uscc
from brain_kit.client import Reply
from brain_kit.service import Platform
from brain_kit.settings import PlatformSettings
from identity.service.bootstrap import FirstCredentials
from industry_brain.wiring import ROLES, build_service, start_workers

PASSWORD = "Correct-Horse-42"
SERIALS = itertools.count(1000)


@dataclass(frozen=True)
class Holder:
    """Somebody who may call: an organisation with one key and a token of that key."""

    uscc: str
    key: str
    key_id: str
    token: str


class Brain:
    """identity alone on a platform; every test makes organisations of its own."""

    def __init__(
        self, home: Path, *, working: bool = True, first: FirstCredentials | None = None, **settings: Any
    ) -> None:
        self.platform = Platform(PlatformSettings(home=home, **settings))
        self.runtime = build_service(self.platform, "identity")
        self.database = self.platform.database("identity")
        made = identity.main.bootstrap(self.platform) or first  # on a second start they are those of the first
        assert made is not None
        self.first = made
        self.workers = start_workers([self.runtime], ROLES if working else ())
        self.operator = self.sign_in(made.user, made.password)["access_token"]
        self.home_org: str = self.json("GET", "/v1/me", self.operator)["org"]

    def close(self) -> None:
        """Ends workers and connections."""
        assert self.workers.stop(10) == []
        self.platform.close()

    def call(self, method: str, path: str, token: str = "", **options: Any) -> Reply:
        """One call, whatever it answers."""
        client = self.platform.client("identity")
        return client.request(method, path, token=token, raise_errors=False, **options)

    def json(self, method: str, path: str, token: str = "", **options: Any) -> Any:
        """The body of a call that must succeed."""
        reply = self.call(method, path, token, **options)
        assert reply.status < 300, (method, path, reply.status, reply.content)
        return reply.json()

    def code(self, method: str, path: str, token: str = "", **options: Any) -> tuple[int, str]:
        """(status, code) of a call that must fail."""
        reply = self.call(method, path, token, **options)
        assert reply.status >= 400, (method, path, reply.status, reply.content)
        assert reply.headers["content-type"] == "application/problem+json"
        return reply.status, reply.json()["code"]

    def sign_in(self, user: str, password: str) -> Any:
        """The token pair of a name and password."""
        return self.json("POST", "/v1/sessions", json={"user": user, "password": password})

    def organisation(self, kind: str = "enterprise", region: str = "370303", **more: Any) -> str:
        """The USCC of a new organisation."""
        uscc = make_uscc(region, next(SERIALS))
        body = {"uscc": uscc, "name": f"示例 {uscc[-4:]}", "kind": kind, "region": region} | more
        self.json("POST", "/v1/organisations", self.operator, json=body)
        return uscc

    def key(self, org: str, name: str = "ERP", **more: Any) -> Any:
        """A new key, made by the operator."""
        return self.json("POST", "/v1/keys", self.operator, json={"org": org, "name": name} | more)

    def verify(self, api_key: str) -> Reply:
        """What a gateway is told about a key."""
        return self.call(
            "POST", "/internal/credentials/verify", self.platform.service_token(), json={"api_key": api_key}
        )

    def token_of(self, api_key: str) -> str:
        """The token that a working key gives."""
        reply = self.verify(api_key)
        assert reply.status == 200, reply.content
        return str(reply.json()["token"])

    def holder(self, kind: str = "enterprise", roles: list[str] | None = None) -> Holder:
        """A new organisation with a key."""
        uscc = self.organisation(kind)
        made = self.key(uscc, roles=roles)
        return Holder(uscc, made["key"], made["id"], self.token_of(made["key"]))

    def user(self, org: str, **more: Any) -> Any:
        """A new user whose password is PASSWORD."""
        body = {"org": org, "login": f"u{next(SERIALS)}", "name": "张三", "password": PASSWORD} | more
        return self.json("POST", "/v1/users", self.operator, json=body)

    def audit_of(self, subject_or_object: str, *, at_least: int = 1, timeout_s: float = 10) -> list[Any]:
        """Audit records that name something, newest first, once enough of them have arrived."""
        deadline = time.monotonic() + timeout_s
        while True:
            page = self.json("GET", "/v1/audit", self.operator, params={"limit": 1000})
            found = [item for item in page["items"] if subject_or_object in (item["subject"], item["object"])]
            if len(found) >= at_least:
                return found
            assert time.monotonic() < deadline, f"only {len(found)} audit records of {subject_or_object}"
            time.sleep(0.05)
