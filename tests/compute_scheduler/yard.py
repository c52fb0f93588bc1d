"""identity and compute-scheduler in one process, with the local agent running or not."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import identity.main
from brain_contracts.codes import make_uscc
from brain_kit.client import Reply
from brain_kit.service import Platform
from brain_kit.settings import PlatformSettings
from industry_brain.wiring import build_service, start_workers

SERIALS = itertools.count(7000)
ROLES = ("relay", "consumer", "periodic", "scheduler", "agent")
PYTHON = sys.executable
FINAL = ("succeeded", "failed", "cancelled")
# Of a gang: rank 0 hears all others over TCP and leaves `sum.txt`; each says where it thinks that all are.
TALK = """
import os, socket, time
rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
if rank == 0:
    with socket.create_server(place) as server:
        heard = sorted(server.accept()[0].recv(9).decode() for _ in range(size - 1))
    open("sum.txt", "w").write(",".join(heard))
else:
    for _ in range(600):
        try:
            with socket.create_connection(place) as line:
                line.sendall(f"from {rank}".encode())
            break
        except OSError:
            time.sleep(0.05)
print("rank", rank, "of", size, "at", os.environ["BRAIN_MEMBERS"])
"""


class Yard:
    """The two services of one home folder; every test makes organisations of its own. beside: further services.

    patience_s: how long jobs are waited for when a test does not say.
    """

    def __init__(
        self,
        home: Path,
        *,
        roles: tuple[str, ...] = ROLES,
        beside: tuple[str, ...] = (),
        patience_s: float = 60,
        **settings: Any,
    ) -> None:
        self.patience_s = patience_s
        self.home = home
        self.platform = Platform(PlatformSettings(home=home, **settings))
        self.runtimes = [build_service(self.platform, name) for name in ("identity", *beside, "compute-scheduler")]
        made = identity.main.bootstrap(self.platform)
        assert made is not None
        self.database = self.platform.database("compute-scheduler")
        self.workers = start_workers(self.runtimes, roles)
        tokens = self.platform.client("identity").request(
            "POST", "/v1/sessions", json={"user": made.user, "password": made.password}, token=""
        )
        self.operator: str = tokens.json()["access_token"]
        self.org: str = self.identity("GET", "/v1/me", self.operator)["org"]

    def close(self) -> None:
        """Ends workers and connections."""
        assert self.workers.stop(20) == []
        self.platform.close()

    def identity(self, method: str, path: str, token: str, **options: Any) -> Any:
        """A call to identity that must succeed."""
        return self.platform.client("identity").request(method, path, token=token, **options).json()

    def call(self, method: str, path: str, token: str | None = None, **options: Any) -> Reply:
        """One call to the scheduler, whatever it answers; by default as the operator."""
        client = self.platform.client("compute-scheduler")
        return client.request(method, path, token=token or self.operator, raise_errors=False, **options)

    def json(self, method: str, path: str, token: str | None = None, **options: Any) -> Any:
        """The body of a call that must succeed."""
        reply = self.call(method, path, token, **options)
        assert reply.status < 300, (method, path, reply.status, reply.content)
        return reply.json()

    def problem(self, method: str, path: str, token: str | None = None, **options: Any) -> dict[str, Any]:
        """The problem of a call that must be refused."""
        reply = self.call(method, path, token, **options)
        assert reply.status >= 400, (method, path, reply.status, reply.content)
        assert reply.headers["content-type"] == "application/problem+json"
        body: dict[str, Any] = reply.json()
        return body

    def token_of(self, kind: str, roles: list[str] | None = None) -> tuple[str, str]:
        """(USCC, token) of a key of a new organisation."""
        uscc = make_uscc("370303", next(SERIALS))
        body = {"uscc": uscc, "name": f"示例 {uscc[-4:]}", "kind": kind, "region": "370303"}
        self.identity("POST", "/v1/organisations", self.operator, json=body)
        made = self.identity("POST", "/v1/keys", self.operator, json={"org": uscc, "name": "t", "roles": roles})
        return uscc, self.token_of_key(made["key"])

    def token_of_key(self, key: str) -> str:
        """The token that a key gives."""
        service = self.platform.service_token()
        answer = self.identity("POST", "/internal/credentials/verify", service, json={"api_key": key})
        return str(answer["token"])

    def submit(self, *command: str, token: str | None = None, **spec: Any) -> str:
        """The id of a new job."""
        body = {"name": "t", "command": list(command), "resources": {"cores": 1, "memory_mb": 200}} | spec
        return str(self.json("POST", "/v1/jobs", token, json=body)["id"])

    def job(self, job_id: str, token: str | None = None) -> dict[str, Any]:
        """A job."""
        body: dict[str, Any] = self.json("GET", f"/v1/jobs/{job_id}", token)
        return body

    def ended(self, job_id: str, timeout_s: float = 0) -> dict[str, Any]:
        """A job once it has ended."""
        return self.wait(job_id, lambda job: job["state"] in FINAL, timeout_s)

    def wait(self, job_id: str, fulfils: Callable[[dict[str, Any]], bool], timeout_s: float = 0) -> dict[str, Any]:
        """A job once it is as asked."""
        deadline = time.monotonic() + (timeout_s or self.patience_s)
        while True:
            job = self.job(job_id)
            if fulfils(job):
                return job
            assert time.monotonic() < deadline, job
            time.sleep(0.03)

    def log(self, job_id: str) -> str:
        """A job's log."""
        return self.call("GET", f"/v1/jobs/{job_id}/logs").content.decode()
