"""The data hub behind a small class: facts are read through its public query API."""

from __future__ import annotations

from typing import Any

from brain_kit.client import ServiceClient
from brain_kit.problems import NotFound

PAGE_ROWS = 10_000


class Warehouse:
    """Reads keys and rows of data sets with the service's own token."""

    def __init__(self, hub: ServiceClient) -> None:
        self._hub = hub

    def key_of(self, dataset: str) -> list[str]:
        """Key columns of a data set. Raises NotFound when it is not registered."""
        reply = self._hub.request("GET", f"/v1/datasets/{dataset}").json()
        key: list[str] = reply["key"]
        return key

    def exists(self, dataset: str) -> bool:
        """Whether the data set is registered."""
        try:
            self.key_of(dataset)
        except NotFound:
            return False
        return True

    def rows(self, sql: str, **parameters: object) -> list[dict[str, Any]]:
        """Every row of a query, page after page."""
        body: dict[str, Any] = {"sql": sql, "limit": PAGE_ROWS}
        if parameters:
            body["parameters"] = parameters
        page = self._hub.request("POST", "/v1/queries", json=body, timeout_s=60).json()
        items: list[dict[str, Any]] = page["items"]
        while page.get("next"):
            page = self._hub.request(
                "GET", f"/v1/queries/{page['id']}/rows", params={"after": page["next"], "limit": PAGE_ROWS}
            ).json()
            items += page["items"]
        return items

    def statistics(self) -> dict[str, Any]:
        """Tables, rows and bytes of the three warehouses."""
        body: dict[str, Any] = self._hub.request("GET", "/v1/statistics").json()
        return body
