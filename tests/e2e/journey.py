"""A running platform and the organisations that use it, for end-to-end tests."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

from industry_brain.apiclient import ApiClient


class Journey:
    """Clients of one running platform: the operator and organisations by a short name."""

    def __init__(self, url: str, home: Path) -> None:
        self.url = url
        self.home = home
        credentials = json.loads((home / "first-credentials.json").read_text(encoding="utf-8"))["operator"]
        self.user, self.password = credentials["user"], credentials["password"]
        self.operator = ApiClient(url, credentials["api_key"])
        self.keys: dict[str, str] = {}
        self.receipts: dict[str, dict[str, Any]] = {}

    def add_organisation(self, name: str, uscc: str, kind: str, region: str) -> ApiClient:
        """Registers an organisation, makes its key and returns its client."""
        body = {"uscc": uscc, "name": f"测试{name}", "kind": kind, "region": region}
        self.operator.post("/api/identity/v1/organisations", body)
        self.keys[name] = self.operator.post("/api/identity/v1/keys", {"org": uscc, "name": "test"})["key"]
        return self.as_(name)

    def as_(self, name: str) -> ApiClient:
        """The client of an organisation."""
        return ApiClient(self.url, self.keys[name])

    def push(self, api: ApiClient, dataset: str, body: bytes, content_type: str, **options: Any) -> dict[str, Any]:
        """Pushes, waits for the commit and remembers the receipt by data set."""
        options = {"wait_s": 60, "idempotency_key": uuid.uuid4().hex} | options
        receipt = api.push(dataset, body, content_type, **options)
        assert receipt["state"] == "committed", receipt
        self.receipts[dataset] = receipt
        return receipt
