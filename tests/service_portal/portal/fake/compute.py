"""The fake compute scheduler: three jobs, the second a gang, and a centre."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from brain_kit.application import add_problem_handlers
from brain_kit.problems import InvalidInput, NotFound
from fastapi import Body, FastAPI, Response

from tests.service_portal.portal.fake.centres import add_centres, add_prices
from tests.service_portal.portal.fake.data import OPERATOR_ORG, FakeBrain
from tests.service_portal.portal.fake.lending import add_lending
from tests.service_portal.portal.fake.network import add_network, add_policy, add_settlement, add_simulations
from tests.service_portal.portal.fake.reservations import MAINTAINED, add_reservations

STATES = ("queued", "starting", "running", "succeeded", "failed", "cancelled")
REASONS = {
    "queued": "核数不足：空闲 1 核，本作业要 4 核",
    "failed": "内存超过 512 MB，已停止",
    "succeeded": "命令以退出码 0 结束",
}


SITE = {
    "staging_s": 0.0, "money_yuan": 1.25, "energy_kwh": 0.3, "energy_yuan": 0.18, "co2_kg": 0.015, "score_s": 15.0,
    "others": [
        {"centre": "zibo-edge-1", "staging_s": 0.0, "money_yuan": None, "energy_kwh": 0.3, "co2_kg": 0.18,
         "score_s": 180.0},
    ],
}  # fmt: skip


def _job(state: str) -> dict[str, Any]:
    began = None if state == "queued" else "2026-11-21T06:00:05Z"
    ended = None if state == "queued" else "2026-11-21T06:01:07Z"
    attempt = {
        "id": f"job_{state}.1", "epoch": 1, "rank": 0, "centre": "local", "node": "local/n1", "state": "ended",
        "outcome": state,
        "reason": REASONS[state], "exit_code": 0, "log_bytes": 12, "prepared_at": began, "submitting_at": began,
        "submitted_at": began, "running_at": began, "ended_at": ended,
        "usage": {"run_s": 62.0, "cpu_s": 1.25, "peak_memory_mb": 80.5},
        "site": SITE if state == "succeeded" else None,
        "accelerators": {"A100": {"amount": 0.25, "devices": [1]}},
    }  # fmt: skip
    gang = 2 if state == "failed" else 1
    spec = {
        "name": f"oee-{state}", "command": ["python3", "run.py"], "env": {}, "priority": "normal", "deadline": None,
        "resources": {"cores": 4.0, "memory_mb": 512, "accelerators": {"A100|V100": 0.25}},
        "retries": 1, "time_limit_s": 600,
        "datasets": [{"dataset": "enterprise.meter_15min", "version": "123"}], "inputs": {}, "outputs": ["r.csv"],
        "labels": {"algorithm-dev/run": "run_1"}, "centre": None, "gang": gang,
        "extra": "kept",
    }  # fmt: skip
    expected = (
        None if state == "failed" else {"centre": "local"} | {name: SITE[name] for name in SITE if name != "others"}
    )
    charged = {"amount": "0.870000", "currency": "CNY", "entries": 1, "energy_kwh": 0.2, "co2_kg": None}
    return {
        "expected": expected, "charged": charged if state == "succeeded" else None,
        "id": f"job_{state}", "org": "91370300MA3C00001U", "name": spec["name"], "state": state,
        "reason": REASONS[state], "reason_code": "", "attempt": int(state != "queued"), "gang": gang,
        "after": ["job_succeeded"] if state == "queued" else [],
        "exit_code": 0 if state == "succeeded" else None, "priority": "normal", "resources": spec["resources"],
        "command": spec["command"], "labels": spec["labels"], "deadline": None, "submitted_by": "usr_1",
        "outputs": {"r.csv": {"sha256": "a" * 64, "size": 2048}} if state == "succeeded" else {},
        "cancel_requested": False, "submitted_at": "2026-11-21T06:00:00Z", "queued_at": "2026-11-21T06:00:00Z",
        "started_at": began, "ended_at": ended, "not_before_at": None,
        "predicted_start_at": "2026-11-21T07:00:00Z" if state == "queued" else None,
        "attempts": [] if state == "queued" else [attempt | {"rank": n} for n in range(gang)], "spec": spec,
    }  # fmt: skip


def compute_app(brain: FakeBrain) -> FastAPI:
    """Jobs and centres."""
    app = FastAPI()
    add_problem_handlers(app)
    known = {f"job_{state}": _job(state) for state in REASONS}

    def find(job_id: str) -> dict[str, Any]:
        if job_id not in known:
            raise NotFound(f"没有作业 {job_id}")
        return known[job_id]

    @app.get("/v1/jobs")
    def jobs(state: str = "", name: str = "") -> dict[str, Any]:
        found = [
            job for job in known.values() if (not state or job["state"] in state.split(",")) and name in job["name"]
        ]
        return {"items": found, "next": None, "counts": {s: int(s in REASONS) for s in STATES}}

    @app.get("/v1/jobs/{job_id}")
    def job(job_id: str) -> dict[str, Any]:
        return find(job_id)

    @app.get("/v1/jobs/{job_id}/logs")
    def logs(job_id: str, offset: int = 0, rank: int = 0) -> Response:
        text = f"成员 {rank} 完成\n" if rank else "开始\n完成\n"
        data = b"" if job_id == "job_queued" else text.encode()[offset:]
        headers = {"x-log-next": str(offset + len(data)), "x-log-ended": "true"}
        return Response(data, media_type="text/plain", headers=headers)

    @app.post("/v1/jobs/{job_id}/{action}", status_code=202)
    def change(job_id: str, action: str) -> dict[str, Any]:
        brain.calls.append((action, job_id))
        return find(job_id)

    @app.post("/v1/jobs", status_code=201)
    def submit(spec: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        if spec["resources"]["cores"] == 400:
            raise InvalidInput("作业不能提交", errors=[{"field": "resources", "reason": "没有一个节点有 400 核"}])
        brain.calls.append(("submit", spec))
        return known["job_queued"]

    _costs(app, brain, find)
    _centres(app, brain)
    add_network(app, brain)
    add_lending(app, brain)
    add_settlement(app, brain)
    add_simulations(app, brain)
    add_policy(app, brain)
    add_reservations(app, brain)
    return app


def _costs(app: FastAPI, brain: FakeBrain, find: Callable[[str], dict[str, Any]]) -> None:
    @app.get("/v1/jobs/{job_id}/costs")
    def costs(job_id: str) -> dict[str, Any]:
        job, queued = find(job_id), job_id == "job_queued"
        sites = [{"centre": "local"} | {name: SITE[name] for name in SITE if name != "others"}, *SITE["others"]]
        return {
            "predicted_start_at": job["predicted_start_at"], "expected": job["expected"], "charged": job["charged"],
            "earliest_start_at": "2026-11-21T06:30:00Z" if queued else None, "sites": sites if queued else [],
            "as_of": "2026-11-21T06:10:00Z",
        }  # fmt: skip

    @app.put("/v1/jobs/{job_id}/priority")
    def set_priority(job_id: str, body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        brain.calls.append(("priority", (job_id, body["priority"])))
        return find(job_id)

    @app.post("/v1/job-estimates")
    def estimate(spec: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        if spec["resources"]["cores"] == 400:
            errors = [{"field": "resources", "reason": "没有一个节点有 400 核"}]
            raise InvalidInput("作业不能提交", errors=errors)
        site = {"centre": "local"} | {name: SITE[name] for name in SITE if name != "others"}
        return {"earliest_start_at": "2026-11-21T06:30:00Z", "sites": [site], "as_of": "2026-11-21T06:10:00Z"}


def _centres(app: FastAPI, brain: FakeBrain) -> None:
    node = {
        "name": "n1", "state": "up", "cores": 8.0, "memory_mb": 16000, "accelerators": {"A100": 2},
        "used": {"cores": 4.0, "memory_mb": 512, "accelerators": {"A100": 1}, "jobs": 1},
        "load": {"load_1m": 0.4, "memory_free_mb": 9000.0}, "seen_at": "2026-11-21T06:00:00Z",
    }  # fmt: skip
    limits = {"writes_confined": True, "disk_mb": 10000, "log_bytes": 8000000, "processes": 256}
    base = {"kind": "edge", "owner": OPERATOR_ORG, "capabilities": limits,
            "created_at": "2026-11-01T00:00:00Z", "seen_at": node["seen_at"]}  # fmt: skip
    health = {"state": "up", "detail": "", "foreign_jobs": 7, "orphans": ["slurm 41"], "shares": True}
    told = {"health": health, "clock_ahead_s": 12.5}
    window = {"id": MAINTAINED, "title": "更换电源", "state": "open", "start_at": "2026-11-21T05:00:00Z",
              "end_at": "2026-11-21T11:00:00Z", "nodes": None}  # fmt: skip
    local = base | {"capabilities": limits | told, "maintenance": [window]}
    centres = [
        {"id": "local", "title": "本机", "state": "open", "nodes": [node], **local},
        {"id": "zibo", "title": "淄博边缘中心", "state": "lost", "nodes": [], **base},
    ]

    @app.get("/v1/centres")
    def listed() -> dict[str, Any]:
        return {"items": centres, "next": None}

    @app.patch("/v1/centres/{centre}")
    def change_centre(centre: str, body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        brain.calls.append(("centre", (centre, "", body["state"])))
        return centres[0]

    @app.patch("/v1/centres/{centre}/nodes/{node_name}")
    def change_node(centre: str, node_name: str, body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        brain.calls.append(("centre", (centre, node_name, body["state"])))
        return centres[0]

    add_centres(app, brain, centres)
    add_prices(app, brain)
