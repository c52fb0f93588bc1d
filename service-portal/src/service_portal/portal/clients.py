"""The platform's public APIs as the pages call them: the same calls that a third party makes, with the person's token.

Every method raises a Problem when the API refuses or cannot be reached.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from brain_kit.client import Reply, StreamedReply
from brain_kit.problems import problem_from
from brain_kit.service import Platform

from service_portal.portal.centre_calls import CentreCalls
from service_portal.portal.component_calls import ComponentCalls
from service_portal.portal.compute_calls import ComputeCalls

Json = dict[str, Any]
# CSV for people: spreadsheets read Chinese right and run no cell as a formula.
_CSV_MANNERS = {"bom": "true", "escape_formulas": "true"}
EVENT_SERVICES = (
    "identity",
    "data-hub",
    "compute-scheduler",
    "algorithm-dev",
    "government-services",
    "evaluation",
    "service-portal",
)


@dataclass(frozen=True)
class Tokens:
    """What a sign-in gives."""

    access: str
    refresh: str
    expires_in_s: float
    principal: Json


def _given(params: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value not in (None, "")}


class Brain(CentreCalls, ComponentCalls, ComputeCalls):
    """The APIs with one person's token; token None stands for nobody."""

    def __init__(self, platform: Platform, token: str | None) -> None:
        self._platform = platform
        self._token = token

    def call(self, service: str, method: str, path: str, **options: Any) -> Reply:
        """One API call. options: params, json, content, headers, timeout_s as in ServiceClient.request."""
        return self._platform.client(service).request(method, path, token=self._token or "", **options)

    def get(self, service: str, path: str, **params: Any) -> Any:
        """The JSON body of a GET; parameters without value are left out."""
        return self.call(service, "GET", path, params=_given(params)).json()

    # identity ---------------------------------------------------------------------------------------------------

    def sign_in(self, user: str, password: str) -> Tokens:
        """Exchange a name and password for tokens. Raises Unauthenticated or RateLimited."""
        reply = self.call("identity", "POST", "/v1/sessions", json={"user": user, "password": password})
        return _tokens(reply.json())

    def renew(self, refresh_token: str) -> Tokens:
        """New tokens for a refresh token. Raises Unauthenticated when it is spent or revoked."""
        reply = self.call("identity", "POST", "/v1/sessions/refresh", json={"refresh_token": refresh_token})
        return _tokens(reply.json())

    def sign_out(self, refresh_token: str) -> None:
        """Revoke a refresh token."""
        self.call("identity", "POST", "/v1/sessions/revoke", json={"refresh_token": refresh_token})

    def organisations(self, kind: str = "", after: str = "") -> Json:
        """The first thousand organisations of a kind, or of all kinds."""
        return _page(self.get("identity", "/v1/organisations", kind=kind, after=after, limit=1000))

    def organisation(self, uscc: str) -> Json:
        """One organisation."""
        return dict(self.get("identity", f"/v1/organisations/{_part(uscc)}"))

    def keys(self, org: str = "") -> Json:
        """API keys, of one organisation or of all that the caller may see. Never the secret part."""
        return _page(self.get("identity", "/v1/keys", org=org, limit=1000))

    def add_organisation(self, fields: Json) -> Json:
        """Register an organisation; fields: uscc, name, kind, region."""
        return dict(self.call("identity", "POST", "/v1/organisations", json=fields).json())

    def add_key(self, org: str, name: str) -> Json:
        """Make an API key; the answer shows it once."""
        return dict(self.call("identity", "POST", "/v1/keys", json={"org": org, "name": name}).json())

    def rotate_key(self, key_id: str) -> Json:
        """Make the successor of a key; both work until the old one ends."""
        return dict(self.call("identity", "POST", f"/v1/keys/{_part(key_id)}/rotate", json={}).json())

    def revoke_key(self, key_id: str) -> None:
        """End a key at once."""
        self.call("identity", "DELETE", f"/v1/keys/{_part(key_id)}")

    def audit(self, **filters: Any) -> Json:
        """A page of the audit log, newest first."""
        return _page(self.get("identity", "/v1/audit", **filters))

    def verify_audit(self) -> Json:
        """Recompute the hash chain of the audit log."""
        return dict(self.call("identity", "GET", "/v1/audit/verify", timeout_s=120).json())

    # data hub ---------------------------------------------------------------------------------------------------

    def statistics(self) -> Json:
        """Warehouses and data sets with rows, bytes and owners."""
        return dict(self.get("data-hub", "/v1/statistics"))

    def datasets(self) -> list[Json]:
        """The catalogue."""
        return list(_page(self.get("data-hub", "/v1/datasets", limit=500))["items"])

    def dataset(self, name: str) -> Json:
        """Schema, key, rules and an example of a data set."""
        return dict(self.get("data-hub", f"/v1/datasets/{_part(name)}"))

    def rows(self, name: str, **params: Any) -> Json:
        """A page of rows: columns, items, next, snapshot."""
        return dict(self.get("data-hub", f"/v1/datasets/{_part(name)}/rows", **params))

    def versions(self, name: str, limit: int) -> list[Json]:
        """The versions of a data set that can be read, newest first, with their pins."""
        return list(_page(self.get("data-hub", f"/v1/datasets/{_part(name)}/versions", limit=limit))["items"])

    def pin(self, name: str, version: str, reason: str) -> None:
        """Keep a version from being forgotten."""
        path = f"/v1/datasets/{_part(name)}/versions/{_part(version)}/pins"
        self.call("data-hub", "POST", path, json={"reason": reason})

    def unpin(self, name: str, version: str, pin: str) -> None:
        """Let a version go."""
        path = f"/v1/datasets/{_part(name)}/versions/{_part(version)}/pins/{_part(pin)}"
        self.call("data-hub", "DELETE", path)

    def lineage(self, **params: Any) -> Json:
        """Nodes and edges of the lineage around a data set or node."""
        return dict(self.get("data-hub", "/v1/lineage", **params))

    def derive(self, fields: Json, wait_s: float) -> Json:
        """Make or refresh a data set from SQL."""
        return dict(
            self.call("data-hub", "POST", "/v1/derived", json=fields, params={"wait": wait_s}, timeout_s=150).json()
        )

    def pushes(self, **filters: Any) -> Json:
        """A page of pushes, newest first."""
        return _page(self.get("data-hub", "/v1/pushes", **filters))

    def push(self, push_id: str) -> Json:
        """The receipt of a push."""
        return dict(self.get("data-hub", f"/v1/pushes/{_part(push_id)}"))

    def rejects(self, push_id: str, **params: Any) -> Json:
        """A page of refused rows with reasons."""
        return _page(self.get("data-hub", f"/v1/pushes/{_part(push_id)}/rejects", **params))

    def rejects_stream(self, push_id: str) -> AbstractContextManager[StreamedReply]:
        """Stream the refused rows as pushed, plus _row, _field, _code, _reason, as CSV."""
        return self._stream("GET", f"/v1/pushes/{_part(push_id)}/rejects", "text/csv")

    def rejects_head(self, push_id: str, most_bytes: int) -> bytes:
        """The first lines of that CSV: whole when it is short, else cut at a line end below most_bytes."""
        content = bytearray()
        with self.rejects_stream(push_id) as reply:
            for chunk in reply.iter_bytes():
                content += chunk
                if len(content) > most_bytes:
                    return bytes(content[: content.rfind(b"\n", 0, most_bytes) + 1])
        return bytes(content)

    def send_rows(
        self, name: str, mode: str, media_type: str, content: bytes | Iterator[bytes], wait_s: float = 2
    ) -> Json:
        """Push rows; the receipt, also when every row was refused."""
        params = {"mode": mode, "wait": wait_s}
        path = f"/v1/datasets/{_part(name)}/pushes"
        headers = {"Content-Type": media_type}
        reply = self.call(
            "data-hub", "POST", path, params=params, content=content, headers=headers, timeout_s=600, raise_errors=False
        )
        body = dict(reply.json())
        if reply.status >= 400 and "id" not in body:
            raise problem_from(reply.status, body)
        return body

    def query(self, sql: str, limit: int, query_id: str) -> Json:
        """Run SQL: columns, items, next."""
        body = _given({"sql": sql, "limit": limit, "id": query_id})
        return dict(self.call("data-hub", "POST", "/v1/queries", json=body, timeout_s=120).json())

    def cancel_query(self, query_id: str) -> None:
        """Stop a running query; one that has ended is no error here."""
        self.call("data-hub", "DELETE", f"/v1/queries/{_part(query_id)}")

    def queries(self) -> Json:
        """The caller's running and recent queries."""
        return _page(self.get("data-hub", "/v1/queries"))

    def query_stream(self, sql: str, media_type: str) -> AbstractContextManager[StreamedReply]:
        """Run SQL and stream the answer in another format."""
        return self._stream("POST", "/v1/queries", media_type, json={"sql": sql}, params=_CSV_MANNERS)

    def rows_stream(self, name: str, media_type: str, **params: Any) -> AbstractContextManager[StreamedReply]:
        """Stream all rows that match, in another format."""
        path = f"/v1/datasets/{_part(name)}/rows"
        return self._stream("GET", path, media_type, params=_given(params) | _CSV_MANNERS)

    def _stream(self, method: str, path: str, media_type: str, **options: Any) -> AbstractContextManager[StreamedReply]:
        return self.stream("data-hub", method, path, media_type, **options)

    @contextmanager
    def stream(
        self, service: str, method: str, path: str, media_type: str = "*/*", **options: Any
    ) -> Iterator[StreamedReply]:
        """One API call whose answer comes in pieces. Raises the problem that the API answered with."""
        client = self._platform.client(service)
        headers = {"Accept": media_type}
        with client.stream(method, path, headers=headers, token=self._token or "", timeout_s=120, **options) as reply:
            if reply.status >= 400:
                raise problem_from(reply.status, json.loads(b"".join(reply.iter_bytes())))
            yield reply

    # government services ----------------------------------------------------------------------------------------

    def overview(self) -> Json:
        """Key figures of the cluster."""
        return dict(self.get("government-services", "/v1/overview"))

    def chains(self) -> list[Json]:
        """The industrial chains defined here."""
        return list(_page(self.get("government-services", "/v1/chains"))["items"])

    def panorama(self, chain: str, **params: Any) -> Json:
        """Nodes and links of a chain with their strength."""
        return dict(self.get("government-services", f"/v1/chains/{_part(chain)}/panorama", **params))

    def chain_node(self, chain: str, node: str, **params: Any) -> Json:
        """Profile of a node: figures, enterprises, links."""
        return dict(self.get("government-services", f"/v1/chains/{_part(chain)}/nodes/{_part(node)}", **params))

    def enterprise(self, identity: str) -> Json:
        """Profile of an enterprise: figures, products, months, sources."""
        return dict(self.get("government-services", f"/v1/enterprises/{_part(identity)}"))

    # the platform itself ----------------------------------------------------------------------------------------

    def operations(self) -> Json:
        """Whether the whole platform is well, and the figures behind it."""
        return dict(self.get("service-portal", "/v1/operations"))

    # compute ----------------------------------------------------------------------------------------------------

    def jobs(self, **filters: Any) -> Json:
        """A page of jobs, newest first, with counts by state."""
        return dict(self.get("compute-scheduler", "/v1/jobs", **filters))

    def job(self, job_id: str) -> Json:
        """A job with its specification and attempts."""
        return dict(self.get("compute-scheduler", f"/v1/jobs/{_part(job_id)}"))

    def log_stretch(self, job_id: str, attempt: int, offset: int, rank: int = 0) -> tuple[bytes, int, bool]:
        """A stretch of a log, where the next begins, and whether the attempt has ended. rank: a gang's member."""
        params = _given({"attempt": attempt, "rank": rank, "offset": offset})
        reply = self.call("compute-scheduler", "GET", f"/v1/jobs/{_part(job_id)}/logs", params=params)
        return reply.content, int(reply.headers["x-log-next"]), reply.headers["x-log-ended"] == "true"

    def change_job(self, job_id: str, action: str) -> Json:
        """Cancel or retry a job."""
        return dict(self.call("compute-scheduler", "POST", f"/v1/jobs/{_part(job_id)}/{_part(action)}").json())

    def centres(self) -> list[Json]:
        """Computing centres with nodes and load."""
        return list(self.get("compute-scheduler", "/v1/centres")["items"])

    def set_centre_state(self, centre: str, node: str, state: str) -> None:
        """Drain or open a centre, or one of its nodes."""
        path = f"/v1/centres/{_part(centre)}" + (f"/nodes/{_part(node)}" if node else "")
        self.call("compute-scheduler", "PATCH", path, json={"state": state})


class EventDesk:
    """Event status of each service, read with the portal's own service token: for operators' pages only."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def status(self, service: str) -> Json:
        """The groups of a service with outbox, lag and counts of dead letters; its latest events; its dead letters."""
        client = self._platform.client(service)
        groups = client.request("GET", "/internal/events", timeout_s=5).json()["items"]
        recent = client.request("GET", "/internal/events/recent", params={"limit": 12}, timeout_s=5).json()["items"]
        dead = client.request("GET", "/internal/events/dead", params={"limit": 50}, timeout_s=5).json()["items"]
        return {"groups": groups, "recent": recent, "dead": dead}

    def replay(self, service: str, dead_id: str) -> None:
        """Hand a dead letter to its consumer again."""
        self._platform.client(service).request("POST", f"/internal/events/dead/{_part(dead_id)}/replay")


def _part(text: str) -> str:
    return quote(text, safe="")


def _page(body: Any) -> Json:
    """A list answer in one form: items and next."""
    if isinstance(body, list):
        return {"items": body, "next": None}
    return dict(body)


def _tokens(body: Json) -> Tokens:
    access = str(body["access_token"])
    principal = body.get("principal") or _claims(access)
    return Tokens(access, str(body.get("refresh_token", "")), float(body.get("expires_in", 300)), principal)


def _claims(token: str) -> Json:
    """The claims of a token that identity has just handed over; services verify it, the portal only shows names."""
    payload = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))
