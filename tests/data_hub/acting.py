"""A hub beside a real identity, with services that act for organisations."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import pytest
from brain_contracts.codes import make_uscc
from brain_kit.auth import AUDIENCE, ISSUER, Principal, TokenVerifier, claims_of
from industry_brain.wiring import build_service

from tests.data_hub.hub import OPERATOR, Answer, Hub

PLANT, NEIGHBOUR = make_uscc("370303", 51), make_uscc("370303", 52)
BUREAU = make_uscc("370300", 53, registrar="11")
LABORATORY = make_uscc("370303", 54)
KINDS = {PLANT: "enterprise", NEIGHBOUR: "enterprise", BUREAU: "department", LABORATORY: "provider"}


class ActingHub(Hub):
    """A hub whose platform has identity too; the test's own tokens count beside identity's."""

    def __init__(self, home: Path, **options: Any) -> None:
        super().__init__(home, **options)
        self.platform.register(build_service(self.platform, "identity"))
        client = self.platform.client("identity")

        def jwks() -> dict[str, Any]:
            given = client.request("GET", "/.well-known/jwks.json", token="").json()["keys"]
            return {"keys": [*self.signer.jwks["keys"], *given]}

        self.platform.tokens = TokenVerifier(jwks)
        for app in (self.runtime.app, self.platform.dispatch("identity")):
            app.state.tokens = self.platform.tokens  # type: ignore[union-attr]
        for uscc, kind in KINDS.items():
            body = {"uscc": uscc, "name": f"示例{uscc[-4:]}", "kind": kind, "region": "370303"}
            self.identity("POST", "/v1/organisations", body)

    def push(self, dataset: str, body: Any, *arguments: Any, wait: float = 60, **options: Any) -> Answer:
        """As in Hub, with patience for a busy machine."""
        return super().push(dataset, body, *arguments, wait=wait, **options)

    def identity(self, method: str, path: str, body: Any) -> None:
        """A call of the operator to identity that must succeed."""
        token = self.signer.token(OPERATOR, "operator")
        self.platform.client("identity").request(method, path, json=body, token=token)

    def service_token(self, name: str = "algorithm-dev") -> str:
        """What identity gives to a service."""
        principal = Principal(f"service:{name}", "service", "", "operator", roles=frozenset({"service"}), name=name)
        now = int(time.time())
        claims = claims_of(principal) | {"iat": now, "exp": now + 3600, "aud": AUDIENCE, "iss": ISSUER}
        return jwt.encode(claims, self.signer._key, algorithm="EdDSA", headers={"kid": "t"})

    def act(
        self, org: str | None, method: str, path: str, *, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """One request of a service, for an organisation or for itself."""
        given = {"Authorization": f"Bearer {self.service_token()}"} | (headers or {})
        if org is not None:
            given["X-Acting-Org"] = org
        return Answer(self._pool.request(method, self.url + path, body=body, headers=given))


def acting_hub(request: pytest.FixtureRequest, home: Path, **options: Any) -> Iterator[ActingHub]:
    """A hub for a fixture with the parameter sqlite or postgresql."""
    prefix = ""
    if request.param == "postgresql":
        postgres = request.getfixturevalue("postgres")
        prefix = f"t{uuid4().hex[:12]}_"
        options["database_url"] = postgres.database_url(prefix + "{service}")
    hub = ActingHub(home, **options)
    try:
        yield hub
    finally:
        hub.close()
        if prefix:
            postgres.drop_databases(prefix)
