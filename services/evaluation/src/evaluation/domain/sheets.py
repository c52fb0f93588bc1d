"""Tables in the form of the official documents: their columns first, in their order, then what is added here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.domain.sets import CriteriaSet, IndicatorSet

Cell = str | float | int | None
STAR = "★"
LEVELS = (1, 2, 3, 4, 5)
CODED_COLUMNS = ("类型", "编号", "指标名称", "指标说明", "单位")
PLAIN_COLUMNS = ("一级指标", "二级指标", "指标说明")
CRITERIA_COLUMNS = ("分类", "一级指标", "二级指标", "概要介绍", *(f"{level}级" for level in LEVELS))
VALUE_COLUMNS = ("指标值", "本平台口径单位", "取值方式", "截至", "来源", "目标值", "没有数值的原因", "说明")
MARK_COLUMNS = ("企业自评", "审核认定", "备注")
KINDS = {"computed": "平台计算", "reported": "单位填报"}
WORDING_NOTE = "名称、编号、单位与文件一致；指标说明为本平台的表述"


@dataclass(frozen=True)
class Sheet:
    """A table with lines above it. own_columns: how many columns the document prints; the rest are this platform's.

    spans: how many leading columns show a repeated text once, over several rows, as the document prints it.
    """

    name: str
    heading: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    own_columns: int
    spans: int


def indicator_sheet(found: IndicatorSet, items: Sequence[Mapping[str, Any]], facts: Sequence[str]) -> Sheet:
    """A set with its values: items in the document's order, as the API gives them. facts: lines under the title."""
    coded = any(item.code for item in found.indicators)
    rows = []
    for item in items:
        group = item["group"]
        own: tuple[Cell, ...] = (
            (group, item["code"], item["name"], item["formula"], item["unit"])
            if coded
            else (group, item["name"], item["formula"])
        )
        rows.append(own + _value_cells(item))
    columns = CODED_COLUMNS if coded else PLAIN_COLUMNS
    heading = (found.source.annex, found.title, *facts, WORDING_NOTE)
    return Sheet(
        found.id, tuple(line for line in heading if line), (*columns, *VALUE_COLUMNS), tuple(rows), len(columns), 1
    )


def criteria_sheet(found: CriteriaSet, marks: Mapping[str, Mapping[str, Any]], facts: Sequence[str]) -> Sheet:
    """The table of criteria with the stars of each level, and an enterprise's marks beside it."""
    rows = []
    for category in found.categories:
        for criterion in category.criteria:
            mark = marks.get(criterion.id, {})
            stars = tuple(STAR if criterion.stars[level - 1] else None for level in LEVELS)
            own: tuple[Cell, ...] = (category.name, criterion.dimension, criterion.name, criterion.requirement, *stars)
            rows.append((*own, _verdict(mark.get("met")), _verdict(mark.get("reviewed")), mark.get("note") or None))
    heading = (found.source.annex, found.title, *facts, WORDING_NOTE)
    columns = (*CRITERIA_COLUMNS, *MARK_COLUMNS)
    return Sheet(found.id, tuple(line for line in heading if line), columns, tuple(rows), len(CRITERIA_COLUMNS), 2)


def _value_cells(item: Mapping[str, Any]) -> tuple[Cell, ...]:
    value: Cell = item["text"] if item["value"] is None else item["value"]
    unit = item["value_unit"] if item["unit"] is None and item["value"] is not None else None
    remarks = "；".join(str(text).rstrip("。；") for text in (*item["notes"], item["choice"]) if text)
    return (
        value,
        unit,
        KINDS[item["kind"]],
        item["as_of"],
        item["source"],
        item["target"],
        item["reason"] if value is None else None,
        remarks or None,
    )


def _verdict(met: bool | None) -> str | None:
    return None if met is None else ("符合" if met else "不符合")
