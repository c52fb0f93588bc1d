"""A data hub that serves on a port of its own, with tokens for any principal: what the tests of pushes talk to."""

from __future__ import annotations

import base64
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import jwt
import urllib3
import uvicorn
from brain_contracts.codes import make_uscc
from brain_kit.auth import AUDIENCE, ISSUER, Principal, TokenVerifier, claims_of
from brain_kit.service import Platform, ServiceRuntime
from brain_kit.settings import PlatformSettings
from brain_testing.ports import free_port
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from data_hub.main import build

OPERATOR = make_uscc("370300", 1, registrar="12")
PROVIDER = make_uscc("370300", 2)
OTHER_PROVIDER = make_uscc("370300", 3)
ENTERPRISE = make_uscc("370300", 4)
ROLES = {"operator": "operator", "department": "analyst", "provider": "provider", "enterprise": "manager"}


class Answer:
    """An HTTP answer."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.data = response.data

    def json(self) -> Any:
        """The body."""
        return json.loads(self.data)


class Signer:
    """Signs tokens as identity would."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        raw = base64.urlsafe_b64encode(self._key.public_key().public_bytes_raw()).decode().rstrip("=")
        self.jwks = {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": raw, "kid": "t", "alg": "EdDSA", "use": "sig"}]}

    def token(self, org: str, kind: str, role: str | None = None) -> str:
        """A token of an organisation's key."""
        roles = frozenset({role or ROLES[kind]})
        principal = Principal(f"key:{org}", "key", org, kind, org_name="测试", roles=roles)  # type: ignore[arg-type]
        now = int(time.time())
        claims = claims_of(principal) | {"iat": now, "exp": now + 3600, "aud": AUDIENCE, "iss": ISSUER}
        return jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": "t"})


class Hub:
    """The service in this process behind a real server, its workers running unless told otherwise."""

    def __init__(self, home: Path, *, workers: bool = True, **settings: Any) -> None:
        self.signer = Signer()
        own = {f"BRAIN_{name.upper()}": str(value) for name, value in settings.items() if name.startswith("data_hub_")}
        shared = {name: value for name, value in settings.items() if not name.startswith("data_hub_")}
        self.platform = Platform(PlatformSettings(home=home, log_level="ERROR", **shared), name="test")
        self.platform.tokens = TokenVerifier(lambda: self.signer.jwks)
        # A service reads its own settings from the environment.
        with mock.patch.dict(os.environ, own):
            self.runtime: ServiceRuntime = build(self.platform)
        self.platform.register(self.runtime)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(60), maxsize=80)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        # A test may think for longer than uvicorn keeps an idle connection by default.
        options: dict[str, Any] = {"log_config": None, "access_log": False, "timeout_keep_alive": 65}
        config = uvicorn.Config(self.runtime.app, port=self.port, loop="uvloop", **options)
        self._server = uvicorn.Server(config)
        self._serving = threading.Thread(target=self._server.run, daemon=True)
        self._serving.start()
        while not self._server.started:
            time.sleep(0.01)
        if workers:
            self.start_workers("committer")

    @property
    def database(self) -> Any:
        """The service's database."""
        assert self.runtime.database is not None
        return self.runtime.database

    @property
    def warehouse(self) -> Any:
        """The service's tables."""
        return self.runtime.extras["warehouse"]

    def start_workers(self, *roles: str) -> None:
        """Runs the workers of the roles in threads."""
        for worker in self.runtime.workers:
            if worker.role in roles:
                thread = threading.Thread(target=worker.run, args=(self._stop,), daemon=True)
                thread.start()
                self._threads.append(thread)

    def close(self) -> None:
        """Ends server and workers."""
        self._stop.set()
        self._server.should_exit = True
        self._serving.join(10)
        for thread in self._threads:
            thread.join(10)
        self.warehouse.close()
        self.platform.close()

    def call(
        self, method: str, path: str, *, org: str = PROVIDER, kind: str = "provider", role: str | None = None,
        body: Any = None, headers: dict[str, str] | None = None,
    ) -> Answer:  # fmt: skip
        """One request as an organisation."""
        given = {"Authorization": f"Bearer {self.signer.token(org, kind, role)}"} | (headers or {})
        return Answer(self._pool.request(method, self.url + path, body=body, headers=given))

    def push(
        self, dataset: str, body: Any, content_type: str = "application/x-ndjson", *, mode: str = "append",
        wait: float = 30, key: str | None = None, headers: dict[str, str] | None = None, **who: Any,
    ) -> Answer:  # fmt: skip
        """Pushes rows; lists become NDJSON."""
        if isinstance(body, list):
            body = "\n".join(json.dumps(row, ensure_ascii=False) for row in body).encode()
        given = {"Content-Type": content_type} | ({"Idempotency-Key": key} if key else {}) | (headers or {})
        path = f"/v1/datasets/{dataset}/pushes?mode={mode}&wait={wait}"
        return self.call("POST", path, body=body, headers=given, **who)

    def put_contract(self, name: str, document: str, **query: str) -> Answer:
        """Registers a contract as the operator."""
        suffix = "?" + "&".join(f"{k}={v}" for k, v in query.items()) if query else ""
        headers = {"Content-Type": "application/yaml"}
        return self.call(
            "PUT",
            f"/v1/contracts/{name}{suffix}",
            org=OPERATOR,
            kind="operator",
            body=document.encode(),
            headers=headers,
        )

    def rows(self, dataset: str) -> list[dict[str, Any]]:
        """Every row of a table read straight from its data files, system columns included."""
        import pyarrow.parquet as pq

        state = self.warehouse.table_state(dataset)
        found: list[dict[str, Any]] = []
        for file in state.files:
            table = pq.read_table(self.platform.objects.local_path(file.key))
            assert table.num_rows == file.rows
            found += table.to_pylist()
        return found


def contract(
    name: str, columns: dict[str, Any], key: list[str], *, version: str = "1.0.0", access: str = "owner",
    owner_column: str | None = None, example: dict[str, Any] | None = None,
) -> str:  # fmt: skip
    """A small ODCS document; a column is a logical type or a dict of property fields."""
    import yaml

    properties = []
    for column, spec in columns.items():
        item = {"name": column} | ({"logicalType": spec} if isinstance(spec, str) else dict(spec))
        custom = item.pop("custom", None)
        if custom:
            item["customProperties"] = [{"property": k, "value": v} for k, v in custom.items()]
        if column in key:
            item |= {"primaryKey": True, "primaryKeyPosition": key.index(column) + 1, "required": True}
        properties.append(item)
    own = {"warehouse": name.split(".")[0], "library": "base", "classification": "一般-1", "access": access,
           "titleZh": "测试表", "titleEn": "test", "ownerColumn": owner_column, "example": example or {}}  # fmt: skip
    return str(
        yaml.safe_dump(
            {
                "apiVersion": "v3.1.0",
                "kind": "DataContract",
                "id": name,
                "name": name,
                "version": version,
                "status": "active",
                "customProperties": [{"property": k, "value": v} for k, v in own.items() if v is not None],
                "schema": [{"name": name.split(".")[1], "logicalType": "object", "properties": properties}],
            },
            allow_unicode=True,
        )
    )


def running(home: Path, **options: Any) -> Iterator[Hub]:
    """A hub for a fixture."""
    hub = Hub(home, **options)
    try:
        yield hub
    finally:
        hub.close()
