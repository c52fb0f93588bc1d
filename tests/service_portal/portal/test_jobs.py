"""Pages of jobs and centres: the list with its filters and files, the live log, what a person may do."""

from __future__ import annotations

import csv
import io

from tests.service_portal.portal.conftest import Browserless
from tests.service_portal.portal.fake.data import FakeBrain


def test_the_queue_says_why_a_job_waits_and_its_filter_stands_in_the_address(operator: Browserless) -> None:
    """A state in the address shows only its jobs; the reason and the predicted start stand beside."""
    text = operator.text("/jobs?state=queued")
    assert "核数不足：空闲 1 核，本作业要 4 核" in text
    assert "预计最迟" in text
    assert "oee-succeeded" not in text
    assert "/jobs.csv?state=queued" in text


def test_the_list_downloads_as_csv_and_xlsx(operator: Browserless) -> None:
    """The file holds what the list shows, with seconds of waiting and running: 5 and 62 here."""
    rows = list(csv.DictReader(io.StringIO(operator.get("/jobs.csv?state=succeeded").data.decode("utf-8-sig"))))
    assert [(row["name"], row["wait_s"], row["run_s"]) for row in rows] == [("oee-succeeded", "5.0", "62.0")]
    assert operator.get("/jobs.xlsx").data[:2] == b"PK"


def test_a_job_shows_log_attempts_use_and_lineage(operator: Browserless) -> None:
    """What it read leads to the data set, what it left is named with its size."""
    text = operator.text("/jobs/job_succeeded")
    for part in ("开始\n完成", "local/n1", "80.5", "/datasets/enterprise.meter_15min", "r.csv", "2.0 KB", "1.25"):
        assert part in text
    assert "joblog.js" not in text
    assert operator.get("/jobs/job_none").status == 404


def test_a_job_says_why_it_ran_where_it_ran(operator: Browserless) -> None:
    """What it was to cost there and at the other centre; nothing where nothing is known."""
    text = operator.text("/jobs/job_succeeded")
    for part in ("为什么在这里", "zibo-edge-1", "1.2500", "0.0150", "0.1800", "180.0"):
        assert part in text
    assert "为什么在这里" not in operator.text("/jobs/job_failed")


def test_each_member_of_a_gang_has_its_log(operator: Browserless) -> None:
    """The page says how many members there are and leads to the log of each; the live log is of the same member."""
    text = operator.text("/jobs/job_failed")
    assert "2 个，各要上述资源，同时开始" in text
    assert '/jobs/job_failed?rank=1"' in text
    assert "成员 1 完成" in operator.text("/jobs/job_failed?rank=1")
    assert "成员 1 完成" in operator.request("GET", "/jobs/job_failed/log?rank=1&start=1:0").data.decode()


def test_a_job_leads_to_those_that_must_succeed_first(operator: Browserless) -> None:
    """By their ids."""
    assert 'href="/jobs/job_succeeded"' in operator.text("/jobs/job_queued")
    assert "先要成功的作业" not in operator.text("/jobs/job_succeeded")


def test_the_log_goes_on_where_the_browser_was(operator: Browserless) -> None:
    """Server-sent events with attempt and offset as id; 开始 and its line end are seven bytes."""
    reply = operator.request("GET", "/jobs/job_succeeded/log?start=1:0", {"Last-Event-ID": "1:7"})
    text = reply.data.decode()
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert '"text": "完成\\n"' in text
    assert "开始" not in text
    assert text.rstrip().endswith('data: {"state": "succeeded"}')


def test_people_cancel_retry_and_drain(operator: Browserless, brain: FakeBrain) -> None:
    """Each form calls the API that a third party would call."""
    for action in ("cancel", "retry"):
        assert operator.post(f"/jobs/job_failed/{action}").headers["location"] == "/jobs/job_failed"
    assert operator.post("/centres/local/state", {"state": "drained", "node": "n1"}).headers["location"] == "/centres"
    operator.post("/centres/local/state", {"state": "open"})
    assert brain.calls[-4:] == [
        ("cancel", "job_failed"),
        ("retry", "job_failed"),
        ("centre", ("local", "n1", "drained")),
        ("centre", ("local", "", "open")),
    ]
    assert operator.post("/centres/local/state", {"state": "exploded"}).status == 422


def test_a_copy_opens_the_filled_in_form_and_keeps_what_the_form_does_not_show(
    operator: Browserless, brain: FakeBrain
) -> None:
    """Changed fields count; a member of the specification that the form has no field for stays."""
    assert "/jobs/new?from=job_failed" in operator.text("/jobs/job_failed")
    text = operator.text("/jobs/new?from=job_failed")
    for part in ("oee-failed", "python3 run.py", "A100=1", "enterprise.meter_15min@123", "algorithm-dev/run=run_1"):
        assert part in text
    fields = {
        "from": "job_failed", "name": "oee-again", "command": "python3 -c 'print(1)\r\nprint(2)'", "cores": "0.5",
        "memory_mb": "256", "gang": "2", "time_limit_s": "60", "retries": "", "priority": "high", "centre": "",
        "deadline": "2026-12-01T08:00", "accelerators": "A100|V100=0.25", "datasets": "enterprise.meter_15min",
        "outputs": "a.csv", "env": "'NOTE=two words'", "labels": "", "inputs": "", "after": "",
        "checkpoint_every_s": "", "repeat": "1",
    }  # fmt: skip
    assert operator.post("/jobs/new", fields).headers["location"] == "/jobs/job_queued"
    spec = brain.calls[-1][1]
    assert spec["command"] == ["python3", "-c", "print(1)\nprint(2)"]
    assert spec["resources"] == {"cores": 0.5, "memory_mb": 256, "accelerators": {"A100|V100": 0.25}}
    assert (spec["gang"], spec["priority"], spec["deadline"]) == (2, "high", "2026-12-01T08:00:00+08:00")
    assert (spec["env"], spec["datasets"][0]["version"]) == ({"NOTE": "two words"}, None)
    assert (spec["extra"], "retries" in spec) == ("kept", False)


def test_what_the_api_refuses_stands_above_the_form_with_what_was_written(operator: Browserless) -> None:
    """The field and the reason of the API; an open quotation mark is told before."""
    fields = {"name": "zu-gross", "command": "true", "cores": "400", "memory_mb": "256"}
    reply = operator.post("/jobs/new", fields)
    assert reply.status == 422
    for part in ("没有一个节点有 400 核", "zu-gross", 'value="400"'):
        assert part in reply.data.decode()
    assert "引号没有成对" in operator.post("/jobs/new", fields | {"command": "echo 'a"}).data.decode()


def test_the_estimate_tells_start_cost_and_carbon_before_the_job_is_sent(operator: Browserless) -> None:
    """Figures of the API; what it refuses stands in their place."""
    fields = {"name": "t", "command": "true", "cores": "4", "memory_mb": "256"}
    text = operator.post("/jobs/estimate", fields).data.decode()
    for part in ("2026-11-21 14:30:00", "1.2500", "0.0150"):
        assert part in text
    assert "没有一个节点有 400 核" in operator.post("/jobs/estimate", fields | {"cores": "400"}).data.decode()


def test_costs_are_shown_before_and_after_a_run(operator: Browserless) -> None:
    """A waiting job: what is expected at each centre; an ended one: what the ledger has beside what was expected."""
    waiting = operator.text("/jobs/job_queued")
    for part in ("11-21 15:00", "已留出节点", "用满时限的预计", "若现在开始", "zibo-edge-1"):
        assert part in waiting
    ended = operator.text("/jobs/job_succeeded")
    for part in ("已入账", "0.870", "运行前预计 1.25", "中心没有碳强度"):
        assert part in ended
    row = next(csv.DictReader(io.StringIO(operator.get("/jobs.csv?state=succeeded").data.decode("utf-8-sig"))))
    assert (row["expected_yuan"], row["charged_yuan"], row["charged_co2_kg"]) == ("1.25", "0.870000", "")


def test_only_operators_are_offered_to_drain(operator: Browserless, owner: Browserless) -> None:
    """A silent centre says what that means for its jobs."""
    assert "停止接收</button>" in operator.text("/centres")
    text = owner.text("/centres")
    assert "停止接收</button>" not in text
    assert "代理没有应答" in text
