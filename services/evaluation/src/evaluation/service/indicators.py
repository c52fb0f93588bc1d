"""The table of a set for one cluster and period: every indicator with its value, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from brain_kit.auth import Principal
from brain_kit.clock import CHINA, rfc3339, utc_now
from brain_kit.database import Database
from sqlalchemy.orm import Session

from evaluation.domain.periods import Period, parse_period
from evaluation.domain.sets import Indicator, IndicatorSet, criteria_sets, indicator_sets
from evaluation.service.catalogue import known_indicator, known_set
from evaluation.service.clusters import chosen_cluster, cluster_body
from evaluation.service.figures import Figures
from evaluation.service.requests import checked_period
from evaluation.store import choices as choice_store
from evaluation.store import reports as report_store

Body = dict[str, Any]
GOVERNMENT_ONLY = "数值只向政府部门与运营方显示"
NO_CLUSTER = "还没有登记集群，请运营方先登记（PUT /v1/clusters/{id}）"
NOT_REPORTED = "尚未填报"
TREND_POINTS = 12


@dataclass(frozen=True)
class Place:
    """Whose values are shown: a cluster (None while there is none) and a period. shown: whether the caller may."""

    cluster: Any | None
    period: Period
    shown: bool


def list_sets() -> list[Body]:
    """Every set: where it comes from, how many indicators, how many the platform computes."""
    items = [_set_body(found) for found in indicator_sets().values()]
    for found in criteria_sets().values():
        items.append(
            {
                "id": found.id,
                "version": found.version,
                "title": found.title,
                "summary": found.summary,
                "kind": "criteria",
                "source": found.source.model_dump(),
                "count": len(found.criteria),
                "computed": 0,
                "has_codes": False,
                "groups": [{"title": item.name, "count": len(item.criteria)} for item in found.categories],
            }
        )
    return items


def set_table(
    database: Database, caller: Principal, set_id: str, *, period: str | None, cluster: str | None, trend: bool = False
) -> Body:
    """Every indicator of a set. Raises SetUnknown, ClusterUnknown, PeriodWrong."""
    found = known_set(set_id)
    with database.reading() as session:
        place = place_of(session, caller, cluster, period)
        values = Values.of(session, place, found)
    items = [values.item(indicator, trend=trend) for indicator in found.indicators]
    return {
        "set": _set_body(found),
        "cluster": None if place.cluster is None or not place.shown else cluster_body(place.cluster),
        "period": place.period.text,
        "as_of": max((item["as_of"] for item in items if item["as_of"] and item["cadence"] != "current"), default=None),
        "counts": {
            "all": len(items),
            "with_value": sum(item["value"] is not None or item["text"] is not None for item in items),
            "computed": sum(item["kind"] == "computed" for item in items),
        },
        "items": items,
        "next": None,
    }


def indicator_page(
    database: Database, caller: Principal, set_id: str, code: str, *, period: str | None, cluster: str | None
) -> Body:
    """One indicator with its value and trend. Raises SetUnknown, IndicatorUnknown, ClusterUnknown, PeriodWrong."""
    found, indicator = known_indicator(set_id, code)
    with database.reading() as session:
        place = place_of(session, caller, cluster, period)
        values = Values.of(session, place, found)
    return {
        "set": _set_body(found),
        "cluster": None if place.cluster is None or not place.shown else cluster_body(place.cluster),
        "period": place.period.text,
        "indicator": values.item(indicator, trend=True),
    }


def place_of(session: Session, caller: Principal, cluster: str | None, period: str | None) -> Place:
    """The chosen place: by default the first cluster and 上年度. Raises ClusterUnknown, PeriodWrong."""
    shown = caller.is_government
    text = checked_period(period) if period else str(utc_now().astimezone(CHINA).year - 1)
    return Place(chosen_cluster(session, cluster) if shown else None, parse_period(text), shown)


@dataclass(frozen=True)
class Values:
    """What is known of a set's indicators at one place."""

    place: Place
    set: IndicatorSet
    figures: Figures
    confirmed: dict[str, list[Any]]
    open: dict[str, Any]
    targets: dict[str, float]

    @classmethod
    def of(cls, session: Session, place: Place, found: IndicatorSet) -> Values:
        """Read once for the whole set."""
        if place.cluster is None:
            return cls(place, found, Figures(()), {}, {}, {})
        cluster = place.cluster.id
        confirmed: dict[str, list[Any]] = {}
        for row in report_store.confirmed_reports(session, cluster, found.id):
            confirmed.setdefault(row.indicator, []).append(row)
        filters = {"cluster": cluster, "set_id": found.id, "period": place.period.text}
        rows = report_store.report_rows(session, filters, before=None, limit=1000)
        targets = {
            row.indicator: row.value
            for row in choice_store.target_rows(session, cluster, found.id)
            if row.period == place.period.text
        }
        working = {row.indicator: row for row in rows if row.state in ("draft", "submitted", "returned")}
        return cls(place, found, Figures.of(session, cluster), confirmed, working, targets)

    def item(self, indicator: Indicator, *, trend: bool) -> Body:
        """An indicator as it is shown."""
        group = self.set.group_of(indicator.id)
        body: Body = {
            "id": indicator.id,
            "code": indicator.code,
            "name": indicator.name,
            "group": group.title if group else "",
            "unit": indicator.unit,
            "kind": indicator.kind,
            "answer": indicator.answer,
            "cadence": indicator.cadence,
            "formula": indicator.formula,
            "value": None,
            "text": None,
            "value_unit": indicator.unit,
            "source": None,
            "as_of": None,
            "state": "hidden",
            "reason": GOVERNMENT_ONLY if not self.place.shown else NO_CLUSTER,
            "notes": [],
            "choice": indicator.computed.choice if indicator.computed else None,
            "why_reported": indicator.why_reported,
            "target": self.targets.get(indicator.id),
            "reference": None,
            "open_report": None,
            "synthetic": bool(self.place.cluster is not None and self.place.cluster.synthetic),
        }
        if self.place.cluster is None:
            return body | ({"state": "hidden" if not self.place.shown else "no_value"})
        body |= self._computed(indicator) if indicator.kind == "computed" else self._reported(indicator)
        return body | ({"trend": self.trend(indicator)} if trend else {})

    def number(self, indicator: Indicator) -> float | None:
        """The value that counts in scores: computed, or confirmed."""
        value = self.item(indicator, trend=False)["value"]
        return None if value is None else float(value)

    def _computed(self, indicator: Indicator) -> Body:
        assert indicator.computed is not None
        figure = self.figures.figure(indicator.computed.computation, self.place.period)
        return {
            "value": figure["value"],
            "value_unit": figure["unit"],
            "source": "、".join(source["dataset"] for source in figure["sources"]) or "GET /v1/statistics",
            "as_of": figure["as_of"],
            "state": figure["state"],
            "reason": figure["reason"],
            "notes": figure["notes"],
            "choice": _joined(indicator.computed.choice, figure["choice"]),
            "computed_at": figure["computed_at"],
            "figure": figure,
        }

    def _reported(self, indicator: Indicator) -> Body:
        reference = None
        if indicator.computed is not None:
            reference = self.figures.figure(indicator.computed.computation, self.place.period)
        working = self.open.get(indicator.id)
        row = self._confirmed_at(indicator, self.place.period)
        body: Body = {
            "reference": reference,
            "open_report": None if working is None else {"id": working.id, "state": working.state},
        }
        if row is None:
            state = working.state if working is not None else "missing"
            return body | {"state": state, "reason": _why_none(working)}
        return body | {
            "value": row.value,
            "text": row.text,
            "points": row.points,
            "source": f"填报 {row.org}",
            "as_of": row.period,
            "state": "confirmed",
            "reason": None,
            "report": row.id,
            "notes": [] if row.period == self.place.period.text else [f"沿用 {row.period} 已确认的内容，之后没有变更"],
            "confirmed_at": rfc3339(row.reviewed_at) if row.reviewed_at else None,
        }

    def _confirmed_at(self, indicator: Indicator, period: Period) -> Any | None:
        """The confirmed value of a period; of what changes by decisions only, the last one up to its end."""
        rows = self.confirmed.get(indicator.id, [])
        exact = [row for row in rows if row.period == period.text]
        if exact or indicator.cadence != "event":
            return exact[-1] if exact else None
        earlier = [row for row in rows if parse_period(row.period).last <= period.last]
        return max(earlier, key=lambda row: (parse_period(row.period).last, row.reviewed_at), default=None)

    def trend(self, indicator: Indicator, points: int = TREND_POINTS) -> list[Body]:
        """Values up to the chosen period, oldest first: of month ends where computed, else of periods of its length.

        What is known of the present moment only has none.
        """
        if indicator.cadence == "current":
            return []
        length = 1 if indicator.kind == "computed" else self.place.period.length
        periods = earlier_periods(self.place.period, points, length)
        if indicator.kind == "computed" and indicator.computed is not None:
            return self.figures.points(indicator.computed.computation, periods)
        found = []
        for period in periods:
            row = self._confirmed_at(indicator, period)
            value = None if row is None else row.value
            reason = NOT_REPORTED if row is None else None
            found.append({"period": period.text, "value": value, "reason": reason, "as_of": period.last})
        return found


def earlier_periods(period: Period, count: int, length: int) -> list[Period]:
    """`count` periods of `length` months one after the other, the last one ending with `period`."""
    last = period.ending_here(length)
    return [last.shifted(-back * length) for back in range(count - 1, -1, -1)]


def _set_body(found: IndicatorSet) -> Body:
    return {
        "id": found.id,
        "version": found.version,
        "title": found.title,
        "summary": found.summary,
        "kind": "indicators",
        "source": found.source.model_dump(),
        "count": len(found.indicators),
        "computed": sum(item.kind == "computed" for item in found.indicators),
        "has_codes": any(item.code for item in found.indicators),
        "groups": [{"title": group.title, "count": len(group.indicators)} for group in found.groups],
    }


def _why_none(working: Any | None) -> str:
    if working is None:
        return NOT_REPORTED
    words = {
        "draft": "草稿还没有提交",
        "submitted": "已提交，等待另一人确认",
        "returned": f"已退回：{working.review_note}",
    }
    return words[str(working.state)]


def _joined(*texts: str | None) -> str | None:
    return "；".join(text.rstrip("。；") for text in texts if text) or None
