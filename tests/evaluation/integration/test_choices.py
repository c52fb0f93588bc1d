"""What this platform chooses where the documents are silent: weights, scores, the rule from stars to level; exports."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from openpyxl import load_workbook

from tests.evaluation.world import CLUSTER, World

PLACE = {"period": "2025", "cluster": CLUSTER}


def test_weights_begin_equal_and_say_whose_choice_they_are(world: World) -> None:
    """32 indicators with a 32nd each, marked as this platform's."""
    found = world.json("factory", "GET", "/v1/indicator-sets/evaluation/weights")
    assert len(found["items"]) == 32
    assert found["chosen_by"] == "本平台选定"
    assert all(item["share"] == pytest.approx(1 / 32) for item in found["items"])


def test_a_score_is_the_weighted_mean_of_what_has_points(world: World) -> None:
    """L1P4 is 7 of 14 wanted, L1P7 4 of 4: with weights 3 and 1 that is (3 x 50 + 1 x 100) / 4; others weigh none."""
    path = "/v1/indicator-sets/evaluation/weights"
    version = world.json("bureau", "GET", path)["version"]
    body = {"weights": {"L1P4": 3, "L1P7": 1, "L1P2": 4}, "full_marks": {"L1P4": 14, "L1P7": 4}, "note": "试算"}
    changed = world.json("bureau", "PUT", path, json=body, headers={"if-match": f'"{version}"'})
    score = world.json("bureau", "GET", "/v1/indicator-sets/evaluation/score", params=PLACE)

    assert score["total"] == pytest.approx(62.5)
    # 产业布局 has no value: half of the weight is scored, and it is no zero.
    assert score["covered"] == pytest.approx(0.5)
    assert next(item for item in score["items"] if item["id"] == "L1P2")["points"] is None
    assert changed["history"][0]["note"] == "试算"
    status, problem = world.refused("bureau", "PUT", path, json=body, headers={"if-match": f'"{version}"'})
    assert (status, problem["code"]) == (412, "edited_meanwhile")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"weights": {"L9P9": 1}}, "weights.L9P9"),
        ({"weights": {"L1P1": -1}}, "weights.L1P1"),
        ({"weights": {"L1P1": "2"}}, "weights.L1P1"),
        ({"weights": {"L1P1": 0}}, None),
        ({"weights": {"L1P1": 1}, "full_marks": {"L1P1": 0}}, "full_marks.L1P1"),
    ],
)
def test_wrong_weights_are_told_by_indicator(world: World, body: dict[str, Any], field: str | None) -> None:
    """Unknown, negative, text, all zero, a full mark of nothing."""
    status, problem = world.refused("bureau", "PUT", "/v1/indicator-sets/construction/weights", json=body)
    assert status == 422
    if field:
        assert any(item["field"].startswith(field) for item in problem["errors"]), problem


def test_the_rule_from_stars_to_level_is_shown_with_the_documents_stars(world: World) -> None:
    """13, 28, 46, 57 and 71 as printed; a rule that cannot be is told by field."""
    rule = world.json("factory", "GET", "/v1/level-rule")
    assert [item["stars"] for item in rule["levels"]] == [13, 28, 46, 57, 71]
    assert rule["chosen_by"] == "本平台选定"
    falling = {"method": "count", "thresholds": {"1": 20, "2": 10}}
    for body in (falling, {"shares": {"6": 0.5}}, {"shares": {"1": 0}}, {"shares": {"1": 1.5}}):
        assert world.refused("bureau", "PUT", "/v1/level-rule", json=body)[1]["code"] == "choice_invalid", body
    assert world.refused("factory", "PUT", "/v1/level-rule", json={"method": "count"})[0] == 403


@pytest.mark.parametrize(
    ("set_id", "columns", "first", "count"),
    [
        (
            "construction",
            ["类型", "编号", "指标名称", "指标说明", "单位"],
            ["一、产业发展水平", "L1P1", "产业规模"],
            34,
        ),
        ("evaluation", ["类型", "编号", "指标名称", "指标说明", "单位"], ["一、产业发展水平", "L1P1", "产业规模"], 32),
        ("industry-brain", ["一级指标", "二级指标", "指标说明"], ["产业发展基础", "产业规模"], 26),
    ],
)
def test_the_workbook_has_the_documents_table(
    world: World, set_id: str, columns: list[str], first: list[str], count: int
) -> None:
    """Its columns come first, in its order; groups are printed once over their rows; then this platform's columns."""
    reply = world.call("bureau", "GET", f"/v1/indicator-sets/{set_id}/export", params=PLACE)
    sheet = load_workbook(io.BytesIO(reply.content)).active
    assert sheet is not None
    rows = [list(row) for row in sheet.iter_rows(values_only=True)]
    top = next(number for number, row in enumerate(rows) if row[: len(columns)] == columns)

    assert rows[top + 1][: len(first)] == first
    assert len(rows) - top - 1 == count
    assert any("合成数据" in str(row[0]) for row in rows[:top])
    value = rows[top].index("指标值")
    assert rows[top + 1][value] == pytest.approx(2.335)
    merged = [str(item) for item in sheet.merged_cells.ranges if str(item).startswith(f"A{top + 2}:")]
    assert len(merged) == 1
    empty = [row for row in rows[top + 1 :] if row[value] is None]
    assert all(row[rows[top].index("没有数值的原因")] for row in empty)


def test_the_csv_has_the_same_rows_and_runs_no_formula(world: World) -> None:
    """34 rows under the same columns, with a byte order mark."""
    params = PLACE | {"format": "csv"}
    content = world.call("bureau", "GET", "/v1/indicator-sets/construction/export", params=params).content
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    assert content.startswith(b"\xef\xbb\xbf")
    assert len(rows) == 35
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "@"))]


def test_the_factory_table_has_72_rows_with_the_documents_stars(world: World) -> None:
    """Stars by level: 13, 28, 46, 57, 71; the categories as printed."""
    reply = world.call("factory", "GET", "/v1/indicator-sets/morning-star-factory/export")
    sheet = load_workbook(io.BytesIO(reply.content)).active
    assert sheet is not None
    rows = [list(row) for row in sheet.iter_rows(values_only=True)]
    top = next(number for number, row in enumerate(rows) if row[0] == "分类")
    assert rows[top][:9] == ["分类", "一级指标", "二级指标", "概要介绍", "1级", "2级", "3级", "4级", "5级"]
    body = rows[top + 1 :]
    assert len(body) == 72
    assert [sum(row[4 + level] == "★" for row in body) for level in range(5)] == [13, 28, 46, 57, 71]
