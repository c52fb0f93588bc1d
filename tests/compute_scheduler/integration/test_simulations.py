"""Simulations through the API: a log and the platform's own jobs, replayed beside the service; refusals, cancelling."""

from __future__ import annotations

import csv
import io
import time
from typing import Any

import pytest
from compute_scheduler.domain.simulation.easy import easy
from compute_scheduler.domain.simulation.jobs import metrics
from compute_scheduler.domain.simulation.swf import read_swf

from tests.compute_scheduler.yard import Yard

# Two processors; job 1 holds both until 100 s, job 2 needs both, job 3 is short and narrow and came last.
LOG = """; MaxProcs: 2
1 0 -1 100 1 -1 -1 1 100 -1 1 7 1 1 1 -1 -1 -1
2 10 -1 50 2 -1 -1 2 50 -1 1 8 1 1 1 -1 -1 -1
3 20 -1 30 1 -1 -1 1 30 -1 1 9 1 1 1 -1 -1 -1
"""
NODES = "sn,cpu_milli,memory_mib,gpu,model\nn,8000,1000,1,T4\n"
PODS = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\np,1000,10,1,500,T4\nq,1000,10,1,500,T4\n"
FIELDS = {"format": "swf", "policy": "easy"}


def upload(yard: Yard, content: str | bytes) -> str:
    """The digest of a file put beforehand."""
    data = content.encode() if isinstance(content, str) else content
    return str(yard.json("PUT", "/v1/files", content=data)["sha256"])


def ended(yard: Yard, simulation: str, timeout_s: float = 90) -> dict[str, Any]:
    """A simulation once it has ended."""
    deadline = time.monotonic() + timeout_s
    while True:
        found: dict[str, Any] = yard.json("GET", f"/v1/simulations/{simulation}")
        if found["state"] in ("succeeded", "failed", "cancelled"):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_an_uploaded_log_is_replayed_and_compared(yard: Yard) -> None:
    """By EASY job 3 passes job 2 on the free processor and ends before 100 s: waits 0, 90, 0 s. It is the reference."""
    body = FIELDS | {"files": {"tiny.swf": upload(yard, LOG)}}
    made = yard.json("POST", "/v1/simulations", json=body)
    assert (made["state"], made["title"]) == ("queued", "tiny.swf")
    found = ended(yard, made["id"])
    assert (found["state"], found["done"], found["total"]) == ("succeeded", 3, 3)
    trace = read_swf("tiny.swf", LOG.splitlines())
    expected = metrics(trace, easy(trace))
    assert found["result"]["reference"] == {"name": "EASY", "metrics": expected}
    assert {name: found["result"]["metrics"][name] for name in expected} == expected
    schedule = yard.json("GET", f"/v1/simulations/{made['id']}/schedule")
    assert [(row["start_at"], row["wait_s"]) for row in schedule["items"]] == [(0, 0), (100, 90), (20, 0)]
    headers = {"accept": "text/csv"}
    text = yard.call("GET", f"/v1/simulations/{made['id']}/schedule", headers=headers).content.decode("utf-8-sig")
    assert [row["wait_s"] for row in csv.DictReader(io.StringIO(text))] == ["0.0", "90.0", "0.0"]
    assert yard.call("DELETE", f"/v1/simulations/{made['id']}").status == 204
    assert yard.problem("GET", f"/v1/simulations/{made['id']}")["code"] == "simulation_unknown"


def test_the_jobs_of_the_platform_are_replayed(yard: Yard) -> None:
    """Those that ran in the time asked for, each once."""
    jobs = [yard.ended(yard.submit("sleep", "0.2")) for _ in range(3)]
    body = {"policy": "short-first", "since": jobs[0]["submitted_at"], "until": "2099-01-01T00:00:00Z"}
    found = ended(yard, yard.json("POST", "/v1/simulations", json=body)["id"])
    assert found["state"] == "succeeded", found
    schedule = yard.json("GET", f"/v1/simulations/{found['id']}/schedule")
    assert [row["job"] for row in schedule["items"]] == [job["id"] for job in jobs]
    assert found["result"]["centres"].keys() == {"local"}
    assert "cost_yuan" not in found["result"]["metrics"]
    yard.json("POST", "/v1/price-lists", json={"core_hour": "3600", "note": "每核秒 1 元"})
    priced = ended(yard, yard.json("POST", "/v1/simulations", json=body)["id"])["result"]
    cost = sum(row["run_s"] * row["processors"] for row in schedule["items"])
    assert priced["metrics"]["cost_yuan"] == priced["reference"]["metrics"]["cost_yuan"] == pytest.approx(cost, 1e-3)
    empty = {"since": "2001-01-01T00:00:00Z", "until": "2001-02-01T00:00:00Z"}
    failed = ended(yard, yard.json("POST", "/v1/simulations", json=empty)["id"])
    assert (failed["state"], failed["reason"]) == ("failed", "日志无法使用：这段时间没有运行过的作业")
    assert yard.problem("GET", f"/v1/simulations/{failed['id']}/schedule")["code"] == "simulation_not_ready"


def test_a_pod_list_is_packed_beside_fgd_on_an_uploaded_node_list(yard: Yard) -> None:
    """One GPU, halves that ask for 130 % of it: two fit, whoever places them; the rows tell which."""
    files = {"pods.csv": upload(yard, PODS)}
    body = {"format": "openb", "files": files, "nodes": {"nodes.csv": upload(yard, NODES)}, "seed": 3}
    found = ended(yard, yard.json("POST", "/v1/simulations", json=body)["id"])
    assert found["state"] == "succeeded", found
    result = found["result"]
    assert (result["nodes"], result["gpus"], result["reference"]["name"]) == (1, 1, "FGD")
    assert result["metrics"]["allocation_pct"] == result["reference"]["metrics"]["allocation_pct"] == 100.0
    assert (result["curve"]["policy"][50], result["curve"]["reference"][100]) == (50.0, 100.0)
    pods = yard.json("GET", f"/v1/simulations/{found['id']}/schedule")["items"]
    assert [pod["placed"] for pod in pods] == [pod["reference_placed"] for pod in pods]
    assert sum(pod["gpu_milli"] for pod in pods if pod["placed"]) == 1000
    assert {pod["models"] for pod in pods} == {"T4"}
    headers = {"accept": "text/csv"}
    text = yard.call("GET", f"/v1/simulations/{found['id']}/schedule", headers=headers).content.decode("utf-8-sig")
    assert [row["placed"] for row in csv.DictReader(io.StringIO(text))] == [str(pod["placed"]) for pod in pods]
    wrong = body | {"nodes": {"nodes.csv": upload(yard, NODES.replace("T4", "H20"))}, "files": files}
    found = ended(yard, yard.json("POST", "/v1/simulations", json=wrong)["id"])
    assert found["state"] == "failed"
    assert "pods.csv, line 2, column gpu_spec: no node of nodes.csv has T4 (it has H20)" in found["reason"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"policy": "best"}, "policy"),
        ({}, "since"),
        ({"since": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "since"),
        ({"format": "swf"}, "files"),
        ({"format": "swf", "files": {"a.swf": "0" * 64}}, "files.a.swf"),
        ({"format": "pbs"}, "format"),
        ({"format": "openb", "files": {"a": "0" * 64, "b": "0" * 64}}, "files files.a files.b nodes"),
        ({"format": "swf", "nodes": {"n": "0" * 64}}, "files nodes nodes.n"),
        ({"limit": 0}, "limit"),
    ],
)
def test_what_cannot_be_simulated_is_refused_by_field(yard: Yard, body: dict[str, Any], field: str) -> None:
    """422 before anything is queued."""
    whole = {"since": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00Z"} if body and "since" not in body else {}
    problem = yard.problem("POST", "/v1/simulations", json=({} if "format" in body else whole) | body)
    assert problem["status"] == 422
    assert {item["field"] for item in problem["errors"]} == set(field.split())


@pytest.mark.parametrize("content", ["1 2 3\n", "\x00\xff", "", "; only a comment\n"])
def test_a_log_that_cannot_be_read_fails_with_a_reason(yard: Yard, content: str) -> None:
    """The line at fault, or that there is no job; the service goes on."""
    body = FIELDS | {"files": {"bad.swf": upload(yard, content + " ")}}
    found = ended(yard, yard.json("POST", "/v1/simulations", json=body)["id"])
    assert found["state"] == "failed"
    assert found["reason"].startswith("日志无法使用：")


def test_a_running_simulation_is_cancelled(yard: Yard) -> None:
    """It ends within seconds and keeps no result; only operators simulate."""
    lines = [f"{n} {n} -1 500 1 -1 -1 {1 + n % 7} 600 -1 1 {n % 40} 1 1 1 -1 -1 -1" for n in range(1, 30_000)]
    body = FIELDS | {"policy": "default", "files": {"long.swf": upload(yard, "\n".join(lines))}, "processors": 8}
    made = yard.json("POST", "/v1/simulations", json=body)
    deadline = time.monotonic() + 60
    while yard.json("GET", f"/v1/simulations/{made['id']}")["state"] == "queued":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yard.json("POST", f"/v1/simulations/{made['id']}/cancel")
    assert ended(yard, made["id"])["state"] == "cancelled"
    assert yard.problem("POST", f"/v1/simulations/{made['id']}/cancel")["code"] == "job_state_conflict"
    _, token = yard.token_of("department", ["analyst"])
    assert yard.problem("GET", f"/v1/simulations/{made['id']}", token)["status"] == 403
