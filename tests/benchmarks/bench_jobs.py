"""Jobs of `true` through API, scheduler, agent and local engine, against a plain pool of subprocesses.

Both run WIDTH commands at a time, at the same priority, on the same machine, one after the other in the same run.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from brain_testing.process import PlatformProcess
from industry_brain.apiclient import ApiClient

# A thousand are done in a second and a half, of which a quarter is the way of the first ones.
JOBS, BATCH, WIDTH = 4000, 500, 16
BASE = "/api/compute-scheduler/v1"
WAIT_S = 300.0


def run() -> dict[str, Any]:
    """The figures."""
    env = {
        "BRAIN_COMPUTE_SCHEDULER_LOCAL_CORES": str(WIDTH),
        "BRAIN_COMPUTE_SCHEDULER_LOCAL_MEMORY_MB": "100000",
        "BRAIN_COMPUTE_SCHEDULER_JOB_NICE": "0",
        # Work handed out ahead counts in the quota; this measures the platform, not a tenant's limit.
        "BRAIN_COMPUTE_SCHEDULER_DEFAULT_CORES": "1000",
        "BRAIN_COMPUTE_SCHEDULER_QUEUE_PER_TENANT": "200",
    }
    pool = _pool_rate()
    with tempfile.TemporaryDirectory() as folder, PlatformProcess(Path(folder), env=env) as platform:
        key = json.loads((Path(folder) / "first-credentials.json").read_text())["operator"]["api_key"]
        with ApiClient(platform.url, key) as api:
            _through(api, 50)  # the supervisor starts at the first job
            jobs, lost = _through(api, JOBS)
    pool = (pool + _pool_rate()) / 2
    return {
        "jobs of true, submitted to finished": {"value": jobs, "unit": "jobs/s"},
        "the same by a pool of subprocesses": {"value": pool, "unit": "jobs/s", "note": f"{WIDTH} at a time"},
        "ratio": {"value": jobs / pool, "bound": 0.3, "better": "more"},
        "lost": {"value": lost, "bound": 0, "better": "less"},
    }


def _through(api: ApiClient, count: int) -> tuple[float, int]:
    """(jobs a second, jobs that did not succeed) of `count` jobs."""
    name = f"bench-{time.time_ns()}"
    job = {"name": name, "command": ["true"], "resources": {"cores": 1, "memory_mb": 100}, "time_limit_s": 60}
    began = time.perf_counter()
    for first in range(0, count, BATCH):
        api.post(f"{BASE}/job-batches", {"jobs": [job] * min(BATCH, count - first)})
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        live = api.get(f"{BASE}/jobs", name=name, state="queued,starting,running", limit=1)["items"]
        if not live:
            break
        time.sleep(0.1)
    took = time.perf_counter() - began
    done, after = 0, None
    while True:
        page = api.get(f"{BASE}/jobs", name=name, state="succeeded", limit=1000, after=after)
        done += len(page["items"])
        after = page["next"]
        if after is None:
            return done / took, count - done


def _pool_rate() -> float:
    with ThreadPoolExecutor(WIDTH) as pool:
        began = time.perf_counter()
        list(pool.map(lambda _: subprocess.run(["true"], check=True), range(JOBS)))
        return JOBS / (time.perf_counter() - began)
