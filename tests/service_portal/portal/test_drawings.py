"""Pictures drawn on the server, the trend of pushes, and files that leave the portal."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook
from service_portal.portal import drawings
from service_portal.portal.drawings import Bar
from service_portal.portal.exports import csv_bytes, disposition, xlsx_bytes
from service_portal.portal.files import STATIC
from service_portal.portal.pages import island
from service_portal.portal.parts import push_trend
from service_portal.portal.routes.repair import repair_table

EVIL = '<script>alert("x")</script>'


def _node(name: str, stage: str, order: int, level: str = "strong") -> dict[str, object]:
    return {"id": name, "name": name, "stage": stage, "stage_order": order, "level": level, "local_enterprises": 3}


def test_chain_draws_each_node_once_and_links_it() -> None:
    """Three nodes give three links to their pages, and two paths between them."""
    nodes = [_node("a", "上游", 0), _node("b", "中游", 1, "missing"), _node("c", "下游", 2)]
    links = [{"from": "a", "to": "b", "weight": 2}, {"from": "b", "to": "c", "weight": 1}]
    svg = ElementTree.fromstring(drawings.chain(nodes, links, lambda node: f"/n/{node}", {"missing": "缺失"}, "链"))
    assert [item.get("href") for item in svg.iter("a")] == ["/n/a", "/n/b", "/n/c"]
    assert [item.get("class") for item in svg.iter("a")] == ["strong", "missing", "strong"]
    assert len(svg.findall("path")) == 2


def test_chain_orders_columns_by_stage_and_keeps_circles_apart() -> None:
    """Columns go with the order of stages, whatever the order of nodes; no two circles share a place."""
    nodes = [_node(f"n{order}{index}", f"s{order}", order) for index in range(14) for order in (2, 0, 1)]
    svg = ElementTree.fromstring(drawings.chain(nodes, [], str, {}, "链"))
    assert [item.text for item in svg.findall("text")] == ["s0", "s1", "s2"]
    places = [(float(item.get("cx", 0)), float(item.get("cy", 0))) for item in svg.iter("circle")]
    assert len(set(places)) == 42
    assert all(0 <= x <= drawings.CHAIN_WIDTH for x, _ in places)


def test_links_to_unknown_nodes_are_left_out() -> None:
    """A link whose end is not drawn is not drawn."""
    svg = drawings.chain([_node("a", "s", 0)], [{"from": "a", "to": "gone", "weight": 1}], str, {}, "链")
    assert "<path" not in svg


def test_long_stages_show_the_nodes_with_most_links_and_count_the_rest() -> None:
    """Of 40 nodes in a stage the 14 best linked stay."""
    nodes = [_node(f"n{index}", "s", 0) | {"downstream": index} for index in range(40)]
    (stage,) = drawings.stages(nodes)
    assert stage.left_out == 26
    assert {node["downstream"] for node in stage.nodes} == set(range(26, 40))


@given(st.text(max_size=40))
def test_names_never_break_out_of_the_drawing(name: str) -> None:
    """Whatever a node is called, the drawing has one node and its attributes stay whole."""
    clean = "".join(mark for mark in name if mark.isprintable()) or "x"
    node = _node("n", "s", 0) | {"name": clean, "stage": clean}
    svg = ElementTree.fromstring(drawings.chain([node], [], str, {}, "链"))
    assert len(list(svg.iter("a"))) == 1


def test_trend_line_marks_its_last_point() -> None:
    """The highest last value ends at the right edge near the top; fewer than two values give nothing."""
    circle = ElementTree.fromstring(drawings.spark([1, None, 3])).find("circle")
    assert circle is not None
    assert (circle.get("cx"), circle.get("cy")) == ("84.0", "4.0")
    assert drawings.spark([None, 5]) == ""


def test_bars_are_as_high_as_their_share_of_the_highest() -> None:
    """Half the rows, half the height; refused rows stand on top."""
    svg = ElementTree.fromstring(drawings.bars([Bar("a", 100, 0), Bar("b", 25, 25)], "t"))
    bars = [(item.get("class"), float(item.get("y", 0)), float(item.get("height", 0))) for item in svg.iter("rect")]
    assert bars == [("ok", 4.0, 96.0), ("ok", 76.0, 24.0), ("no", 52.0, 24.0)]


def test_push_trend_conserves_rows() -> None:
    """Every row of every push within reach is in exactly one bar."""
    pushes: list[dict[str, Any]] = [
        {"created_at": f"2026-11-2{day}T0{hour}:15:00Z", "accepted": 10 * day + hour, "rejected": day}
        for day in (0, 1)
        for hour in range(5)
    ]
    trend = push_trend(pushes)
    assert trend is not None
    assert sum(bar.accepted for bar in trend.bars) == trend.accepted == sum(push["accepted"] for push in pushes)
    assert sum(bar.rejected for bar in trend.bars) == trend.rejected == 5
    assert len(trend.bars) >= 12
    assert push_trend([]) is None


def test_islands_of_data_cannot_end_their_element() -> None:
    """Text that closes a script element stays text, and reads back unchanged."""
    text = str(island({"name": EVIL + "&amp;"}))
    assert "<" not in text
    assert ">" not in text
    assert json.loads(text) == {"name": EVIL + "&amp;"}


def test_csv_reads_back_as_it_was() -> None:
    """Commas, quotes and line ends survive; None is empty."""
    item = {"a": 'x,"y"\nz', "b": None, "c": "中文"}
    content = csv_bytes(["a", "b", "c"], [item]).decode("utf-8-sig")
    assert list(csv.DictReader(io.StringIO(content, newline=""))) == [{"a": 'x,"y"\nz', "b": "", "c": "中文"}]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_csv_never_runs_a_value(text: str) -> None:
    """A text that a spreadsheet takes for a formula is marked as text; numbers stay numbers."""
    content = csv_bytes(["a", "b"], [{"a": text, "b": -1.5}]).decode("utf-8-sig")
    assert list(csv.DictReader(io.StringIO(content, newline=""))) == [{"a": f"'{text}", "b": "-1.5"}]


def test_xlsx_never_runs_a_value() -> None:
    """A value that looks like a formula stays text."""
    sheet = load_workbook(io.BytesIO(xlsx_bytes(["a"], [{"a": "=1+1"}, {"a": 2}], "x:y/z"))).active
    assert sheet is not None
    assert sheet["A2"].data_type == "s"
    assert sheet["A2"].value == "=1+1"
    assert sheet["A3"].value == 2


def test_download_names_may_be_chinese() -> None:
    """The header is ASCII and carries the name in the form of RFC 6266."""
    header = disposition('企业".csv')["Content-Disposition"]
    assert header.isascii()
    assert "filename*=UTF-8''%E4%BC%81%E4%B8%9A%22.csv" in header


def test_reject_file_becomes_one_row_per_row_with_all_its_errors() -> None:
    """A row with two wrong fields stands once, with both reasons; columns that begin with _ are not data."""
    head = "\ufeffuscc,month,_row,_field,_code,_reason\n"
    content = head + "A,2026-13,4,uscc,bad,甲\nA,2026-13,4,month,bad,乙\nB,x,9,month,bad,丙\n"
    table = repair_table(content.encode(), rejected=2)
    assert table.columns == ["uscc", "month"]
    assert [(row.number, row.values) for row in table.rows] == [("4", ["A", "2026-13"]), ("9", ["B", "x"])]
    assert table.rows[0].errors == {"uscc": ("bad", "甲"), "month": ("bad", "乙")}
    assert repair_table(content.encode(), rejected=2, most=1).left_out == 1
    assert repair_table(content.encode(), rejected=900).left_out == 898


def test_styles_use_only_known_tokens() -> None:
    """Each custom property that the sheet uses is defined in it, or is one of Tabler's."""
    text = (STATIC / "app.css").read_text()
    used = set(re.findall(r"var\((--[a-z0-9-]+)", text))
    defined = set(re.findall(r"(--[a-z0-9-]+):", text))
    assert used
    assert used <= defined


def test_chain_without_stages_is_grouped_by_level_the_worst_first() -> None:
    """Industries that come without stages stand under missing, weak, middle and strong."""
    nodes = [_node(f"n{index}", "", 0, level) for index, level in enumerate(("strong", "weak", "missing", "weak"))]
    words = {"missing": "缺失", "weak": "弱", "middle": "一般", "strong": "强"}
    assert [(stage.name, len(stage.nodes)) for stage in drawings.stages(nodes, levels=words)] == [
        ("缺失", 1),
        ("弱", 2),
        ("强", 1),
    ]


def test_reject_file_leaves_out_columns_nobody_uses_and_lines_that_are_no_rows() -> None:
    """A column without values stays only where an error names it; a broken line is counted, not shown."""
    content = (
        "uscc,month,tax,note,_row,_field,_code,_reason,_fix,_raw\r\n"
        "A,2026-13,,,4,month,bad,甲,改,\r\n"
        "B,2026-10,,,5,tax,missing,缺,填,\r\n"
        ",,,,6,,unreadable,坏,改,{broken\r\n"
    )
    table = repair_table(content.encode(), rejected=3)
    assert table.columns == ["uscc", "month", "tax"]
    assert [row.number for row in table.rows] == ["4", "5"]
    assert [row.values for row in table.rows] == [["A", "2026-13", ""], ["B", "2026-10", ""]]
    assert table.left_out == 1
