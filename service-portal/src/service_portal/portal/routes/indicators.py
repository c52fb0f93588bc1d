"""Indicator sets, the table of one set, one indicator with trend, comparison and lineage, and the weights."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from functools import partial
from typing import Any, Literal
from urllib.parse import quote

from brain_kit.clock import utc_now
from brain_kit.problems import NotFound
from fastapi import APIRouter
from starlette.responses import Response

from service_portal.portal.evaluation_api import EvaluationApi
from service_portal.portal.exports import BYTE_ORDER_MARK, XLSX, streamed
from service_portal.portal.parts import Part, part
from service_portal.portal.periods import period_choices
from service_portal.portal.shapes import dataset_of, numeric_columns
from service_portal.portal.translations import mark
from service_portal.portal.visit import SignedIn, Visit

router = APIRouter()
INVENTORY_INDICATOR = "L2P1"
FROM_INVENTORY = mark("取自存算力资源清单，数据日期 %(d)s；含合成数据时请改为真实数据")
FACTORY_SET = "morning-star-factory"
MEDIA = {"xlsx": XLSX, "csv": "text/csv; charset=utf-8"}
ROWS_SHOWN = 200
COMPUTED_POINTS, REPORTED_POINTS = 36, 8
Show = Literal["", "value", "none", "computed", "reported", "waiting"]


@router.get("/indicators")
def sets(visit: SignedIn) -> Response:
    """Every set, what waits for review, and the latest runs."""
    api = EvaluationApi(visit.brain)
    government = visit.person.is_government
    clusters = part(api.clusters) if government else None
    return visit.page(
        "indicator_sets.html",
        sets=api.sets(),
        factory_set=FACTORY_SET,
        clusters=clusters,
        names={item["id"]: item["name"] for item in (clusters.value if clusters else None) or []},
        waiting=part(api.waiting_reports) if government else None,
        runs=part(api.runs) if government else None,
        indicator_address=indicator_address,
    )


@router.get("/indicators/{set_id}")
def one_set(
    visit: SignedIn, set_id: str, period: str = "", cluster: str = "", show: Show = "", q: str = "", run: str = ""
) -> Response:
    """The table of a set as the document prints it, for a cluster and a period; both are in the address."""
    if set_id == FACTORY_SET:
        return visit.go("/factories")
    api = EvaluationApi(visit.brain)
    table = api.table(set_id, period=period, cluster=cluster, trend="true")
    place = {"period": table["period"], "cluster": table["cluster"]["id"] if table["cluster"] else ""}
    items = [item for item in table["items"] if _is_shown(item, show) and _matches(item, q)]
    followed: Part[dict[str, Any]] | None = part(lambda: api.run(run)) if run else None
    return visit.page(
        "indicator_set.html",
        table=table,
        groups=_grouped(items),
        place=place,
        clusters=_clusters(visit, api),
        choices=period_choices(utc_now()),
        show=show,
        q=q,
        score=part(lambda: api.score(set_id, **place)) if place["cluster"] else None,
        run=followed.value if followed else None,
        set_address=lambda **changes: visit.url(f"/indicators/{quote(set_id)}", **(place | changes)),
        indicator_address=lambda item: indicator_address(set_id, item["id"], place),
    )


@router.get("/indicators/{set_id}/export.{kind}")
def set_file(
    visit: SignedIn, set_id: str, kind: Literal["xlsx", "csv"], period: str = "", cluster: str = ""
) -> Response:
    """The table in the document's form."""
    stream = EvaluationApi(visit.brain).export(set_id, kind, period=period, cluster=cluster)
    name = f"{set_id}-{cluster or 'cluster'}-{period or 'period'}.{kind}"
    return streamed(stream, MEDIA[kind], name)


@router.get("/indicators/{set_id}/weights")
def weights(visit: SignedIn, set_id: str) -> Response:
    """Weights and full marks of a set, with who changed them; chosen by this platform."""
    return weights_page(visit, set_id)


def weights_page(visit: Visit, set_id: str, status: int = 200, **extra: Any) -> Response:
    """The page of weights; extra: what was typed and the problem, after a refusal."""
    found = EvaluationApi(visit.brain).weights(set_id)
    context = {"problem": None, "typed": None} | extra
    may_edit = visit.person.has("operator", "analyst")
    return visit.page("indicator_weights.html", status=status, found=found, may_edit=may_edit, **context)


@router.get("/indicators/{set_id}/{code}")
def indicator(visit: SignedIn, set_id: str, code: str, period: str = "", cluster: str = "", fill: str = "") -> Response:
    """One indicator: value, trend, comparison, query and lineage, evidence and review.

    fill: `inventory` fills the form in with what the compute network states; nothing is kept until it is sent.
    """
    typed = _offered(visit, code) if fill == "inventory" else {}
    return indicator_page(visit, set_id, code, period, cluster, typed=typed)


def indicator_page(
    visit: Visit, set_id: str, code: str, period: str, cluster: str, status: int = 200, **extra: Any
) -> Response:
    """The page of an indicator; extra: what was typed and the problem, after a refusal."""
    api = EvaluationApi(visit.brain)
    found = api.indicator(set_id, code, period=period, cluster=cluster)
    place = {"period": found["period"], "cluster": found["cluster"]["id"] if found["cluster"] else ""}
    government = visit.person.is_government and bool(place["cluster"])
    series: Part[dict[str, Any]] | None = None
    if government and found["indicator"]["cadence"] != "current":
        points = COMPUTED_POINTS if found["indicator"]["kind"] == "computed" else REPORTED_POINTS
        series = part(lambda: api.series(set_id, code, until=place["period"], cluster=place["cluster"], points=points))
    context = {"problem": None, "typed": {}} | extra
    return visit.page(
        "indicator.html",
        status=status,
        found=found,
        item=found["indicator"],
        place=place,
        clusters=_clusters(visit, api),
        choices=period_choices(utc_now()),
        series=series,
        chart=_chart(series.value, visit.text(mark("目标值"))) if series and series.value else None,
        comparison=part(lambda: api.comparison(set_id, code, place["period"])) if government else None,
        lineage=part(lambda: api.lineage(set_id, code, **place)) if government else None,
        may_edit=government and visit.person.has("operator", "analyst"),
        offers=code == INVENTORY_INDICATOR,
        here=lambda **changes: visit.url(f"/indicators/{quote(set_id)}/{quote(code)}", **(place | changes)),
        rows_address=visit.url(f"/indicators/{quote(set_id)}/{quote(code)}/rows", **place),
        **context,
    )


@router.get("/indicators/{set_id}/{code}/rows")
def rows(visit: SignedIn, set_id: str, code: str, period: str = "", cluster: str = "") -> Response:
    """The very rows behind a computed value, read at the versions that it was computed from."""
    api = EvaluationApi(visit.brain)
    lineage = api.lineage(set_id, code, period=period, cluster=cluster)
    query = _rows_query(lineage)
    page = part(lambda: api.rows(query, ROWS_SHOWN))
    return visit.page(
        "indicator_rows.html",
        lineage=lineage,
        query=query,
        page=page,
        numeric=numeric_columns((page.value or {}).get("items") or []),
        titles=_column_titles(visit, query["versions"]),
        back=indicator_address(set_id, code, {"period": period, "cluster": cluster}),
        csv=visit.url(f"/indicators/{quote(set_id)}/{quote(code)}/rows.csv", period=period, cluster=cluster),
    )


def _column_titles(visit: Visit, datasets: Iterable[str]) -> dict[str, str]:
    """What the columns of some data sets are called, by their names; of several that share a name, the first."""
    titles: dict[str, str] = {}
    for name in datasets:
        found = part(partial(lambda wanted: dataset_of(visit.brain.dataset(wanted), visit.locale), name)).value
        for column in found.columns if found else ():
            titles.setdefault(column.name, f"{column.title or column.name} {column.unit}".strip())
    return titles


@router.get("/indicators/{set_id}/{code}/rows.csv")
def rows_file(visit: SignedIn, set_id: str, code: str, period: str = "", cluster: str = "") -> Response:
    """All of these rows."""
    api = EvaluationApi(visit.brain)
    query = _rows_query(api.lineage(set_id, code, period=period, cluster=cluster))
    return streamed(api.rows_file(query), "text/csv; charset=utf-8", f"{set_id}-{code}-rows.csv", head=BYTE_ORDER_MARK)


@router.get("/indicator-runs/{run}/progress")
def progress(visit: SignedIn, run: str) -> Response:
    """The progress of a run alone; the page asks again until it has ended, then reloads once."""
    found = EvaluationApi(visit.brain).run(run)
    is_final = found["state"] not in ("queued", "running")
    headers = {"HX-Refresh": "true"} if is_final and visit.is_partial else None
    return visit.page("_indicator_run.html", headers=headers, run=found)


def indicator_address(set_id: str, code: str, place: dict[str, str] | None = None) -> str:
    """The page of an indicator at a place."""
    query = "&".join(f"{name}={quote(value)}" for name, value in (place or {}).items() if value)
    return f"/indicators/{quote(set_id)}/{quote(code)}" + (f"?{query}" if query else "")


def _offered(visit: Visit, code: str) -> dict[str, str]:
    """What the inventory of the compute network gives for indicator L2P1: the line to report, and where it is from."""
    if code != INVENTORY_INDICATOR:
        return {}
    found = part(visit.brain.inventory).value
    if not found:
        return {}
    note = visit.text(FROM_INVENTORY) % {"d": found["as_of"] or "—"}
    return {"text": found["l2p1"]["text"], "note": note}


def _clusters(visit: Visit, api: EvaluationApi) -> list[dict[str, Any]]:
    return (part(api.clusters).value or []) if visit.person.is_government else []


def _grouped(items: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Items under the document's groups, in its order."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for item in items:
        groups.setdefault(item["group"], []).append(item)
    return list(groups.items())


def _is_shown(item: dict[str, Any], show: str) -> bool:
    has_value = item["value"] is not None or bool(item["text"])
    if show == "value":
        return has_value
    if show == "none":
        return not has_value
    if show == "waiting":
        return bool(item["open_report"]) and item["open_report"]["state"] == "submitted"
    return not show or bool(item["kind"] == show)


def _matches(item: dict[str, Any], text: str) -> bool:
    needle = text.strip().casefold()
    return not needle or needle in f"{item['code'] or ''} {item['name']} {item['formula']}".casefold()


def _chart(series: dict[str, Any], target_title: str) -> dict[str, Any] | None:
    """What charts.js draws, from the first value on; the targets of the same periods where there are any."""
    points = list(itertools.dropwhile(lambda point: point["value"] is None, series["items"]))
    if sum(point["value"] is not None for point in points) < 2:
        return None
    unit = series["unit"] or ""
    periods = [point["period"] for point in points]
    lines = [{"name": series["name"], "unit": unit, "values": [point["value"] for point in points]}]
    targets = {target["period"]: target["value"] for target in series["targets"]}
    if targets.keys() & set(periods):
        lines.append({"name": target_title, "unit": unit, "values": [targets.get(period) for period in periods]})
    return {"kind": "line", "x": periods, "series": lines}


def _rows_query(lineage: dict[str, Any]) -> dict[str, Any]:
    computation = lineage["computation"]
    if computation is None or computation["rows"] is None:
        raise NotFound("这个数值背后没有可以逐行查看的记录。")
    query: dict[str, Any] = computation["rows"]
    return query
