"""Calls of the data network: links, transfers, copies, data rules and quotes; part of `compute_calls`."""

from __future__ import annotations

from typing import Any, Protocol
from urllib.parse import quote

from brain_kit.client import Reply

Json = dict[str, Any]
COMPUTE = "compute-scheduler"


class _Calls(Protocol):
    def call(self, service: str, method: str, path: str, **options: Any) -> Reply: ...
    def get(self, service: str, path: str, **params: Any) -> Any: ...


class NetworkCalls:
    """The calls; the class that inherits them has `call` and `get`."""

    def links(self: _Calls, days: int = 0) -> list[Json]:
        """Every link with what is free of it now, its windows and its course over the next days."""
        return list(self.get(COMPUTE, "/v1/links", days=days)["items"])

    def link(self: _Calls, one: str, other: str, days: int) -> Json:
        """One link: its course, and what it carried on each of the last days."""
        return dict(self.get(COMPUTE, _link(one, other), days=days))

    def set_link(self: _Calls, one: str, other: str, body: Json) -> Json:
        """Register or change a link."""
        return dict(self.call(COMPUTE, "PUT", _link(one, other), json=body).json())

    def remove_link(self: _Calls, one: str, other: str) -> None:
        """Forget a link with its windows."""
        self.call(COMPUTE, "DELETE", _link(one, other))

    def add_window(self: _Calls, one: str, other: str, body: Json) -> None:
        """Let a link carry less between two moments."""
        self.call(COMPUTE, "POST", f"{_link(one, other)}/windows", json=body)

    def remove_window(self: _Calls, one: str, other: str, window: str) -> None:
        """Take a window back."""
        self.call(COMPUTE, "DELETE", f"{_link(one, other)}/windows/{quote(window, safe='')}")

    def transfers(self: _Calls, **filters: Any) -> Json:
        """A page of transfers, the newest first."""
        return dict(self.get(COMPUTE, "/v1/transfers", **filters))

    def transfer(self: _Calls, transfer: str) -> Json:
        """One transfer."""
        return dict(self.get(COMPUTE, f"/v1/transfers/{quote(transfer, safe='')}"))

    def cancel_transfer(self: _Calls, transfer: str, reason: str) -> None:
        """Stop a transfer; the jobs that wait for it fail and say why."""
        path = f"/v1/transfers/{quote(transfer, safe='')}/cancel"
        self.call(COMPUTE, "POST", path, json={"reason": reason})

    def replicas(self: _Calls, **filters: Any) -> Json:
        """A page of copies of versions at centres."""
        return dict(self.get(COMPUTE, "/v1/replicas", **filters))

    def remove_replica(self: _Calls, dataset: str, version: str, centre: str, view: str) -> None:
        """Forget a copy."""
        path = "/".join(quote(part, safe="") for part in (dataset, version, centre))
        self.call(COMPUTE, "DELETE", f"/v1/replicas/{path}", params={"view": view})

    def data_rules(self: _Calls) -> list[Json]:
        """Where data sets may be, as far as the caller may know."""
        return list(self.get(COMPUTE, "/v1/data-rules")["items"])

    def set_data_rule(self: _Calls, dataset: str, body: Json) -> None:
        """Keep a data set in centres and regions."""
        self.call(COMPUTE, "PUT", f"/v1/data-rules/{quote(dataset, safe='')}", json=body)

    def remove_data_rule(self: _Calls, dataset: str) -> None:
        """Take a rule back."""
        self.call(COMPUTE, "DELETE", f"/v1/data-rules/{quote(dataset, safe='')}")

    def data_quotes(self: _Calls, dataset: str, version: str = "") -> Json:
        """What bringing a version to each centre takes, and where it may be."""
        return dict(self.get(COMPUTE, f"/v1/data-quotes/{quote(dataset, safe='')}", version=version))


def _link(one: str, other: str) -> str:
    return f"/v1/links/{quote(one, safe='')}/{quote(other, safe='')}"
