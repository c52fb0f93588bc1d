"""The calls of components and runs, as the pages make them; part of `clients.Brain`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol
from urllib.parse import quote

from brain_kit.client import Reply

Json = dict[str, Any]
SERVICE = "algorithm-dev"


class Calls(Protocol):
    """What these calls are made with."""

    def call(self, service: str, method: str, path: str, **options: Any) -> Reply:
        """One API call."""
        ...

    def get(self, service: str, path: str, **params: Any) -> Any:
        """The JSON body of a GET."""
        ...


class ComponentCalls:
    """Components, their review, calls and runs, with one person's token."""

    def components(self: Calls, **filters: Any) -> Json:
        """A page of components."""
        return dict(self.get(SERVICE, "/v1/components", **filters))

    def component(self: Calls, name: str) -> Json:
        """A component with its versions and aliases."""
        return dict(self.get(SERVICE, f"/v1/components/{_part(name)}"))

    def component_version(self: Calls, name: str, version: str) -> Json:
        """A version with its card."""
        return dict(self.get(SERVICE, _version(name, version)))

    def component_usage(self: Calls, name: str, days: int) -> Json:
        """Calls and runs by day and organisation."""
        return dict(self.get(SERVICE, "/v1/usage", component=name, days=days))

    def alias_history(self: Calls, name: str) -> Json:
        """Every move of the aliases of a component."""
        return dict(self.get(SERVICE, f"/v1/components/{_part(name)}/aliases/history"))

    def approvals(self: Calls) -> Json:
        """Versions that wait for a decision."""
        return dict(self.get(SERVICE, "/v1/approvals"))

    def invoke(self: Calls, name: str, version: str, body: Json) -> Json:
        """Calls a component."""
        reply = self.call(SERVICE, "POST", f"{_version(name, version)}/invocations", json=body, timeout_s=60)
        return dict(reply.json())

    def put_artefact(self: Calls, chunks: Iterator[bytes]) -> Json:
        """Uploads a file of a component."""
        return dict(self.call(SERVICE, "PUT", "/v1/artefacts", content=chunks, timeout_s=600).json())

    def put_component(self: Calls, name: str, version: str, card: Json) -> Json:
        """Registers a draft; one that is there is replaced."""
        path = _version(name, version)
        reply = self.call(SERVICE, "PUT", path, json=card, raise_errors=False)
        if reply.status == 428:
            reply = self.call(SERVICE, "PUT", path, json=card, headers={"If-Match": "*"})
        elif reply.status >= 400:
            from brain_kit.problems import problem_from

            raise problem_from(reply.status, reply.json())
        return dict(reply.json())

    def decide_component(self: Calls, name: str, version: str, decision: str, reason: str) -> None:
        """submit, approve, reject, withdraw or verify a version."""
        body = None if decision in ("submit", "verify") else {"reason": reason}
        self.call(SERVICE, "POST", f"{_version(name, version)}/{decision}", json=body, timeout_s=600)

    def subscribe_component(self: Calls, name: str, *, wanted: bool) -> None:
        """Subscribes one's organisation, or ends that."""
        self.call(SERVICE, "PUT" if wanted else "DELETE", f"/v1/components/{_part(name)}/subscription")

    def move_alias(self: Calls, name: str, alias: str, version: str, reason: str, edit: str) -> None:
        """Points an alias at a version; edit: the state that the mover saw, empty for a new alias."""
        headers = {"If-Match": f'"{edit}"'} if edit else {}
        path = f"/v1/components/{_part(name)}/aliases/{_part(alias)}"
        self.call(SERVICE, "PUT", path, json={"version": version, "reason": reason}, headers=headers)

    def runs(self: Calls, **filters: Any) -> Json:
        """A page of runs, newest first."""
        return dict(self.get(SERVICE, "/v1/runs", **filters))

    def run(self: Calls, run_id: str) -> Json:
        """A run."""
        return dict(self.get(SERVICE, f"/v1/runs/{_part(run_id)}"))

    def start_run(self: Calls, name: str, version: str, body: Json, repeat: str) -> Json:
        """Starts a run; repeat: the same value again makes no second one."""
        headers = {"Idempotency-Key": repeat} if repeat else {}
        return dict(self.call(SERVICE, "POST", f"{_version(name, version)}/runs", json=body, headers=headers).json())

    def cancel_run(self: Calls, run_id: str) -> None:
        """Asks a run to stop."""
        self.call(SERVICE, "POST", f"/v1/runs/{_part(run_id)}/cancel")

    def job_log(self: Calls, job_id: str) -> str:
        """The first MiB of what a job printed."""
        path = f"/v1/jobs/{_part(job_id)}/logs"
        reply = self.call("compute-scheduler", "GET", path, params={"limit": 1 << 20}, headers={"Accept": "text/plain"})
        return reply.content.decode("utf-8", "replace")

    def dataset_versions(self: Calls, name: str) -> Json:
        """Versions of a data set that can be read, newest first."""
        return dict(self.get("data-hub", f"/v1/datasets/{_part(name)}/versions", limit=50))


def _part(text: str) -> str:
    return quote(text, safe="")


def _version(name: str, version: str) -> str:
    return f"/v1/components/{_part(name)}/versions/{_part(version)}"
