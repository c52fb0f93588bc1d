"""Calls about one computing centre: registering, keys, inventory, prices, energy; part of `clients.Brain`."""

from __future__ import annotations

from typing import Any, Protocol
from urllib.parse import quote

from brain_kit.client import Reply

Json = dict[str, Any]
COMPUTE = "compute-scheduler"


class _Calls(Protocol):
    def call(self, service: str, method: str, path: str, **options: Any) -> Reply: ...
    def get(self, service: str, path: str, **params: Any) -> Any: ...


class CentreCalls:
    """The calls; the class that inherits them has `call` and `get`."""

    def centre(self: _Calls, centre: str) -> Json:
        """A centre with its nodes and load."""
        return dict(self.get(COMPUTE, f"/v1/centres/{quote(centre)}"))

    def add_centre(self: _Calls, body: Json) -> Json:
        """Register a centre."""
        return dict(self.call(COMPUTE, "POST", "/v1/centres", json=body).json())

    def make_centre_key(self: _Calls, centre: str) -> Json:
        """A key of the centre's agent; the answer carries it once."""
        return dict(self.call(COMPUTE, "POST", f"/v1/centres/{quote(centre)}/keys").json())

    def fence_centre(self: _Calls, centre: str) -> int:
        """Declare what a silent centre ran lost; answers how many attempts that ended."""
        return int(self.call(COMPUTE, "POST", f"/v1/centres/{quote(centre)}/fence").json()["ended"])

    def set_inventory(self: _Calls, centre: str, body: Json) -> None:
        """State what a centre has beside its nodes."""
        self.call(COMPUTE, "PUT", f"/v1/centres/{quote(centre)}/inventory", json=body)

    def prices_of(self: _Calls, centre: str) -> list[Json]:
        """Versions of prices that hold for a centre, those for all centres too, the newest first."""
        return list(self.get(COMPUTE, "/v1/price-lists", centre=centre)["items"])

    def energy_factors(self: _Calls, centre: str) -> list[Json]:
        """Versions of a centre's energy factors, the newest first."""
        return list(self.get(COMPUTE, f"/v1/centres/{quote(centre)}/energy")["items"])

    def centre_tariff(self: _Calls, centre: str) -> Json:
        """The electricity tariff that holds for a centre now, and its hours today."""
        return dict(self.get(COMPUTE, f"/v1/centres/{quote(centre)}/tariff"))

    def tariffs(self: _Calls) -> list[Json]:
        """Versions of electricity tariffs, the newest first."""
        return list(self.get(COMPUTE, "/v1/tariffs")["items"])

    def add_tariff(self: _Calls, body: Json) -> None:
        """Publish a version of a tariff."""
        self.call(COMPUTE, "POST", "/v1/tariffs", json=body)

    def try_prices(self: _Calls, body: Json) -> Json:
        """What the usage of the last days would have cost under a price list; nothing is published."""
        return dict(self.call(COMPUTE, "POST", "/v1/price-list-trials", json=body, timeout_s=60).json())

    def add_prices(self: _Calls, body: Json) -> None:
        """Publish a version of prices."""
        self.call(COMPUTE, "POST", "/v1/price-lists", json=body)

    def carbon_hours(self: _Calls, centre: str, days: int) -> Json:
        """Carbon intensity hour by hour of the last days, today's to its end."""
        return dict(self.get(COMPUTE, f"/v1/centres/{quote(centre)}/carbon/hours", days=days))
