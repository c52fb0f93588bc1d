"""Jobs that read data sets of a real data hub."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.compute_scheduler.yard import ROLES, Yard
from tests.data_hub.hub import contract

COLUMNS = {"id": "string", "v": "integer"}
ROWS = [{"id": "a", "v": 1}, {"id": "b", "v": 2}]


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """With a data hub that holds an ordinary and an important data set of two rows each."""
    made = Yard(tmp_path_factory.mktemp("hub"), beside=("data-hub",), roles=(*ROLES, "committer"), log_level="ERROR")
    hub = made.platform.client("data-hub")
    for name, level in (("industry.plain", "一般-1"), ("industry.important", "重要")):
        document = contract(name, COLUMNS, ["id"], access="open", example=ROWS[0])
        document = document.replace("一般-1", level)
        headers = {"content-type": "application/yaml"}
        hub.request("PUT", f"/v1/contracts/{name}", content=document.encode(), headers=headers, token=made.operator)
        rows = json.dumps(ROWS).encode()
        headers = {"content-type": "application/json"}
        path = f"/v1/datasets/{name}/pushes"
        hub.request("POST", path, content=rows, headers=headers, params={"wait": 30}, token=made.operator)
    yield made
    made.close()


def test_the_version_and_its_size_are_fixed_at_submission(yard: Yard) -> None:
    """As the hub tells them; the job runs where the warehouse is, and nothing moves."""
    known = yard.platform.client("data-hub").request("GET", "/v1/datasets/industry.plain", token=yard.operator).json()
    assert known["bytes"] > 0
    job = yard.ended(yard.submit("true", datasets=[{"dataset": "industry.plain"}]))
    assert job["data"] == [
        {
            "dataset": "industry.plain",
            "version": str(known["snapshot"]),
            "bytes": known["bytes"],
            "class": "一般-1",
            "view": "whole",
        }
    ]
    assert (job["attempts"][0]["centre"], job["attempts"][0]["stage"]["bytes"]) == ("local", 0)


def test_an_important_data_set_does_not_leave(yard: Yard) -> None:
    """A job for another centre is refused; the quote says that it may not go there, and for the plain one how long."""
    yard.json("POST", "/v1/centres", json={"id": "away", "title": "外地", "kind": "region"})
    body = {"name": "t", "command": ["true"], "centre": "away", "datasets": [{"dataset": "industry.important"}]}
    problem = yard.problem("POST", "/v1/jobs", json=body)
    assert [(item["field"], item["code"]) for item in problem["errors"]] == [("datasets", "data_stays")]
    away = {item["centre"]: item for item in yard.json("GET", "/v1/data-quotes/industry.important")["items"]}["away"]
    assert (away["allowed"], away["holds"]) == (False, False)
    plain = {item["centre"]: item for item in yard.json("GET", "/v1/data-quotes/industry.plain")["items"]}["away"]
    assert plain["allowed"]
    assert plain["seconds"] == 0.001  # a few hundred bytes at the assumed 1 Gbit/s, in whole milliseconds
    assert yard.problem("GET", "/v1/data-quotes/industry.nothing")["code"] == "dataset_not_readable"


def test_a_rule_is_set_and_taken_back_over_http(yard: Yard) -> None:
    """Other organisations may not, and see no rule of others."""
    _, other = yard.token_of("enterprise", ["manager"])
    rule = {"stays_in": ["local"], "reason": "协议"}
    assert yard.problem("PUT", "/v1/data-rules/industry.plain", other, json=rule)["code"] == "data_rule_not_permitted"
    assert yard.json("PUT", "/v1/data-rules/industry.plain", json=rule)["stays_in"] == ["local"]
    assert yard.json("GET", "/v1/data-quotes/industry.plain")["rule"] == "own"
    assert yard.json("GET", "/v1/data-rules", other)["items"] == []
    assert yard.call("DELETE", "/v1/data-rules/industry.plain").status == 204
    assert yard.problem("DELETE", "/v1/data-rules/industry.plain")["code"] == "data_rule_unknown"
    replica = {"bytes": 5, "sha256": "b" * 64}
    path = "/v1/replicas/industry.plain/1/local"
    assert yard.problem("PUT", path, other, json=replica)["status"] == 403
    assert yard.json("PUT", path, json=replica)["state"] == "ready"
    assert [
        item["centre"]
        for item in yard.json("GET", "/v1/replicas?dataset=industry.plain")["items"]
        if item["version"] == "1"
    ] == ["local"]
    assert yard.problem("GET", "/v1/replicas?after=x")["errors"][0]["field"] == "after"


def test_a_data_set_that_cannot_be_read_is_refused_before_the_job_queues(yard: Yard) -> None:
    """One that is not there, one of another organisation (told alike), a version that is none; each by its place."""
    owner, theirs = yard.token_of("enterprise", ["manager"])
    asking, token = yard.token_of("enterprise", ["developer"])
    yard.json("PUT", f"/v1/tenants/{asking}/quota", json={"quota": {"cores": 2, "memory_mb": 1000}})
    document = contract("enterprise.theirs", COLUMNS, ["id"], example=ROWS[0])
    hub, headers = yard.platform.client("data-hub"), {"content-type": "application/yaml", "x-acting-org": owner}
    hub.request("PUT", "/v1/contracts/enterprise.theirs", content=document.encode(), headers=headers)
    assert hub.request("GET", "/v1/datasets/enterprise.theirs", token=theirs).json()["owner_org"] == owner
    asked = [
        {"dataset": "industry.plain"},
        {"dataset": "industry.nothing"},
        {"dataset": "enterprise.theirs"},
        {"dataset": "industry.plain", "version": "1"},
    ]
    body = {"name": "unreadable", "command": ["true"], "datasets": asked}
    problem = yard.problem("POST", "/v1/jobs", token, json=body)
    assert problem["status"] == 422
    told = {item["field"]: item["reason"] for item in problem["errors"]}
    assert told.keys() == {"datasets.1", "datasets.2", "datasets.3"}
    assert told["datasets.1"] == "数据集 industry.nothing 不存在，或本机构无权读取"
    assert told["datasets.2"] == "数据集 enterprise.theirs 不存在，或本机构无权读取"
    assert "industry.plain 没有版本 1；" in told["datasets.3"]
    assert yard.json("GET", "/v1/jobs?name=unreadable", token)["items"] == []
