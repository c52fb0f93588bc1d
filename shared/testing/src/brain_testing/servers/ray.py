"""Ray: a head node with its dashboard and jobs, in an environment of its own that the platform never imports."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import urllib3

from brain_testing.servers.packages import ensure_ray
from brain_testing.servers.server import Server

# Workers take ports in order from a range of their own; two test processes seldom have the same.
_WORKERS = 400
_FIRST_PORT = 20_000 + os.getpid() % 25 * _WORKERS


class Ray(Server):
    """A Ray cluster of one node that offers `cpus` cores and `gpus` cards that nobody has.

    Its processes carry the folder in their command lines and are ended by their ids, never by `ray stop`.
    """

    name: ClassVar[str] = "ray"
    port_count: ClassVar[int] = 6
    ready_timeout_s: ClassVar[float] = 120
    # Ray gives itself half a minute, which a machine under load may need longer than.
    passing: ClassVar[tuple[str, ...]] = (*Server.passing, "timed out during startup")

    def __init__(self, *, cpus: int = 4, gpus: int = 2) -> None:
        # A socket's path is short: Ray puts long names below its folder.
        super().__init__(Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp")))
        self._cpus, self._gpus = cpus, gpus

    @property
    def url(self) -> str:
        """The address of the dashboard and the jobs."""
        return f"http://127.0.0.1:{self.port}"

    def prepare(self) -> None:
        """See Server."""
        ensure_ray()

    def command(self) -> list[str]:
        """See Server."""
        dashboard, head, client, agent, export, runtime = self.ports
        return [
            str(ensure_ray()),
            "-m",
            "ray.scripts.scripts",
            "start",
            "--head",
            "--block",
            "--node-ip-address=127.0.0.1",
            f"--port={head}",
            f"--ray-client-server-port={client}",
            "--dashboard-host=127.0.0.1",
            f"--dashboard-port={dashboard}",
            f"--dashboard-agent-listen-port={agent}",
            f"--metrics-export-port={export}",
            f"--runtime-env-agent-port={runtime}",
            f"--min-worker-port={_FIRST_PORT}",
            f"--max-worker-port={_FIRST_PORT + _WORKERS - 1}",
            f"--num-cpus={self._cpus}",
            f"--num-gpus={self._gpus}",
            "--memory=2000000000",
            "--object-store-memory=80000000",
            "--disable-usage-stats",
            f"--temp-dir={self.folder}",
        ]

    def environment(self) -> dict[str, str]:
        """Without telemetry, and without the proxies of this machine."""
        quiet = {"RAY_USAGE_STATS_ENABLED": "0", "DO_NOT_TRACK": "true", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
        return {**os.environ, **quiet, "RAY_PROMETHEUS_HOST": "http://127.0.0.1:9"}

    def probe(self) -> None:
        """Ready when the node is there and its agent has taken a job."""
        with urllib3.PoolManager(timeout=15.0, retries=False) as pool:
            told = pool.request("GET", f"{self.url}/api/v0/nodes?detail=true").json()
            if not told["data"]["result"]["result"]:
                raise RuntimeError("no node yet")
            body = {"entrypoint": "true", "submission_id": "ready"}
            answer = pool.request("POST", f"{self.url}/api/jobs/", json=body)
            if answer.status != 200 and b"already exists" not in answer.data:
                raise RuntimeError(f"no job yet: {answer.data[:200]!r}")

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs that Ray knows."""
        with urllib3.PoolManager(timeout=15.0, retries=False) as pool:
            found: list[dict[str, Any]] = pool.request("GET", f"{self.url}/api/jobs/").json()
        return found

    def request(self, method: str, path: str, body: Any = None) -> int:
        """The status of a call from outside the code under test."""
        with urllib3.PoolManager(timeout=15.0, retries=False) as pool:
            return int(pool.request(method, f"{self.url}{path}", json=body).status)

    def stop(self) -> None:
        """Ends it with everything that it started, and removes the folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
