"""One life of the platform: submits jobs, works, and kills itself at a named point.

    python -m tests.compute_scheduler.crashing HOME PROOF POINT TIMES

POINT `-`: no kill; works until every job has ended, prints them as JSON and leaves.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import identity.main
from brain_kit.service import Platform
from brain_kit.settings import PlatformSettings
from compute_scheduler import steps
from industry_brain.wiring import build_service, start_workers

FINAL = ("succeeded", "failed", "cancelled")
LIFE_S = 60.0
JOBS = 3


def main(home: Path, proof: Path, point: str, times: int) -> None:
    """Lives."""
    os.environ["BRAIN_COMPUTE_SCHEDULER_JOB_WRITABLE"] = json.dumps([str(proof)])
    platform = Platform(PlatformSettings(home=home, log_level="ERROR"))
    runtimes = [build_service(platform, name) for name in ("identity", "compute-scheduler")]
    identity.main.bootstrap(platform)
    organisations = platform.client("identity").request("GET", "/v1/organisations", params={"kind": "operator"})
    acting = {"X-Acting-Org": organisations.json()["items"][0]["uscc"]}
    client = platform.client("compute-scheduler")
    if point != "-":
        for number in range(JOBS):
            script = f"echo $BRAIN_JOB >> {proof}/ran; sleep 0.{number}"
            body = {"name": point, "command": ["sh", "-c", script], "resources": {"cores": 0.5, "memory_mb": 50}}
            client.request("POST", "/v1/jobs", json=body, headers=acting)
        _arm(point, times)
    start_workers(runtimes, ("relay", "scheduler", "agent"))
    deadline = time.monotonic() + LIFE_S
    while time.monotonic() < deadline:
        items = client.request("GET", "/v1/jobs", params={"limit": 1000}, headers=acting).json()["items"]
        if point == "-" and all(item["state"] in FINAL for item in items):
            sys.stdout.write(json.dumps(items) + "\n")
            sys.stdout.flush()
            os._exit(0)
        time.sleep(0.1)
    os._exit(3)


def _arm(point: str, times: int) -> None:
    left = times

    def reached(name: str) -> None:
        nonlocal left
        if name == point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    steps.on_reach(reached)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
