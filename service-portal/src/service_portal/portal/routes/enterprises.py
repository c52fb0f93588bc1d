"""The page of an enterprise: profile, months, products, sources."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fastapi import APIRouter
from starlette.responses import Response

from service_portal.portal.parts import Part, part
from service_portal.portal.routes.panorama import node_address
from service_portal.portal.shapes import dataset_of, numeric_columns
from service_portal.portal.visit import SignedIn, Visit

router = APIRouter()
ENTERPRISES, PRODUCTS = "public.enterprise", "industry.product"


@router.get("/enterprises/{identity}")
def enterprise(visit: SignedIn, identity: str) -> Response:
    """Everything the caller may know of one enterprise."""
    profile = visit.brain.enterprise(identity)
    products: Part[dict[str, Any]] = part(
        lambda: visit.brain.rows(PRODUCTS, filter=f"uscc = '{quoted(identity)}'", limit=100)
    )
    measures = _measures(visit, profile)
    series = {name: points for name, points in (profile.get("series") or {}).items() if points}
    return visit.page(
        "enterprise.html",
        identity=identity,
        profile=profile,
        products=products,
        product_numbers=numeric_columns((products.value or {}).get("items") or []),
        series=series,
        chart=_chart(measures, series),
        measures=measures,
        titles=_titles(visit),
        records=[(name, rows_address(name, identity)) for name in profile.get("sources") or []],
        node_address=node_address,
    )


def quoted(text: str) -> str:
    """A text inside single quotes of a filter."""
    return text.replace("'", "''")


def rows_address(dataset: str, identity: str) -> str:
    """The rows of a data set, narrowed to an enterprise where the key is its USCC."""
    filter_text = quote(f"uscc = '{quoted(identity)}'")
    owned = dataset.split(".")[0] == "enterprise" or dataset in (PRODUCTS, "public.enterprise")
    return f"/datasets/{dataset}/rows" + (f"?filter={filter_text}" if owned else "")


def _measures(visit: Visit, profile: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Title and unit of each measure, as the enterprise's first chain defines them; empty when they cannot be had."""
    place = next((place for place in profile.get("chains") or [] if place["nodes"]), None)
    if place is None:
        return {}
    around = part(lambda: visit.brain.panorama(place["chain"], node=place["nodes"][0]["id"], depth=1))
    return dict((around.value or {}).get("measures") or {})


def _titles(visit: Visit) -> dict[str, str]:
    """Titles of the columns that profiles and products show, by name; a column without one keeps its name."""
    found: dict[str, str] = {}
    for dataset in (ENTERPRISES, PRODUCTS):
        contract = part(lambda dataset=dataset: visit.brain.dataset(dataset)).value  # type: ignore[misc]
        if contract:
            found |= {
                column.name: column.title for column in dataset_of(contract, visit.locale).columns if column.title
            }
    return found


def _chart(measures: dict[str, dict[str, Any]], series: dict[str, list[dict[str, Any]]]) -> dict[str, Any] | None:
    """What charts.js draws: one line per measure over the months of all of them."""
    if not series:
        return None
    months = sorted({str(point["month"]) for points in series.values() for point in points})
    lines = []
    for name, points in series.items():
        by_month = {str(point["month"]): point.get("value") for point in points}
        about = measures.get(name) or {}
        values = [by_month.get(month) for month in months]
        lines.append({"name": about.get("title") or name, "unit": about.get("unit") or "", "values": values})
    return {"kind": "line", "x": months, "series": lines}
