"""The data hub behind a small class: versions, fixed-version queries and statistics through its public API."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from brain_kit.client import ServiceClient
from brain_kit.problems import NotFound

KEPT_ROWS = 2


@dataclass(frozen=True)
class DatasetVersion:
    """A data set as it is fixed for a run. version None: registered, but nothing was ever committed."""

    dataset: str
    version: str | None
    committed_at: str | None = None
    rows: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """As it is stored and shown."""
        return {
            "dataset": self.dataset,
            "version": self.version,
            "committed_at": self.committed_at,
            "rows": self.rows,
        }


class Warehouse:
    """Reads with the service's own token, which sees every row."""

    def __init__(self, hub: ServiceClient, timeout_s: float) -> None:
        self._hub = hub
        self._timeout_s = timeout_s

    def newest_versions(self, datasets: Iterable[str]) -> dict[str, DatasetVersion | None]:
        """The newest version of each data set; None for one that is not registered (any more)."""
        return {dataset: self._newest(dataset) for dataset in datasets}

    def _newest(self, dataset: str) -> DatasetVersion | None:
        try:
            page = self._hub.request("GET", f"/v1/datasets/{quote(dataset)}/versions", params={"limit": 1}).json()
        except NotFound:
            return None
        if not page["items"]:
            return DatasetVersion(dataset, None)
        newest = page["items"][0]
        return DatasetVersion(dataset, str(newest["version"]), newest.get("committed_at"), newest.get("rows"))

    def pin(self, dataset: str, version: str, reason: str) -> str:
        """Keeps a version from being forgotten; the same reason again gives the same pin. Raises NotFound, Conflict."""
        path = f"/v1/datasets/{quote(dataset)}/versions/{quote(version)}/pins"
        return str(self._hub.request("POST", path, json={"reason": reason}).json()["id"])

    def unpin(self, dataset: str, version: str, pin: str) -> None:
        """Takes a pin away; one that is gone already is none the worse."""
        path = f"/v1/datasets/{quote(dataset)}/versions/{quote(version)}/pins/{quote(pin)}"
        with contextlib.suppress(NotFound):
            self._hub.request("DELETE", path)

    def query(self, sql: str, parameters: Mapping[str, Any], versions: Mapping[str, str]) -> list[dict[str, Any]]:
        """The first rows of a query over fixed versions. Raises the problem that the data hub answered with."""
        body = {"sql": sql, "parameters": dict(parameters), "versions": dict(versions), "limit": KEPT_ROWS}
        reply = self._hub.request("POST", "/v1/queries", json=body, timeout_s=self._timeout_s).json()
        rows: list[dict[str, Any]] = reply["items"]
        return rows

    def statistics(self) -> dict[str, Any]:
        """Tables, rows and bytes of the three warehouses as they are now."""
        body: dict[str, Any] = self._hub.request("GET", "/v1/statistics").json()
        return body
