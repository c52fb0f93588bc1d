"""The compute network on a map: centres with load, links, and where the work comes from; utilisation and fairness."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from service_portal.portal.borders import Borders, Point, load_borders
from service_portal.portal.exports import as_file
from service_portal.portal.parts import part
from service_portal.portal.routes.settlement import organisation_names
from service_portal.portal.routes.transfers import shown
from service_portal.portal.translations import mark
from service_portal.portal.visit import SignedIn, Visit

router = APIRouter()
DAYS = (7, 30, 90)
MOST_LINES = 6
MOST_TRANSFERS = 500
COLUMNS = (
    "centre", "title", "kind", "owner", "region", "state", "nodes", "nodes_up", "cores", "used_cores", "jobs",
    "storage_tb", "eflops_fp16", "racks_built", "racks_planned", "dedicated", "as_of", "source",
)  # fmt: skip
_MAP_WORDS = {
    "load": mark("占用"),
    "jobs": mark("作业"),
    "cores": mark("核"),
    "hours": mark("核时"),
    "link": mark("链路"),
    "transfers": mark("在途传输"),
    "none": mark("没有节点"),
}


@router.get("/compute-map")
def compute_map(visit: SignedIn, days: int = 30) -> Response:
    """Centres where they are, how full they are, how they are linked, and whose work runs there."""
    days = days if days in DAYS else 30
    found = visit.brain.inventory()
    used = part(lambda: visit.brain.utilisation(days))
    flows = used.value["flows"] if used.value else []
    alive = part(lambda: visit.brain.transfers(state="alive", limit=MOST_TRANSFERS)).value or {"items": []}
    drawn = _drawn(visit, found, flows) | {"transfers": _on_links(alive["items"])}
    return visit.page("compute_map.html", found=found, used=used, drawn=drawn, days=days, choices=DAYS)


@router.get("/compute-map.{kind}")
def compute_map_file(visit: SignedIn, kind: str) -> Response:
    """The inventory as a file."""
    rows = [item | {"eflops_fp16": item["eflops"].get("fp16")} for item in visit.brain.inventory()["items"]]
    return as_file("xlsx" if kind == "xlsx" else "csv", "inventory", COLUMNS, rows)


@router.get("/compute-map/borders/{digest}")
def borders(visit: SignedIn, digest: str) -> Response:
    """The borders of the map; the address changes with them."""
    headers = {"Cache-Control": "private, max-age=86400"}
    return Response(_borders(visit).content, media_type="application/geo+json", headers=headers)


@router.get("/utilisation")
def utilisation(visit: SignedIn, days: int = 30) -> Response:
    """How full each centre was day by day, and how evenly tenants shared it."""
    days = days if days in DAYS else 30
    found = visit.brain.utilisation(days)
    chart = None
    busiest = sorted(found["centres"], key=lambda centre: -sum(centre["core_hours"]))[:MOST_LINES]
    if busiest:
        series = [
            {"name": centre["title"], "unit": "%", "values": centre["utilisation_pct"]}
            for centre in busiest
            if any(value is not None for value in centre["utilisation_pct"])
        ]
        chart = {"kind": "line", "x": [day[5:] for day in found["days"]], "series": series} if series else None
    names = organisation_names(visit)
    return visit.page("utilisation.html", found=found, chart=chart, days=days, choices=DAYS, names=names)


def _borders(visit: Visit) -> Borders:
    return load_borders(getattr(visit.portal.settings, "service_portal_borders", None))


def _drawn(visit: Visit, found: dict[str, Any], flows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the map draws: centres with their places, links, flows from the regions of tenants."""
    shape = _borders(visit)
    known = part(visit.brain.organisations).value or {"items": []}
    regions = {org["uscc"]: (org["name"], org["region"]) for org in known["items"]}
    centres = [_centre(item, shape) for item in found["items"]]
    places = {centre["id"]: centre["point"] for centre in centres}
    sources: dict[tuple[str, str], dict[str, Any]] = {}
    for flow in flows:
        name, region = regions.get(flow["org"], (flow["org"], ""))
        point, end = shape.point_of(region), places.get(flow["centre"])
        if point is None or end is None:
            continue
        key = (f"{point}", flow["centre"])
        line = sources.setdefault(key, {"from": point, "to": end, "hours": 0.0, "who": []})
        line["hours"] += flow["core_hours"]
        line["who"].append(name)
    placed = [centre for centre in centres if centre["point"]]
    return {
        "centres": centres,
        "links": [
            {**link, "from": places.get(link["one"]), "to": places.get(link["other"])} for link in found["links"]
        ],
        "flows": [line | {"who": line["who"][:5]} for line in sources.values() if line["hours"] > 0],
        "borders": f"/compute-map/borders/{len(shape.content):x}",
        # Without a place of its own on these borders a map would say nothing: the network is drawn as a graph.
        "geographic": bool(placed) and all(shape.covers(centre["point"]) for centre in placed),
        "words": {name: visit.text(text) for name, text in _MAP_WORDS.items()},
    }


def _on_links(alive: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Transfers on their way by link and direction: {from, to: ids of centres, count, gbit_s}."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for item in map(shown, alive):
        for one, other in pairwise(item["stops"]) if item["path"] else ():
            line = found.setdefault((one, other), {"from": one, "to": other, "count": 0, "gbit_s": 0.0})
            line["count"] += 1
            line["gbit_s"] += item["rate_gbit_s"] or 0.0
    return list(found.values())


def _centre(item: dict[str, Any], shape: Borders) -> dict[str, Any]:
    point: Point | None = None
    if item["longitude"] is not None and item["latitude"] is not None:
        point = (item["longitude"], item["latitude"])
    else:
        point = shape.point_of(item["region"])
    return {
        "id": item["centre"],
        "title": item["title"],
        "kind": item["kind"],
        "state": item["state"],
        "point": point,
        "cores": item["cores"],
        "used": item["used_cores"],
        "jobs": item["jobs"],
        "load": item["used_cores"] / item["cores"] if item["cores"] else None,
    }
