"""What a computation came to: a value with where it comes from, or no value with the reason, never a false zero."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

from evaluation.domain.computations import Computation, Scope
from evaluation.domain.periods import Period

ReasonCode = Literal[
    "chain_missing",
    "period_not_a_year",
    "dataset_unregistered",
    "dataset_empty",
    "no_subjects",
    "outside_records",
    "missing_months",
    "missing_regions",
    "zero_denominator",
    "no_rows",
    "query_failed",
]
CHINA = timezone(timedelta(hours=8), "Asia/Shanghai")
WAREHOUSE_TITLES = {"public": "公共数据仓", "industry": "行业数据仓", "enterprise": "企业数据仓"}
_SHOWN_MONTHS = 12


@dataclass(frozen=True)
class Part:
    """One line of a figure's breakdown."""

    label: str
    value: float | None
    unit: str


@dataclass(frozen=True)
class Outcome:
    """A figure. value is None exactly when state is `no_value`; reason then says why, in a sentence for users.

    numerator, denominator: of quotients. missing_months: YYYY-MM. as_of: the day that the figure speaks of, at most the
    day of the newest data; a month for sums over a year. notes: what a reader should know beside the value.
    """

    computation: str
    state: Literal["computed", "no_value"]
    unit: str
    value: float | None = None
    numerator: float | None = None
    denominator: float | None = None
    rows_used: int = 0
    missing_months: tuple[str, ...] = ()
    as_of: str | None = None
    parts: tuple[Part, ...] = ()
    notes: tuple[str, ...] = ()
    reason_code: ReasonCode | None = None
    reason: str | None = None


@dataclass(frozen=True)
class _Facts:
    """The only row of a computation's query, with what is optional filled in."""

    row: Mapping[str, Any] = field(default_factory=dict)

    def number(self, name: str) -> float | None:
        value = self.row.get(name)
        found = None if value is None else float(value)
        return found if found is None or math.isfinite(found) else None

    def count(self, name: str) -> int:
        return int(self.row.get(name) or 0)

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(str(item) for item in self.row.get(name) or ())


def unanswerable(computation: Computation, period: Period, scope: Scope) -> Outcome | None:
    """The outcome that needs no query: the choice of period or scope does not fit the computation."""
    if computation.needs_chain and not scope.chain:
        return _none(computation, "chain_missing", "本指标按产业链计算，请先选择产业链")
    if computation.cadence == "year" and period.length != 12:
        return _none(
            computation,
            "period_not_a_year",
            f"本指标按年度统计，所选期间 {period.first} 至 {period.last} 有 {period.length} 个月，请选择 12 个月",
        )
    if computation.calendar_year and not period.is_calendar_year:
        return _none(
            computation,
            "period_not_a_year",
            f"本指标用到按日历年统计的数据，所选期间 {period.first} 至 {period.last} 跨年，请选择一个日历年",
        )
    return None


def judge(computation: Computation, period: Period, scope: Scope, row: Mapping[str, Any]) -> Outcome:
    """The outcome of a query. row: its only row; raises ValueError when it has no column `value`."""
    if "value" not in row:
        raise ValueError(f"{computation.id}: the answer has no column value")
    facts = _Facts(row)
    refusal = unanswerable(computation, period, scope) or _refusal(computation, period, scope, facts)
    value = facts.number("value")
    if refusal is None and value is None:
        refusal = _none(computation, "no_rows", f"所选期间没有可以计算的数据：{computation.formula}")
    if refusal is not None:
        return replace(
            refusal,
            numerator=facts.number("numerator"),
            denominator=facts.number("denominator"),
            rows_used=facts.count("rows_used"),
            missing_months=facts.texts("missing_months"),
        )
    return Outcome(
        computation=computation.id,
        state="computed",
        unit=computation.unit,
        value=value,
        numerator=facts.number("numerator"),
        denominator=facts.number("denominator"),
        rows_used=facts.count("rows_used"),
        as_of=_as_of(computation, period, facts),
        parts=tuple(_part(item) for item in row.get("parts") or ()),
        notes=_notes(computation, period, facts),
    )


def judge_statistics(computation: Computation, body: Mapping[str, Any]) -> Outcome:
    """The outcome of a figure from `GET /v1/statistics`: stored TB, with kinds and numbers of data carriers."""
    chosen = [item for item in body["warehouses"] if item["warehouse"] in computation.warehouses]
    filled = [item for item in chosen if item["last_commit"] is not None]
    if not filled:
        names = "、".join(WAREHOUSE_TITLES[name] for name in computation.warehouses)
        return _none(computation, "dataset_empty", f"{names}还没有数据，不能计算；请先推送数据")
    as_of = datetime.fromisoformat(body["as_of"]).astimezone(CHINA).date().isoformat()
    parts = tuple(
        Part(f"{WAREHOUSE_TITLES[item['warehouse']]}{carrier['title']['zh']}", float(carrier["count"]), "个")
        for item in chosen
        for carrier in item["carriers"]
    )
    return Outcome(
        computation=computation.id,
        state="computed",
        unit=computation.unit,
        value=sum(int(item["bytes"]) for item in chosen) / 10**12,
        rows_used=sum(int(item["rows"]) for item in chosen),
        as_of=as_of,
        parts=parts,
        notes=(f"当前值，统计于 {as_of}，不随所选期间变化",),
    )


def unregistered(computation: Computation, dataset: str) -> Outcome:
    """The outcome when a data set is not registered, or no longer."""
    return _none(
        computation,
        "dataset_unregistered",
        f"数据集 {dataset} 没有登记或已撤销，不能计算；请登记数据合同并推送数据",
    )


def failed(computation: Computation, code: str, detail: str) -> Outcome:
    """The outcome when the query could not be answered: limits, a changed column, a data hub that is down."""
    return _none(computation, "query_failed", f"数据中枢没有给出结果（{code}）：{detail}")


def _refusal(computation: Computation, period: Period, scope: Scope, facts: _Facts) -> Outcome | None:
    empty = facts.texts("empty_datasets")
    if empty:
        return _none(computation, "dataset_empty", f"数据集 {'、'.join(empty)} 还没有数据，不能计算；请先推送数据")
    if computation.scope == "enterprises" and "subjects" in facts.row and facts.count("subjects") == 0:
        return _none(computation, "no_subjects", f"所选范围（{_scope_text(scope)}）没有{computation.subject}")
    if "marked" in facts.row and facts.count("marked") == 0:
        return _none(computation, "no_rows", f"没有一行标注了{computation.mark}，不能计算；请补充后再算")
    outside = _outside_records(computation, period, facts)
    if outside:
        return _none(computation, "outside_records", outside)
    missing = facts.texts("missing_months")
    if missing:
        shown = "、".join(missing[:_SHOWN_MONTHS]) + (" 等" if len(missing) > _SHOWN_MONTHS else "")
        return _none(computation, "missing_months", f"缺 {len(missing)} 个月的数据：{shown}；补报后再算")
    regions = facts.texts("missing_regions")
    if regions:
        return _none(
            computation,
            "missing_regions",
            f"缺 {len(regions)} 个地区 {period.last[:4]} 年的统计：{'、'.join(regions)}；补报后再算",
        )
    if "denominator" in facts.row and not facts.number("denominator"):
        return _none(computation, "zero_denominator", f"分母为零或没有数据，算不出结果：{computation.formula}")
    return None


def _outside_records(computation: Computation, period: Period, facts: _Facts) -> str | None:
    """Dated records say nothing of a time before their first one; flows neither of a time after their last."""
    first, last = facts.row.get("span_first"), facts.row.get("span_last")
    if "span_first" not in facts.row:
        return None
    if first is None:
        return "数据集中没有一行带日期，不能判断所选期间的情况；请补充日期" if "span_last" in facts.row else None
    if period.last_day.isoformat() < first:
        return f"数据从 {first} 开始，所选期间 {period.first} 至 {period.last} 在此之前"
    if last is not None and computation.cadence == "year" and period.first_day.isoformat() > last:
        return f"数据到 {last} 为止，所选期间 {period.first} 至 {period.last} 在此之后"
    return None


def _as_of(computation: Computation, period: Period, facts: _Facts) -> str | None:
    """The end of the period, or the newest data where those are older."""
    newest = str(facts.row.get("data_at") or period.last_day.isoformat())
    return min(period.last, newest[:7]) if computation.cadence == "year" else min(period.last_day.isoformat(), newest)


def _notes(computation: Computation, period: Period, facts: _Facts) -> tuple[str, ...]:
    notes = []
    if computation.cadence == "year" and not period.is_calendar_year:
        notes.append(f"所选期间 {period.first} 至 {period.last} 是滚动 12 个月，不是文件所说的年度")
    newest, first = facts.row.get("data_at"), facts.row.get("span_first")
    if newest and newest < period.last_day.isoformat():
        notes.append(f"所选期间到 {period.last_day.isoformat()} 为止，数据截至 {newest}")
    if computation.cadence == "year" and first and first > period.first_day.isoformat():
        notes.append(f"数据从 {first} 开始，期内此前没有记录")
    texts = {
        "silent": "范围内 {n} 家企业期内没有数据",
        "gaps": "企业首末月之间共缺 {n} 个企业月",
        "without_denominator": "{n} 家企业营业收入为零，算不出比例，没有计入",
        "undated": "{n} 行没有日期，已计入",
        "undated_left_out": "{n} 行没有日期，没有计入",
        "unmarked": f"{{n}} 行没有标注{computation.mark}，没有计入",
    }
    notes += [text.format(n=facts.count(name)) for name, text in texts.items() if facts.count(name)]
    return tuple(notes)


def _part(item: Mapping[str, Any]) -> Part:
    value = item["value"]
    return Part(str(item["label"]), None if value is None else float(value), str(item["unit"]))


def _scope_text(scope: Scope) -> str:
    region = f"地区 {scope.region}" if scope.region else "全部地区"
    return f"{region}，{'产业链 ' + scope.chain if scope.chain else '全部产业链'}"


def _none(computation: Computation, code: ReasonCode, reason: str) -> Outcome:
    return Outcome(computation.id, "no_value", computation.unit, reason_code=code, reason=reason)
