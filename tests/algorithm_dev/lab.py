"""algorithm-dev alone in this process, with tokens for any principal, and components to put into it."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from pathlib import Path
from typing import Any
from unittest import mock

import jwt
from algorithm_dev.main import build
from brain_contracts.codes import make_uscc
from brain_kit.auth import AUDIENCE, ISSUER, Principal, TokenVerifier, claims_of
from brain_kit.client import Reply
from brain_kit.service import Platform
from brain_kit.settings import PlatformSettings
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from industry_brain.wiring import ROLES, start_workers

from tests.algorithm_dev.models import linear

OPERATOR = make_uscc("370300", 1, registrar="12")
DEPARTMENT = make_uscc("370300", 5, registrar="12")
MAKER = make_uscc("370300", 2)
NEIGHBOUR = make_uscc("370300", 3)
KINDS = {OPERATOR: "operator", DEPARTMENT: "department"}
TEXT = {"zh": "测试", "en": "test"}
SQL = b"SELECT month, kwh * factor AS co2 FROM input, parameters ORDER BY month"


class Lab:
    """The service with its workers."""

    def __init__(self, home: Path, *, working: bool = True, database_url: str = "", **settings: Any) -> None:
        self._key = Ed25519PrivateKey.generate()
        raw = base64.urlsafe_b64encode(self._key.public_key().public_bytes_raw()).decode().rstrip("=")
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": raw, "kid": "t", "alg": "EdDSA", "use": "sig"}
        platform_settings = PlatformSettings(home=home, log_level="ERROR", database_url=database_url)
        self.platform = Platform(platform_settings, name="test")
        self.platform.tokens = TokenVerifier(lambda: {"keys": [jwk]})
        own = {f"BRAIN_ALGORITHM_DEV_{name.upper()}": str(value) for name, value in settings.items()}
        with mock.patch.dict(os.environ, own):
            self.runtime = build(self.platform)
        self.platform.register(self.runtime)
        self.database = self.platform.database("algorithm-dev")
        self.workers = start_workers([self.runtime], ROLES if working else ())

    def close(self) -> None:
        """Ends workers, child processes and connections."""
        self.workers.stop(10)
        self.platform.close()

    def token(self, org: str, role: str, subject: str = "", name: str = "") -> str:
        """A token of an organisation's person."""
        kind: Any = KINDS.get(org, "enterprise")
        who = Principal(subject or f"usr_{role}", "user", org, kind, roles=frozenset({role}), name=name or role)
        now = int(time.time())
        claims = claims_of(who) | {"iat": now, "exp": now + 3600, "aud": AUDIENCE, "iss": ISSUER}
        return jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": "t"})

    def call(self, method: str, path: str, token: str, **options: Any) -> Reply:
        """One call, whatever it answers."""
        client = self.platform.client("algorithm-dev")
        return client.request(method, f"/v1{path}", token=token, raise_errors=False, **options)

    def json(self, method: str, path: str, token: str, **options: Any) -> Any:
        """The body of a call that must succeed."""
        reply = self.call(method, path, token, **options)
        assert reply.status < 300, (method, path, reply.status, reply.content.decode())
        return reply.json()

    def refusal(self, method: str, path: str, token: str, **options: Any) -> dict[str, Any]:
        """The problem of a call that must fail, with a Chinese sentence in it."""
        reply = self.call(method, path, token, **options)
        assert reply.status >= 400, (method, path, reply.status, reply.content[:300])
        assert reply.headers["content-type"] == "application/problem+json"
        body: dict[str, Any] = reply.json()
        assert any("\u4e00" <= letter <= "\u9fff" for letter in body["detail"]), body
        return body

    def upload(self, content: bytes, token: str) -> str:
        """Uploads a file; its digest."""
        made = self.json("PUT", "/artefacts", token, content=content)
        assert made == {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        return str(made["sha256"])

    def draft(self, card: dict[str, Any], content: bytes, token: str, **options: Any) -> Reply:
        """Uploads the file of a card and registers the draft."""
        self.upload(content, token)
        return self.put(card, token, **options)

    def put(self, card: dict[str, Any], token: str, **options: Any) -> Reply:
        """Registers a draft."""
        return self.call("PUT", f"/components/{card['name']}/versions/{card['version']}", token, json=card, **options)

    def publish(self, card: dict[str, Any], content: bytes, maker: str, approver: str) -> dict[str, Any]:
        """Draft, submit, approve by another person."""
        assert self.draft(card, content, maker).status in (200, 201)
        place = place_of(card)
        self.json("POST", f"{place}/submit", maker)
        made: dict[str, Any] = self.json("POST", f"{place}/approve", approver, json={"reason": "黄金向量一致"})
        assert made["state"] == "published"
        return made


def place_of(card: dict[str, Any]) -> str:
    """The path of a version."""
    return f"/components/{card['name']}/versions/{card['version']}"


def sql_card(name: str = "carbon", version: str = "1.0.0", content: bytes = SQL, **changes: Any) -> dict[str, Any]:
    """A card of a SQL component: emissions of a month from electricity and a factor."""
    columns = {
        "month": {"type": "string", "format": "date", "title": "月份"},
        "kwh": {"type": ["number", "null"], "unit": "kWh", "minimum": 0, "title": "用电量"},
    }
    outputs = {
        "month": {"type": "string", "format": "date"},
        "co2": {"type": ["number", "null"], "unit": "kgCO2", "title": "排放量"},
    }
    golden = {
        "name": "by-hand",
        "title": TEXT,
        "source": {"title": "手算 2 × 0.5 = 1"},
        "inputs": [{"month": "2026-02-01", "kwh": 2}, {"month": "2026-01-01", "kwh": None}],
        "outputs": [{"month": "2026-01-01", "co2": None}, {"month": "2026-02-01", "co2": 1.0}],
    }
    signature = {
        "inputs": rows(columns, ["month"]),
        "outputs": rows(outputs, ["month"]),
        "parameters": [{"name": "factor", "type": "number", "unit": "kgCO2/kWh", "default": 0.5, "minimum": 0}],
    }
    return card(name, version, "sql", "component.sql", content, signature, [golden]) | changes


def onnx_card(
    name: str = "linear", version: str = "1.0.0", content: bytes | None = None, **changes: Any
) -> dict[str, Any]:
    """A card of an ONNX component: y = x @ [[1, 2], [3, 4], [5, 6]]."""
    golden = {
        "name": "by-hand",
        "title": TEXT,
        "source": {"title": "手算 [1, 1, 1] 的列和为 9、12"},
        "inputs": {"x": [[1, 1, 1]]},
        "outputs": {"y": [[9, 12]]},
        "tolerance": {"absolute": 1e-6},
    }
    signature = {
        "inputs": {"form": "tensors", "tensors": [tensor("x", ["batch", 3])]},
        "outputs": {"form": "tensors", "tensors": [tensor("y", ["batch", 2])]},
    }
    body = linear() if content is None else content
    return card(name, version, "onnx", "model.onnx", body, signature, [golden]) | changes


def card(
    name: str, version: str, runtime: str, entry: str, content: bytes, signature: Any, golden: list[Any]
) -> dict[str, Any]:
    """A whole card of the maker's organisation."""
    media = {"sql": "application/sql", "onnx": "application/onnx"}[runtime]
    file = {"path": entry, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), "media_type": media}
    return {
        "card": "1", "name": name, "version": version, "title": TEXT, "kind": "algorithm", "description": TEXT,
        "owner": MAKER, "licence": "Apache-2.0", "runtime": runtime, "entry": entry, "artefacts": [file],
        "signature": signature, "golden": golden,
    }  # fmt: skip


def rows(columns: dict[str, Any], required: list[str]) -> dict[str, Any]:
    """A rows side of a signature."""
    return {"form": "rows", "schema": {"type": "object", "required": required, "properties": columns}}


def tensor(name: str, shape: list[Any], **more: Any) -> dict[str, Any]:
    """A float tensor of a signature."""
    return {"name": name, "dtype": "FP32", "shape": shape, "unit": "1"} | more
