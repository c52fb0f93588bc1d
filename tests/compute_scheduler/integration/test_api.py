"""The public surface: precise refusals, tenants apart, files, quotas, accounts, logs."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from typing import Any
from uuid import uuid4

import pytest

from tests.compute_scheduler.yard import PYTHON, Yard

JOB = {"name": "t", "command": ["true"], "resources": {"cores": 1, "memory_mb": 100}}


def fields(problem: dict[str, Any]) -> set[str]:
    """The fields that a refusal names."""
    return {item["field"] for item in problem["errors"]}


def test_a_job_runs_and_shows_what_the_public_surface_promises(yard: Yard) -> None:
    """state, reason, attempts, queued_at, started_at, ended_at, exit_code, log."""
    job = yard.ended(yard.submit("sh", "-c", "echo 产业; exit 0", labels={"algorithm-dev/run": "r1"}))
    assert (job["state"], job["exit_code"], len(job["attempts"])) == ("succeeded", 0, 1)
    assert job["queued_at"] <= job["started_at"] <= job["ended_at"]
    assert job["reason"]
    assert yard.log(job["id"]) == "产业\n"
    assert yard.call("GET", f"/v1/jobs/{job['id']}/logs?offset=3").content.decode() == "业\n"


def test_the_log_comes_live_and_ends_with_the_state(yard: Yard) -> None:
    """Server-sent events: the states, the text in order, the end. A browser that comes back goes on where it was."""
    job_id = yard.submit("sh", "-c", "echo one; sleep 0.6; echo two")
    client = yard.platform.client("compute-scheduler")
    with client.stream("GET", f"/v1/jobs/{job_id}/logs?follow=true", token=yard.operator) as answer:
        events = b"".join(answer.iter_bytes()).decode().split("\n\n")
    said = [
        dict(line.split(": ", 1) for line in event.splitlines()) for event in events if event.startswith(("id", "ev"))
    ]
    text = "".join(json.loads(event["data"])["text"] for event in said if event["event"] == "log")
    states = [json.loads(event["data"])["state"] for event in said if event["event"] in ("state", "end")]
    assert text == "one\ntwo\n"
    assert states[-2:] == ["succeeded", "succeeded"]
    headers = {"accept": "text/event-stream", "last-event-id": "1:4"}
    again = yard.call("GET", f"/v1/jobs/{job_id}/logs", headers=headers).content.decode()
    assert '"text": "two\\n"' in again


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"resources": {"cores": 5000}}, "resources"),
        ({"resources": {"memory_mb": 90_000_000}}, "resources"),
        ({"resources": {"accelerators": {"A100": 1}}}, "resources.accelerators.A100"),
        ({"centre": "nowhere"}, "centre"),
        ({"deadline": "2020-01-01T00:00:00Z"}, "deadline"),
        ({"inputs": {"a.csv": {"sha256": "0" * 64}}}, "inputs.a.csv.sha256"),
        ({"outputs": ["../../etc/passwd"]}, "outputs.0"),
        ({"inputs": {"../run": {"sha256": "0" * 64}}}, "inputs.../run.[key]"),
        ({"after": ["#0"]}, "after"),
        ({"env": {"A": "x" * 70_000}}, "env"),
    ],
)
def test_what_can_never_run_is_refused_before_it_queues(yard: Yard, changes: dict[str, Any], field: str) -> None:
    """422, the field, what to do; and no job is made."""
    name = uuid4().hex
    problem = yard.problem("POST", "/v1/jobs", json=JOB | {"name": name} | changes)
    assert (problem["status"], fields(problem)) == (422, {field})
    assert all(item["reason"] for item in problem["errors"])
    assert yard.json("GET", f"/v1/jobs?name={name}")["items"] == []


def test_a_quota_that_never_suffices_is_told_at_the_door(yard: Yard) -> None:
    """An organisation without quota may not run at all; with one of half a core its job of one core is refused."""
    uscc, token = yard.token_of("enterprise", ["developer"])
    problem = yard.problem("POST", "/v1/jobs", token, json=JOB)
    assert (problem["status"], problem["code"]) == (403, "no_quota")
    quota = {"quota": {"cores": 0.5, "memory_mb": 1000}}
    yard.json("PUT", f"/v1/tenants/{uscc}/quota", json=quota)
    problem = yard.problem("POST", "/v1/jobs", token, json=JOB)
    assert [item["code"] for item in problem["errors"]] == ["quota_never"]
    assert yard.json("GET", f"/v1/tenants/{uscc}/quota", token)["quota"] == {"cores": 0.5, "memory_mb": 1000}
    assert yard.problem("PUT", f"/v1/tenants/{uscc}/quota", json={"quota": {"cores": -1}})["code"] == "quota_invalid"


@pytest.mark.parametrize(("kind", "roles"), [("enterprise", ["member"]), ("provider", ["provider"])])
def test_who_only_reads_or_pushes_data_runs_no_commands(yard: Yard, kind: str, roles: list[str]) -> None:
    """Commands run as the platform's user: the role must have been given for that."""
    _, token = yard.token_of(kind, roles)
    assert yard.problem("POST", "/v1/jobs", token, json=JOB)["code"] == "running_not_permitted"
    assert yard.problem("PUT", "/v1/files", token, content=b"x")["code"] == "running_not_permitted"


def test_another_tenants_job_and_files_do_not_exist(yard: Yard) -> None:
    """404 for every route with an id; its list and account are empty; the operator sees all."""
    job_id = yard.submit("true")
    made = yard.json("PUT", "/v1/files", content=b"secret")
    _, token = yard.token_of("department", ["analyst"])
    for method, path in (("GET", ""), ("GET", "/logs"), ("POST", "/cancel"), ("POST", "/retry")):
        assert yard.problem(method, f"/v1/jobs/{job_id}{path}", token)["code"] == "job_unknown"
    assert yard.problem("GET", f"/v1/files/{made['sha256']}", token)["code"] == "file_unknown"
    assert yard.problem("GET", f"/v1/tenants/{yard.org}/quota", token)["status"] == 404
    assert yard.json("GET", "/v1/jobs", token)["items"] == []
    yard.ended(job_id)
    assert yard.json("GET", "/v1/accounting", token)["items"] == []
    mine = yard.ended(yard.submit("true", token=token))
    assert mine["id"] in {item["id"] for item in yard.json("GET", "/v1/jobs?limit=1000")["items"]}


def test_a_service_acts_for_an_organisation_and_sees_only_that(yard: Yard) -> None:
    """What it submits belongs to the organisation and is measured by its quota."""
    uscc, token = yard.token_of("enterprise", ["developer"])
    yard.json("PUT", f"/v1/tenants/{uscc}/quota", json={"quota": {"cores": 4, "memory_mb": 4000}})
    service, acting = yard.platform.service_token(), {"X-Acting-Org": uscc}
    job_id = yard.json("POST", "/v1/jobs", service, json=JOB, headers=acting)["id"]
    assert yard.job(job_id, token)["org"] == uscc
    assert [item["id"] for item in yard.json("GET", "/v1/jobs", service, headers=acting)["items"]] == [job_id]
    assert yard.problem("POST", "/v1/jobs", token, json=JOB, headers=acting)["status"] == 403


def test_a_repeat_with_the_same_key_makes_no_second_job(yard: Yard) -> None:
    """Also a batch; another body under the same key is a mistake."""
    headers = {"Idempotency-Key": uuid4().hex}
    first = yard.call("POST", "/v1/jobs", json=JOB, headers=headers)
    again = yard.call("POST", "/v1/jobs", json=JOB, headers=headers)
    assert (first.status, again.status) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    other = yard.problem("POST", "/v1/jobs", json=JOB | {"name": "other"}, headers=headers)
    assert other["code"] == "idempotency_key_reused"
    headers = {"Idempotency-Key": uuid4().hex}
    batches = [yard.json("POST", "/v1/job-batches", json={"jobs": [JOB, JOB]}, headers=headers) for _ in range(2)]
    assert batches[0] == batches[1]


def test_a_batch_is_taken_whole_or_not_at_all(yard: Yard) -> None:
    """The refusal names the number of the job."""
    name = uuid4().hex
    bad = JOB | {"name": name, "resources": {"cores": 5000}}
    problem = yard.problem("POST", "/v1/job-batches", json={"jobs": [JOB | {"name": name}, bad]})
    assert {item["job"] for item in problem["errors"]} == {1}
    assert yard.json("GET", f"/v1/jobs?name={name}")["items"] == []


def test_files_go_into_a_job_and_come_out_of_it(yard: Yard) -> None:
    """Addressed by their content; a declared output that is missing fails the job, a link out of the folder is none."""
    made = yard.json("PUT", "/v1/files", content="一,二\n".encode())
    assert made == {"sha256": hashlib.sha256("一,二\n".encode()).hexdigest(), "size": 8}
    inputs = {"in/a.csv": {"sha256": made["sha256"]}}
    job = yard.ended(yard.submit("sh", "-c", "cat in/a.csv in/a.csv > b.csv", inputs=inputs, outputs=["b.csv"]))
    assert job["outputs"]["b.csv"]["size"] == 16
    content = yard.call("GET", f"/v1/files/{job['outputs']['b.csv']['sha256']}").content
    assert content == "一,二\n一,二\n".encode()
    stolen = yard.ended(yard.submit("ln", "-s", "/etc/passwd", "b.csv", outputs=["b.csv"]))
    assert stolen["state"] == "failed"
    assert "b.csv" in stolen["reason"]


def test_a_failed_job_is_retried_as_often_as_asked_and_again_by_hand(yard: Yard) -> None:
    """Attempts keep their own outcomes; a job that succeeded cannot be retried."""
    job = yard.ended(yard.submit("sh", "-c", "exit 4", retries=1))
    assert [row["exit_code"] for row in job["attempts"]] == [4, 4]
    assert yard.json("POST", f"/v1/jobs/{job['id']}/retry")["state"] == "queued"
    assert (
        len(yard.wait(job["id"], lambda row: len(row["attempts"]) == 4 and row["state"] == "failed")["attempts"]) == 4
    )
    good = yard.ended(yard.submit("true"))
    problem = yard.problem("POST", f"/v1/jobs/{good['id']}/retry")
    assert (problem["code"], problem["state"]) == ("job_state_conflict", "succeeded")
    assert yard.problem("POST", f"/v1/jobs/{good['id']}/cancel")["code"] == "job_state_conflict"


def test_a_running_job_is_cancelled_with_its_children(yard: Yard) -> None:
    """SIGTERM to the group; the reason says who wanted it."""
    job_id = yard.submit("sh", "-c", "sleep 60 & sleep 60")
    yard.wait(job_id, lambda job: job["state"] == "running")
    assert yard.json("POST", f"/v1/jobs/{job_id}/cancel")["cancel_requested"]
    job = yard.ended(job_id)
    assert (job["state"], job["reason"]) == ("cancelled", "已按要求取消")


def test_the_account_adds_up_and_comes_as_csv(yard: Yard) -> None:
    """A job of two cores that sleeps half a second: one core second, more by what the machine was slow."""
    job_id = yard.ended(yard.submit("sleep", "0.5", resources={"cores": 2, "memory_mb": 100}), timeout_s=240)["id"]
    items = yard.json("GET", "/v1/accounting?limit=1000")["items"]
    (row,) = [item for item in items if item["job"] == job_id]
    assert row["core_s"] >= 1.0
    assert row["core_s"] == pytest.approx(row["wall_s"] * 2, rel=0.01)
    assert row["memory_mb_s"] == pytest.approx(row["wall_s"] * 100, rel=0.01)
    text = yard.call("GET", "/v1/accounting", headers={"accept": "text/csv"}).content.decode("utf-8-sig")
    table = {line["job"]: line for line in csv.DictReader(io.StringIO(text))}
    assert float(table[job_id]["core_s"]) == row["core_s"]


def test_an_agents_key_works_for_its_centre_and_for_nothing_else(yard: Yard) -> None:
    """Least privilege: it reads no jobs of others' centres, submits nothing, and sees no rows of data."""
    name = f"c{uuid4().hex[:8]}"
    yard.json("POST", "/v1/centres", json={"id": name, "title": "测试中心", "kind": "industry"})
    token = yard.token_of_key(yard.json("POST", f"/v1/centres/{name}/keys")["key"])
    body = {"instance": "a" * 32, "nodes": [], "held": []}
    assert yard.json("POST", f"/v1/agents/{name}/sessions", token, json=body)["session"] == 1
    assert yard.problem("POST", "/v1/agents/local/sessions", token, json=body)["code"] == "not_your_centre"
    assert yard.problem("POST", "/v1/jobs", token, json=JOB)["code"] == "running_not_permitted"
    assert yard.problem("POST", "/v1/centres", token, json={"id": "x", "title": "x"})["status"] == 403
    assert yard.problem("POST", "/v1/centres", json={"id": name, "title": "x"})["code"] == "centre_exists"
    _, stranger = yard.token_of("department", ["analyst"])
    assert yard.problem("POST", f"/v1/agents/{name}/sessions", stranger, json=body)["status"] == 403


def test_a_drained_centre_lets_jobs_wait_and_says_so(yard: Yard) -> None:
    """The job starts as soon as the centre is open again."""
    yard.json("PATCH", "/v1/centres/local", json={"state": "drained"})
    try:
        job_id = yard.submit("true", centre="local")
        job = yard.wait(job_id, lambda row: row["reason_code"] == "centre_closed")
        assert job["state"] == "queued"
    finally:
        yard.json("PATCH", "/v1/centres/local", json={"state": "open"})
    assert yard.ended(job_id)["state"] == "succeeded"


def test_lists_are_filtered_and_paged(yard: Yard) -> None:
    """By state, name and label; `next` leads through all of them, newest first."""
    name = uuid4().hex
    ids = [yard.submit("true", name=name, labels={"n": str(number % 2)}) for number in range(5)]
    for job_id in ids:
        yard.ended(job_id)
    seen, after = [], ""
    while True:
        page = yard.json("GET", f"/v1/jobs?name={name}&state=succeeded&limit=2&after={after}")
        seen += [item["id"] for item in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert seen == sorted(ids, reverse=True)
    assert len(yard.json("GET", f"/v1/jobs?name={name}&label=n=1")["items"]) == 2
    assert yard.problem("GET", "/v1/jobs?state=flying")["status"] == 422


def test_every_write_is_audited(yard: Yard) -> None:
    """Who submitted, cancelled, drained: in the hash chain of identity."""
    job_id = yard.submit("sleep", "30")
    yard.json("POST", f"/v1/jobs/{job_id}/cancel")
    with yard.database.reading() as session:
        from sqlalchemy import text

        rows = session.execute(text("SELECT data FROM outbox WHERE topic = 'brain.platform.audit.v1'")).scalars()
        actions = {(item["action"], item["object"]) for item in map(json.loads, rows)}
    assert {("job.submit", job_id), ("job.cancel", job_id)} <= actions


def test_python_jobs_find_the_platforms_own_packages(yard: Yard) -> None:
    """Jobs of other services run modules of this environment, behind the walls."""
    job = yard.ended(yard.submit(PYTHON, "-c", "import brain_contracts, numpy; print('ok')"))
    assert yard.log(job["id"]) == "ok\n", job
