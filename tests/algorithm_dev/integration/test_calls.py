"""Single calls: what fits is computed, what does not is refused naming row and field, and the service lives on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tests.algorithm_dev import models
from tests.algorithm_dev.conftest import People
from tests.algorithm_dev.lab import SQL, Lab, onnx_card, place_of, sql_card


@pytest.fixture(scope="module")
def sql(small: Lab) -> str:
    """A published SQL component; the path of its calls."""
    made = People(small)
    card = sql_card("call-sql")
    small.publish(card, SQL, made.maker, made.analyst)
    return f"{place_of(card)}/invocations"


@pytest.fixture(scope="module")
def onnx(small: Lab) -> str:
    """A published ONNX component; the path of its calls."""
    made = People(small)
    card = onnx_card("call-onnx")
    small.publish(card, models.linear(), made.maker, made.analyst)
    return f"{place_of(card)}/invocations"


def test_rows_are_computed_by_sql(small: Lab, few: People, sql: str) -> None:
    """By hand: 3 kWh x 2 = 6; a parameter left out has its default 0.5; missing optional values are null."""
    body = {"inputs": [{"month": "2026-03-01", "kwh": 3}, {"month": "2026-01-01"}], "parameters": {"factor": 2}}
    answer = small.json("POST", sql, few.neighbour, json=body)
    assert answer["outputs"] == [{"month": "2026-01-01", "co2": None}, {"month": "2026-03-01", "co2": 6.0}]
    assert small.json("POST", sql, few.neighbour, json={"inputs": body["inputs"]})["outputs"][1]["co2"] == 1.5


def test_tensors_are_computed_by_onnx(small: Lab, few: People, onnx: str) -> None:
    """[1, 2, 3] @ [[1, 2], [3, 4], [5, 6]] = [22, 28], by numpy too."""
    rows = np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32)
    answer = small.json("POST", onnx, few.neighbour, json={"inputs": {"x": [[1, 2, 3], *rows.tolist()]}})
    assert answer["outputs"]["y"][0] == [22.0, 28.0]
    assert np.allclose(answer["outputs"]["y"][1:], rows @ models.WEIGHTS, rtol=1e-5)


@pytest.mark.parametrize(
    ("body", "row", "field"),
    [
        ('{"inputs": {"x": [[1, 2, NaN]]}}', 1, "x"),
        ('{"inputs": {"x": [[1, 2, 3], [1, Infinity, 3]]}}', 2, "x"),
        ('{"inputs": {"x": [[1, 2, 1e999]]}}', 1, "x"),
        ('{"inputs": {"x": [[1, 2]]}}', None, "x"),
        ('{"inputs": {"x": [1, 2, 3]}}', None, "x"),
        ('{"inputs": {"x": [[1, 2, 3], [1]]}}', None, "x"),
        ('{"inputs": {"x": [["a", "b", "c"]]}}', None, "x"),
        ('{"inputs": {}}', None, "x"),
        ('{"inputs": {"x": [[1, 2, 3]], "z": [1]}}', None, "z"),
        ('{"inputs": {"x": [[1e300, 2, 3]]}}', None, "x"),
        ('{"inputs": [1, 2]}', None, "tensors"),
        ('{"inputs": {"x": [[1, 2, 3]]}, "parameters": {"p": 1}}', None, "p"),
    ],
)
def test_wrong_tensors_are_refused_naming_them(
    small: Lab, few: People, onnx: str, body: str, row: int | None, field: str
) -> None:
    """422 with row and field; the next call is answered."""
    refused = small.refusal("POST", onnx, few.neighbour, content=body.encode())
    assert (refused["status"], refused["code"]) == (422, "input_invalid")
    assert (row, field) in [(item["row"], item["field"]) for item in refused["errors"]], refused
    assert small.call("POST", onnx, few.neighbour, json={"inputs": {"x": [[1, 2, 3]]}}).status == 200


@pytest.mark.parametrize(
    ("rows", "row", "field"),
    [
        ([{"kwh": 1}], 1, "month"),
        ([{"month": "2026-01-01"}, {"month": "2026-13-01"}], 2, "month"),
        ([{"month": "2026-01-01", "kwh": "3"}], 1, "kwh"),
        ([{"month": "2026-01-01", "kwh": -1}], 1, "kwh"),
        ([{"month": "2026-01-01", "kw": 1}], 1, "kw"),
        ([{"month": "2026-01-01", "kwh": True}], 1, "kwh"),
        ([{"month": None}], 1, "month"),
        ([[1]], 1, "row"),
        ({"month": "2026-01-01"}, None, "rows"),
    ],
)
def test_wrong_rows_are_refused_naming_row_and_field(
    small: Lab, few: People, sql: str, rows: Any, row: int | None, field: str
) -> None:
    """422 with row, field and what to do."""
    refused = small.refusal("POST", sql, few.neighbour, json={"inputs": rows})
    assert (refused["status"], refused["code"]) == (422, "input_invalid")
    found = [(item["row"], item["field"]) for item in refused["errors"]]
    assert (row, field) in found
    assert all(item["what_to_do"] for item in refused["errors"])


def test_nan_in_rows_is_refused(small: Lab, few: People, sql: str) -> None:
    """NaN is no JSON, yet many clients send it."""
    content = b'{"inputs": [{"month": "2026-01-01", "kwh": NaN}]}'
    refused = small.refusal("POST", sql, few.neighbour, content=content)
    assert (refused["errors"][0]["row"], refused["errors"][0]["field"]) == (1, "kwh")


def test_ten_thousand_rows_are_tried_and_one_more_is_refused(small: Lab, few: People, sql: str) -> None:
    """Precisely, with the way out."""
    rows = [{"month": "2026-01-01", "kwh": number % 7} for number in range(10_001)]
    refused = small.refusal("POST", sql, few.neighbour, json={"inputs": rows})
    assert (refused["status"], refused["code"], refused["limit_rows"]) == (422, "too_many_rows", 10_000)
    assert "批量任务" in refused["detail"]
    answer = small.json("POST", sql, few.neighbour, json={"inputs": rows[:10_000]}, timeout_s=60)
    assert len(answer["outputs"]) == 10_000
    assert sum(item["co2"] for item in answer["outputs"]) == 0.5 * sum(number % 7 for number in range(10_000))


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"rows": []}', b'{"inputs": [], "x": 1}', b"\xff\xfe"])
def test_a_body_that_is_no_call_is_refused(small: Lab, few: People, sql: str, content: bytes) -> None:
    """422 in words."""
    refused = small.refusal("POST", sql, few.neighbour, content=content)
    assert (refused["status"], refused["code"]) == (422, "body_unreadable")


def test_a_draft_is_tried_by_its_owner_only(small: Lab, few: People, name: str) -> None:
    """In a sandbox process; others do not learn that it exists."""
    card = onnx_card(name)
    small.draft(card, models.linear(), few.maker)
    body = {"inputs": {"x": [[1, 1, 1]]}}
    path = f"{place_of(card)}/invocations"
    assert small.json("POST", path, few.maker, json=body)["outputs"] == {"y": [[9.0, 12.0]]}
    assert small.refusal("POST", path, few.neighbour, json=body)["code"] == "component_unknown"


def test_an_alias_is_called_and_follows_its_moves_at_once(small: Lab, few: People, name: str) -> None:
    """The answer says which version computed."""
    for version, weights in (("1.0.0", models.WEIGHTS), ("2.0.0", models.WEIGHTS * 2)):
        content = models.linear(weights)
        card = onnx_card(name, version, content)
        card["golden"][0]["outputs"]["y"] = (np.ones((1, 3)) @ weights).tolist()
        small.publish(card, content, few.maker, few.analyst)
    base, path = f"/components/{name}/aliases/production", f"/components/{name}/versions/production/invocations"
    for version, expected in (("1.0.0", 9.0), ("2.0.0", 18.0), ("1.0.0", 9.0)):
        small.json("PUT", base, few.maker, json={"version": version, "reason": "移动"}, headers={"If-Match": "*"})
        answer = small.json("POST", path, few.neighbour, json={"inputs": {"x": [[1, 1, 1]]}})
        assert (answer["version"], answer["outputs"]["y"][0][0]) == (version, expected)


def test_calls_are_counted_by_component_and_organisation(small: Lab, few: People, name: str) -> None:
    """Two good ones and a refused one; the neighbour sees the own calls, the owner all."""
    card = onnx_card(name)
    small.publish(card, models.linear(), few.maker, few.analyst)
    path = f"{place_of(card)}/invocations"
    for token, inputs in ((few.neighbour, [[1, 2, 3]]), (few.neighbour, [[1]]), (few.analyst, [[1, 2, 3], [4, 5, 6]])):
        small.call("POST", path, token, json={"inputs": {"x": inputs}})
    deadline = time.monotonic() + 10
    while True:
        everybody = small.json("GET", "/usage", few.maker, params={"component": name})["items"]
        if sum(item["calls"] for item in everybody) == 3:
            break
        assert time.monotonic() < deadline, everybody
        time.sleep(0.1)
    mine = small.json("GET", "/usage", few.neighbour, params={"component": name})["items"]
    assert [(item["calls"], item["failures"]) for item in mine] == [(2, 1)]
    assert sorted((item["calls"], item["rows"]) for item in everybody) == [(1, 2), (2, 1)]


def test_a_hostile_sql_component_is_stopped_and_the_service_lives(small: Lab, few: People, name: str) -> None:
    """Memory, time, files, settings: each a precise refusal, in a process that is not the platform's."""
    attacks = {
        "SELECT DATE '2026-01-01' AS month, length(repeat('x', 4000000000)) AS co2": "component_memory_limit",
        "SELECT DATE '2026-01-01' AS month, (SELECT count(*) FROM range(1000000000) a, range(1000000000) b) AS co2": (
            "component_time_limit"
        ),
        "SELECT DATE '2026-01-01' AS month, size AS co2 FROM read_text('/etc/passwd')": "component_failed",
        "SELECT month, co2 FROM '/etc/passwd'": "component_failed",
        "SELECT month FROM input": "component_failed",
        "SET threads = 64": "component_failed",
        "COPY input TO '/tmp/stolen.csv'": "component_failed",
        "SELECT 1; SELECT 2": "component_failed",
    }
    for number, (text, code) in enumerate(attacks.items()):
        card = sql_card(name, f"1.0.{number}", text.encode())
        assert small.draft(card, text.encode(), few.maker).status == 201
        body = {"inputs": [{"month": "2026-01-01"}]}
        refused = small.refusal("POST", f"{place_of(card)}/invocations", few.maker, json=body, timeout_s=60)
        assert refused["code"] == code, (text, refused)
        assert "/etc" not in refused["detail"]


def test_hostile_models_are_stopped_before_they_are_approved(small: Lab, few: People, name: str) -> None:
    """40 GB at once, and a loop without end: the golden vectors never pass, the service answers on."""
    for number, (content, code) in enumerate(
        ((models.memory_bomb(), "component_memory_limit"), (models.endless_loop(), "component_time_limit"))
    ):
        card = onnx_card(name, f"1.0.{number}", content)
        assert small.draft(card, content, few.maker).status == 201
        refused = small.refusal("POST", f"{place_of(card)}/submit", few.maker, timeout_s=60)
        assert refused["code"] == code
    assert psutil.Process().memory_info().rss < 2 << 30


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (models.with_external_data(), "model_external_data"),
        (models.with_huge_initialiser(), "model_tensor"),
        (models.with_custom_operator(), "model_custom_operators"),
        (models.linear()[:-40], "model_truncated"),
        (b"\x80\x04\x95\x0b\x00\x00\x00", "pickle_refused"),
        (models.linear(np.zeros((3, 5), np.float32)), None),
    ],
)
def test_a_malicious_model_is_refused_at_submission(
    small: Lab, few: People, name: str, content: bytes, code: str | None
) -> None:
    """By its bytes, before onnxruntime sees it; a port that is not the card's is told too."""
    card = onnx_card(name, content=content)
    assert small.draft(card, content, few.maker).status == 201
    refused = small.refusal("POST", f"{place_of(card)}/submit", few.maker)
    assert refused["status"] == 422
    if code is None:
        assert refused["code"] in ("component_failed", "model_refused", "golden_failed")
    else:
        assert (refused["code"], refused["model_code"]) == ("model_refused", code)


def test_no_usage_data_leave_the_machine(small: Lab, few: People, onnx: str) -> None:
    """onnxruntime is told so before it is imported; its event database is nowhere under the home folder."""
    import os

    small.json("POST", onnx, few.neighbour, json={"inputs": {"x": [[1, 2, 3]]}})
    assert os.environ["ORT_DISABLE_TELEMETRY"] == os.environ["ORT_TELEMETRY_DISABLED"] == "1"
    traces = [
        path for path in Path.home().rglob("*") if "onnxruntime" in path.name.lower() and "telemetry" in str(path)
    ]
    assert traces == []


def test_calls_are_counted_where_no_worker_runs(tmp_path: Path) -> None:
    """In a cluster the process that answers calls has no workers of its own."""
    lab = Lab(tmp_path, working=False, settle_s=0.2)
    try:
        people = People(lab)
        card = onnx_card()
        lab.publish(card, models.linear(), people.maker, people.analyst)
        lab.json("POST", f"{place_of(card)}/invocations", people.neighbour, json={"inputs": {"x": [[1, 2, 3]]}})
        deadline = time.monotonic() + 10
        while not (items := lab.json("GET", "/usage", people.neighbour)["items"]):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert items[0]["calls"] == 1
    finally:
        lab.close()
