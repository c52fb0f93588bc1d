"""Calls of compute: inventory, utilisation, settlement and simulations; part of `clients.Brain`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol
from urllib.parse import quote

from brain_kit.client import Reply, StreamedReply

from service_portal.portal.network_calls import NetworkCalls

Json = dict[str, Any]
COMPUTE = "compute-scheduler"


class _Calls(Protocol):
    def call(self, service: str, method: str, path: str, **options: Any) -> Reply: ...
    def get(self, service: str, path: str, **params: Any) -> Any: ...
    def stream(
        self, service: str, method: str, path: str, media_type: str = ..., **options: Any
    ) -> AbstractContextManager[StreamedReply]: ...


class ComputeCalls(NetworkCalls):
    """The calls; the class that inherits them has `call`, `get` and `stream`."""

    def inventory(self: _Calls) -> Json:
        """Centres with storage, EFLOPS, racks and health; sums; links."""
        return dict(self.get(COMPUTE, "/v1/inventory"))

    def utilisation(self: _Calls, days: int) -> Json:
        """Core hours by centre and day, flows, tenants' parts."""
        return dict(self.get(COMPUTE, "/v1/utilisation", days=days))

    def settlement_periods(self: _Calls) -> list[Json]:
        """Months with usage, the newest first."""
        return list(self.get(COMPUTE, "/v1/settlement/periods")["items"])

    def statements(self: _Calls, period: str, **filters: str) -> Json:
        """What each tenant owes each owner in a month."""
        return dict(self.get(COMPUTE, "/v1/settlement/statements", period=period, **filters))

    def statement(self: _Calls, period: str, tenant: str, owner: str) -> Json:
        """One statement, line by line."""
        path = f"/v1/settlement/statements/{quote(period)}/{quote(tenant)}/{quote(owner)}"
        return dict(self.get(COMPUTE, path))

    def statements_file(self: _Calls, form: str, **params: str) -> Reply:
        """The lines of a month's statements as a file."""
        given = {name: value for name, value in params.items() if value}
        return self.call(COMPUTE, "GET", "/v1/settlement/export", params=given | {"format": form}, timeout_s=120)

    def close_period(self: _Calls, period: str) -> Json:
        """Close a month."""
        return dict(self.call(COMPUTE, "POST", f"/v1/settlement/periods/{quote(period)}/close", timeout_s=120).json())

    def price_lists(self: _Calls) -> list[Json]:
        """Versions of prices, the newest first."""
        return list(self.get(COMPUTE, "/v1/price-lists")["items"])

    def ledger(self: _Calls, **filters: Any) -> Json:
        """A page of ledger entries."""
        return dict(self.get(COMPUTE, "/v1/ledger", **filters))

    def submit_job(self: _Calls, spec: Json, repeat: str = "") -> Json:
        """Queue a new job. repeat: the same text again makes no second job."""
        headers = {"Idempotency-Key": repeat} if repeat else {}
        return dict(self.call(COMPUTE, "POST", "/v1/jobs", json=spec, headers=headers).json())

    def estimate_job(self: _Calls, spec: Json) -> Json:
        """When a job could start and what it would cost at each centre."""
        return dict(self.call(COMPUTE, "POST", "/v1/job-estimates", json=spec).json())

    def job_costs(self: _Calls, job_id: str) -> Json:
        """Predicted start, expected and charged costs of a job."""
        return dict(self.get(COMPUTE, f"/v1/jobs/{quote(job_id)}/costs"))

    def set_priority(self: _Calls, job_id: str, priority: str) -> None:
        """Change the priority of a waiting job."""
        self.call(COMPUTE, "PUT", f"/v1/jobs/{quote(job_id)}/priority", json={"priority": priority})

    def reservations(self: _Calls, **filters: Any) -> Json:
        """A page of reservations and maintenance windows, the newest first."""
        return dict(self.get(COMPUTE, "/v1/reservations", **filters))

    def all_reservations(self: _Calls, **filters: Any) -> list[Json]:
        """All of them."""
        items: list[Json] = []
        after: str | None = ""
        while after is not None:
            page = self.get(COMPUTE, "/v1/reservations", after=after, limit=500, **filters)
            items += page["items"]
            after = page["next"]
        return items

    def reservation(self: _Calls, reservation: str) -> Json:
        """One with what went unused."""
        return dict(self.get(COMPUTE, f"/v1/reservations/{quote(reservation)}"))

    def preview_reservation(self: _Calls, body: Json) -> Json:
        """What it would keep and whom it would touch."""
        return dict(self.call(COMPUTE, "POST", "/v1/reservations/preview", json=body).json())

    def make_reservation(self: _Calls, body: Json, repeat: str) -> Json:
        """Make one. repeat: the same text again makes no second one."""
        headers = {"Idempotency-Key": repeat} if repeat else {}
        return dict(self.call(COMPUTE, "POST", "/v1/reservations", json=body, headers=headers).json())

    def cancel_reservation(self: _Calls, reservation: str, reason: str) -> None:
        """Give back what it keeps."""
        self.call(COMPUTE, "POST", f"/v1/reservations/{quote(reservation)}/cancel", json={"reason": reason})

    def quotas(self: _Calls) -> list[Json]:
        """Every tenant with a quota or usage."""
        return list(self.get(COMPUTE, "/v1/tenants")["items"])

    def set_quota(self: _Calls, org: str, body: Json) -> None:
        """Set a tenant's quota."""
        self.call(COMPUTE, "PUT", f"/v1/tenants/{quote(org)}/quota", json=body)

    def remove_quota(self: _Calls, org: str) -> None:
        """Take a tenant's own quota away."""
        self.call(COMPUTE, "DELETE", f"/v1/tenants/{quote(org)}/quota")

    def quota_groups(self: _Calls) -> list[Json]:
        """Groups of tenants that lend each other."""
        return list(self.get(COMPUTE, "/v1/quota-groups")["items"])

    def set_quota_group(self: _Calls, group: str, body: Json) -> None:
        """Make or change a group."""
        self.call(COMPUTE, "PUT", f"/v1/quota-groups/{quote(group)}", json=body)

    def remove_quota_group(self: _Calls, group: str) -> None:
        """Remove a group without members."""
        self.call(COMPUTE, "DELETE", f"/v1/quota-groups/{quote(group)}")

    def policy(self: _Calls) -> Json:
        """The policy in force."""
        return dict(self.get(COMPUTE, "/v1/policy"))

    def policy_versions(self: _Calls) -> list[Json]:
        """Versions of the policy, the newest first."""
        return list(self.get(COMPUTE, "/v1/policy/versions")["items"])

    def set_policy(self: _Calls, body: Json) -> None:
        """Bring a policy into force."""
        self.call(COMPUTE, "PUT", "/v1/policy", json=body)

    def simulations(self: _Calls, after: str) -> Json:
        """A page of simulations, the newest first."""
        return dict(self.get(COMPUTE, "/v1/simulations", after=after, limit=50))

    def simulation(self: _Calls, simulation: str) -> Json:
        """A simulation."""
        return dict(self.get(COMPUTE, f"/v1/simulations/{quote(simulation)}"))

    def make_simulation(self: _Calls, fields: Json) -> Json:
        """Queue a simulation."""
        return dict(self.call(COMPUTE, "POST", "/v1/simulations", json=fields).json())

    def cancel_simulation(self: _Calls, simulation: str) -> None:
        """Stop a simulation."""
        self.call(COMPUTE, "POST", f"/v1/simulations/{quote(simulation)}/cancel")

    def delete_simulation(self: _Calls, simulation: str) -> None:
        """Forget a simulation."""
        self.call(COMPUTE, "DELETE", f"/v1/simulations/{quote(simulation)}")

    def schedule(self: _Calls, simulation: str, limit: int) -> Json:
        """The first jobs of a simulation: when and where each ran."""
        return dict(self.get(COMPUTE, f"/v1/simulations/{quote(simulation)}/schedule", limit=limit))

    def schedule_stream(self: _Calls, simulation: str) -> AbstractContextManager[StreamedReply]:
        """The whole schedule as CSV."""
        return self.stream(COMPUTE, "GET", f"/v1/simulations/{quote(simulation)}/schedule", "text/csv")

    def lending(self: _Calls) -> Json:
        """What is lent out and what is borrowed."""
        return dict(self.get(COMPUTE, "/v1/lending"))

    def loan(self: _Calls, loan: str) -> Json:
        """A loan with its newest jobs."""
        return dict(self.get(COMPUTE, f"/v1/lending/loans/{quote(loan)}"))

    def recall_loan(self: _Calls, loan: str) -> None:
        """Take back what is lent, as its terms say."""
        self.call(COMPUTE, "POST", f"/v1/lending/loans/{quote(loan)}/recall", json={})

    def reopen_loan(self: _Calls, loan: str) -> None:
        """Lend again what was recalled."""
        self.call(COMPUTE, "PATCH", f"/v1/lending/loans/{quote(loan)}", json={"state": "open"})

    def lending_statement(self: _Calls, **party: str) -> Json:
        """What both brains say of the same attempts, the newest first; of a `loan` or a `centre`."""
        return dict(self.get(COMPUTE, "/v1/lending/statement", limit=100, **party))

    def lending_file(self: _Calls, **party: str) -> Reply:
        """The same as CSV."""
        given = party | {"format": "csv", "limit": "10000"}
        return self.call(COMPUTE, "GET", "/v1/lending/statement", params=given, timeout_s=120)

    def put_file(self: _Calls, content: bytes) -> Json:
        """Keep a file of jobs; answers its digest."""
        headers = {"Content-Type": "application/octet-stream"}
        return dict(self.call(COMPUTE, "PUT", "/v1/files", content=content, headers=headers, timeout_s=300).json())
