"""Lives of the platform: each submits jobs, works, and kills itself at a named point; the last brings all to an end.

    python -m tests.compute_scheduler.crashing PLAN

PLAN: JSON with `home`, `proof` (a folder), `points` ([name, how often it is reached before the kill]), `jobs` (a life),
and `engine` (options of a cluster's agent, None for the local engine). Every life is a process of its own, forked from
this one, which has imported everything and does nothing else. Prints JSON: how each life ended, and the jobs.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import identity.main
from brain_kit.auth import Principal
from brain_kit.client import ServiceClient
from brain_kit.service import Platform
from brain_kit.settings import PlatformSettings
from compute_scheduler import steps
from compute_scheduler.agent.agent import Agent
from compute_scheduler.agent.engines import EngineOptions, engine_of
from compute_scheduler.agent.link import Link
from compute_scheduler.service import centres
from compute_scheduler.settings import Settings
from industry_brain.wiring import build_service, start_workers

FINAL = ("succeeded", "failed", "cancelled")
LIFE_S = 200.0
CENTRE = "cluster"
PATHS = ("token_file", "shared", "ca_file")
QUICK = {"JOB_BEAT_S": 0.3, "ENGINE_LOOK_S": 0.3, "ENGINE_LOST_S": 6.0, "ENGINE_PATIENCE_S": 300.0}


def main(plan: dict[str, Any]) -> None:
    """Lives one life after the other."""
    for name, value in QUICK.items():
        os.environ[f"BRAIN_COMPUTE_SCHEDULER_{name}"] = str(value)
    os.environ["BRAIN_COMPUTE_SCHEDULER_JOB_WRITABLE"] = json.dumps([plan["proof"]])
    told = Path(plan["proof"]) / "told"
    died = []
    for point, times in [*plan["points"], ["", 0]]:
        pid = os.fork()
        if not pid:
            try:
                live(plan, point, times, told)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(4)
        status = os.waitpid(pid, 0)[1]
        died.append([point, -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)])
    jobs = json.loads(told.read_text()) if told.exists() else []
    sys.stdout.write(json.dumps({"died": died, "jobs": jobs}) + "\n")


def live(plan: dict[str, Any], point: str, times: int, told: Path) -> None:
    """One life; without a point it lasts until every job has ended, and tells of them."""
    platform = Platform(PlatformSettings(home=Path(plan["home"]), log_level="ERROR"))
    runtimes = [build_service(platform, name) for name in ("identity", "compute-scheduler")]
    identity.main.bootstrap(platform)
    organisations = platform.client("identity").request("GET", "/v1/organisations", params={"kind": "operator"})
    org = organisations.json()["items"][0]["uscc"]
    acting = {"X-Acting-Org": org}
    client = platform.client("compute-scheduler")
    engine = plan["engine"]
    if engine is not None and not (Path(plan["home"]) / CENTRE).exists():
        operator = Principal("usr_1", "user", org, "operator", roles=frozenset({"operator"}))
        centres.make_centre(platform.database("compute-scheduler"), operator, centre=CENTRE, title=CENTRE, kind="edge")
    for number in range(plan["jobs"] if point else 0):
        script = f"echo $BRAIN_JOB >> {plan['proof']}/ran; sleep 0.{number}"
        body = {"name": point, "command": ["sh", "-c", script], "resources": {"cores": 0.5, "memory_mb": 50}}
        body |= {"centre": CENTRE} if engine is not None else {}
        client.request("POST", "/v1/jobs", json=body, headers=acting)
    _arm(point, times)
    start_workers(runtimes, ("relay", "scheduler") if engine is not None else ("relay", "scheduler", "agent"))
    if engine is not None:
        _start_agent(Path(plan["home"]) / CENTRE, engine, client)
    deadline = time.monotonic() + LIFE_S
    while time.monotonic() < deadline:
        items = client.request("GET", "/v1/jobs", params={"limit": 1000}, headers=acting).json()["items"]
        if not point and all(item["state"] in FINAL for item in items):
            told.write_text(json.dumps(items))
            os._exit(0)
        time.sleep(0.05)
    os._exit(3)


def _start_agent(root: Path, options: dict[str, Any], client: ServiceClient) -> None:
    """The agent of a cluster, in this process as the local one is."""
    root.mkdir(exist_ok=True)
    known = {name: Path(value) if name in PATHS else value for name, value in options.items()}
    engine = engine_of(root, Settings(), EngineOptions(**known))
    agent = Agent(Link(client, CENTRE), root, engine)
    threading.Thread(target=agent.run, args=(threading.Event(),), daemon=True).start()


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
    main(json.loads(sys.argv[1]))
