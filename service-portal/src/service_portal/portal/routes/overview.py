"""The cockpit's first page: how are we, what must I do, what flows in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from brain_kit.clock import utc_now
from fastapi import APIRouter
from starlette.responses import Response

from service_portal.portal import formats
from service_portal.portal.clients import Brain
from service_portal.portal.parts import Part, part, push_trend
from service_portal.portal.shapes import Dataset, catalogue
from service_portal.portal.translations import mark
from service_portal.portal.visit import SignedIn, Visit

router = APIRouter()
TREND_PUSHES = 200
BETTER_UP = {"revenue", "output", "profit", "enterprises", "tax", "export", "rd_expense", "employees"}
BETTER_DOWN = {"missing_nodes", "weak_nodes", "energy", "energy_intensity", "emission"}


@dataclass(frozen=True)
class Figure:
    """One tile of the first row, ready to show."""

    title: str
    digits: str
    unit: str
    change: str
    tone: str
    source: str
    as_of: str
    href: str
    trend: list[float | None]
    note: str


@dataclass(frozen=True)
class Task:
    """Something to do: its weight in words and colour, and where to do it."""

    tone: str
    title: str
    detail: str
    meta: str
    action: str
    href: str


@router.get("/")
def overview(visit: SignedIn, chain: str = "") -> Response:
    """Figures, the chain, findings, warehouses and the trend of pushes. A part that fails says so in its place."""
    brain = visit.brain
    head = part(lambda: brain.get("government-services", "/v1/overview", chain=chain))
    known: dict[str, Any] = head.value or {}
    chains = known.get("chains") or []
    built = [item["id"] for item in chains if item.get("built_at")]
    current = chain or known.get("chain") or next(iter(built or [item["id"] for item in chains]), None)
    panorama: Part[dict[str, Any]] = part(lambda: brain.panorama(current)) if current else Part(None)
    statistics = part(brain.statistics)
    pushes = part(lambda: brain.pushes(limit=TREND_PUSHES)["items"])
    figures = [_figure(visit, item) for item in known.get("figures") or []]
    return visit.page(
        "overview.html",
        head=head,
        known=known,
        current=current,
        panorama=panorama,
        statistics=statistics,
        warehouses=_warehouses(statistics.value or {}),
        largest=_largest(visit, statistics.value or {}),
        pushes=pushes,
        trend=push_trend(pushes.value or []),
        figures=figures or _own_figures(visit, statistics.value or {}, pushes.value or []),
        tasks=_tasks(visit, known.get("findings") or [], pushes.value or [], brain),
        address=lambda node: f"/panorama/{quote(str(current))}/nodes/{quote(node)}",
    )


def _figure(visit: Visit, item: dict[str, Any]) -> Figure:
    unit = str(item.get("unit") or "")
    scaled = formats.money(item["value"], visit.locale) if unit == "万元" else None
    scaled = scaled or formats.count(item["value"], unit if visit.locale == "zh" else _english_unit(unit), visit.locale)
    change = item.get("change")
    basis = str(item.get("change_basis") or "")
    if change is not None:
        text = f"{formats.percent(change, signed=True)} {visit.text(mark('同比'))}"
    else:
        text = str(item.get("note") or "")
    return Figure(
        title=str(item["title"] if visit.locale == "zh" else item.get("title_en") or item["title"]),
        digits=scaled.digits,
        unit=scaled.unit,
        change=text,
        tone=_tone(str(item["id"]), change),
        source=str(item.get("source") or ""),
        as_of=_day(item.get("as_of")),
        href=str(item.get("records_url") or "/datasets"),
        trend=[point[1] for point in item.get("trend") or []],
        note=basis or str(item.get("note") or ""),
    )


def _english_unit(unit: str) -> str:
    return {"家": "", "个": "", "人": "", "项": "", "万千瓦时": "10 MWh"}.get(unit, unit)


def _tone(name: str, change: float | None) -> str:
    if not change:
        return "ink2"
    if name in BETTER_UP:
        return "good" if change > 0 else "bad"
    if name in BETTER_DOWN:
        return "good" if change < 0 else "bad"
    return "ink2"


def _day(as_of: Any) -> str:
    text = str(as_of or "")
    return text if len(text) <= 10 else formats.time(text, "%m-%d %H:%M")


def _own_figures(visit: Visit, statistics: dict[str, Any], pushes: list[dict[str, Any]]) -> list[Figure]:
    """What stands in the first row for somebody without the figures of government: her own data."""
    datasets = [item for item in statistics.get("datasets") or [] if item.get("rows") or item.get("own_rows")]
    rows = sum(int(item.get("rows") or item.get("own_rows") or 0) for item in datasets)
    rejected = sum(int(push.get("rejected") or 0) for push in pushes)
    shown = (
        (mark("可见数据集"), len(datasets), mark("个"), "/datasets"),
        (mark("可见行数"), rows, mark("行"), "/datasets"),
        (mark("近期推送"), len(pushes), mark("次"), "/pushes"),
        (mark("待修正"), rejected, mark("行"), "/pushes?rejected=some"),
    )
    figures = []
    for title, value, unit, href in shown:
        scaled = formats.count(value, visit.text(unit), visit.locale)
        source, as_of = visit.text(mark("数据汇聚")), formats.time(utc_now(), "%m-%d %H:%M")
        figures.append(Figure(visit.text(title), scaled.digits, scaled.unit, "", "ink2", source, as_of, href, [], ""))
    return figures


def _tasks(visit: Visit, findings: list[dict[str, Any]], pushes: list[dict[str, Any]], brain: Brain) -> list[Task]:
    """What must I do: pushes to mend first, since somebody waits for them; then findings on the chain."""
    tasks = []
    for push in [push for push in pushes if push.get("rejected")][:3]:
        title = visit.text(mark("%(n)s 行推送被退回")) % {"n": formats.number(push["rejected"])}
        tasks.append(
            Task(
                "bad" if push.get("state") == "refused" else "warn",
                title,
                str(push.get("dataset", "")),
                formats.time(push.get("created_at"), "%m-%d %H:%M"),
                visit.text(mark("修正")),
                f"/pushes/{quote(str(push['id']))}",
            )
        )
    for item in findings:
        url = str(item.get("url") or "/panorama")
        tasks.append(
            Task(
                str(item.get("severity") or "warn"),
                str(item.get("title") or ""),
                str(item.get("detail") or ""),
                visit.text(mark("图谱")),
                visit.text(mark("查看")),
                url,
            )
        )
    return tasks[:7]


def _largest(visit: Visit, statistics: dict[str, Any], most: int = 6) -> list[Dataset]:
    """The data sets with the most rows."""
    known = catalogue(part(visit.brain.datasets).value or [], statistics, visit.locale)
    return sorted((item for item in known if item.rows), key=lambda item: -(item.rows or 0))[:most]


def _warehouses(statistics: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the warehouse panel; the API gives a list or a mapping by name."""
    found = statistics.get("warehouses") or []
    if isinstance(found, dict):
        return [{"warehouse": name, **values} for name, values in found.items()]
    return list(found)
