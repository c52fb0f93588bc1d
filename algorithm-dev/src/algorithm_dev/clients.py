"""The data hub and the compute scheduler behind small classes; what is done for a tenant is done as that tenant."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from brain_kit.acting import HEADER
from brain_kit.client import ServiceClient
from brain_kit.problems import NotFound, problem_from

PARQUET = "application/vnd.apache.parquet"
CHUNK_BYTES = 1 << 18
Json = dict[str, Any]


class Warehouse:
    """Data sets: with the caller's token while one asks, acting for the organisation afterwards."""

    def __init__(self, hub: ServiceClient) -> None:
        self._hub = hub

    def dataset(self, token: str, name: str) -> Json:
        """A data set as the holder of the token sees it. Raises NotFound."""
        return dict(self._hub.request("GET", f"/v1/datasets/{quote(name)}", token=token).json())

    def described(self, org: str, name: str) -> Json:
        """A data set as the organisation sees it."""
        return dict(self._hub.request("GET", f"/v1/datasets/{quote(name)}", headers={HEADER: org}).json())

    def newest_version(self, token: str, name: str) -> str | None:
        """The version that is read now; None when nothing was ever committed."""
        items = self._hub.request(
            "GET", f"/v1/datasets/{quote(name)}/versions", params={"limit": 1}, token=token
        ).json()
        found = items["items"]
        return str(found[0]["version"]) if found else None

    def probe(self, token: str, name: str, columns: list[str], condition: str, version: str) -> None:
        """Reads one row as the run will read all. Raises what the hub says of columns, filter or version."""
        params = {"columns": ",".join(columns), "filter": condition, "version": version, "limit": 1}
        self._hub.request("GET", f"/v1/datasets/{quote(name)}/rows", params=params, token=token)

    def download(self, org: str, name: str, columns: list[str], condition: str, version: str, target: Path) -> None:
        """Writes the rows of a version that the organisation may see to a Parquet file."""
        params = {"columns": ",".join(columns), "filter": condition or None, "version": version}
        headers = {"Accept": PARQUET, HEADER: org}
        path = f"/v1/datasets/{quote(name)}/rows"
        with self._hub.stream("GET", path, params=params, headers=headers, timeout_s=600) as reply:
            _save(reply, target)

    def pin(self, org: str, name: str, version: str, reason: str) -> str:
        """Keeps a version from being forgotten; the same reason again answers the same pin."""
        path = f"/v1/datasets/{quote(name)}/versions/{quote(version)}/pins"
        return str(self._hub.request("POST", path, json={"reason": reason}, headers={HEADER: org}).json()["id"])

    def unpin(self, org: str, name: str, version: str, pin: str) -> None:
        """Takes a pin away; one that is gone already is none the worse."""
        path = f"/v1/datasets/{quote(name)}/versions/{quote(version)}/pins/{quote(pin)}"
        with contextlib.suppress(NotFound):
            self._hub.request("DELETE", path, headers={HEADER: org})

    def register(self, org: str, name: str, document: str) -> Json:
        """Registers the contract of a result for the organisation; the same document again changes nothing."""
        headers = {"Content-Type": "application/yaml", HEADER: org}
        path = f"/v1/contracts/{quote(name)}"
        return dict(self._hub.request("PUT", path, content=document.encode(), headers=headers).json())

    def push(self, org: str, name: str, mode: str, key: str, source: Path) -> Json:
        """Pushes the rows of a file; the same key again answers the same receipt."""
        headers = {"Content-Type": PARQUET, "Idempotency-Key": key, HEADER: org}
        headers["Content-Length"] = str(source.stat().st_size)
        path = f"/v1/datasets/{quote(name)}/pushes"
        sent: Any = {"params": {"mode": mode}, "content": _chunks(source), "headers": headers}
        reply = self._hub.request("POST", path, timeout_s=600, raise_errors=False, **sent)
        body = dict(reply.json() or {})
        if reply.status >= 400 and "state" not in body:
            raise problem_from(reply.status, body)
        return body

    def receipt(self, org: str, push_id: str) -> Json:
        """The receipt of a push."""
        return dict(self._hub.request("GET", f"/v1/pushes/{quote(push_id)}", headers={HEADER: org}).json())


class Scheduler:
    """Jobs and files of an organisation."""

    def __init__(self, scheduler: ServiceClient) -> None:
        self._scheduler = scheduler

    def keep(self, org: str, source: Path | bytes) -> str:
        """Stores a file for jobs; its digest. A repeat is harmless."""
        content: Any = source if isinstance(source, bytes) else _chunks(source)
        headers = {HEADER: org, "Content-Type": "application/octet-stream"}
        reply = self._scheduler.request("PUT", "/v1/files", content=content, headers=headers, timeout_s=600)
        return str(reply.json()["sha256"])

    def submit(self, org: str, spec: Json, key: str) -> Json:
        """Queues a job; the same key again answers the same job."""
        headers = {HEADER: org, "Idempotency-Key": key}
        return dict(self._scheduler.request("POST", "/v1/jobs", json=spec, headers=headers).json())

    def job(self, org: str, job_id: str) -> Json:
        """A job with its state and reason."""
        return dict(self._scheduler.request("GET", f"/v1/jobs/{quote(job_id)}", headers={HEADER: org}).json())

    def job_of(self, org: str, label: str) -> Json | None:
        """The job with a label, when there is one."""
        params = {"label": label, "limit": 1}
        found = self._scheduler.request("GET", "/v1/jobs", params=params, headers={HEADER: org}).json()["items"]
        return dict(found[0]) if found else None

    def cancel(self, org: str, job_id: str) -> None:
        """Cancels a job; one that has ended stays as it is."""
        self._scheduler.request("POST", f"/v1/jobs/{quote(job_id)}/cancel", headers={HEADER: org}, raise_errors=False)

    def fetch(self, org: str, sha256: str, target: Path) -> None:
        """Writes an output file of a job."""
        with self._scheduler.stream("GET", f"/v1/files/{sha256}", headers={HEADER: org}, timeout_s=600) as reply:
            _save(reply, target)


def _save(reply: Any, target: Path) -> None:
    if reply.status >= 400:
        body = b"".join(reply.iter_bytes())
        try:
            problem = json.loads(body)
        except ValueError:
            problem = {"detail": body[:200].decode("utf-8", "replace")}
        raise problem_from(reply.status, problem)
    with target.open("wb") as file:
        for chunk in reply.iter_bytes():
            file.write(chunk)


def _chunks(source: Path) -> Iterator[bytes]:
    with source.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
