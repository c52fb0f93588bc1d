"""Where the rows of a data set come from and what was made of them: a graph for wide screens, a list for all."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query
from starlette.responses import Response

from service_portal.portal.formats import time as shown_time
from service_portal.portal.parts import part
from service_portal.portal.shapes import dataset_of
from service_portal.portal.visit import Sent, SignedIn, Visit
from service_portal.portal.vocabulary import LINEAGE_KINDS

router = APIRouter()
Direction = Literal["up", "down", "both"]
SHOWN_NODES = 200


@router.get("/lineage")
def lineage(
    visit: SignedIn,
    dataset: str = "",
    version: str = "",
    column: str = "",
    node: str = "",
    direction: Direction = "both",
    depth: int = Query(4, ge=1, le=40),
) -> Response:
    """The lineage of a data set, a version, a column, or of a run, push, component or indicator."""
    known = part(visit.brain.datasets)
    tables = sorted((dataset_of(item, visit.locale) for item in known.value or []), key=lambda item: item.name)
    begin = {"node": node} if node else {"dataset": dataset, "version": version, "column": column}
    found = (
        part(lambda: visit.brain.lineage(direction=direction, depth=depth, limit=SHOWN_NODES, **begin))
        if dataset or node
        else None
    )
    chosen = part(lambda: dataset_of(visit.brain.dataset(dataset), visit.locale)).value if dataset else None
    value = found.value if found is not None else None
    above = _above(value) if value else set()
    return visit.page(
        "lineage.html",
        tables=tables,
        dataset=dataset,
        chosen=chosen,
        version=version,
        column=column,
        node=node,
        direction=direction,
        depth=depth,
        found=found,
        groups=_groups(value, above) if value else [],
        picture=_picture(visit, value, above) if value else None,
        address=address,
        api_path=visit.url("/v1/lineage", direction=direction, depth=depth, **begin),
        export=visit.api_url("data-hub", visit.url("/v1/lineage/events", direction=direction, depth=depth, **begin)),
    )


@router.post("/datasets/{name}/versions/{version}/pin")
def pin(sent: Sent, name: str, version: str) -> Response:
    """Keep a version from being forgotten."""
    sent.visit.brain.pin(name, version, sent.form.one("reason"))
    return sent.visit.go(f"/datasets/{quote(name)}#versions")


@router.post("/datasets/{name}/versions/{version}/unpin")
def unpin(sent: Sent, name: str, version: str) -> Response:
    """Let a version go."""
    sent.visit.brain.unpin(name, version, sent.form.one("pin"))
    return sent.visit.go(f"/datasets/{quote(name)}#versions")


def address(node: dict[str, Any]) -> str:
    """The page of a node: data set at a version, push, or the walk from there."""
    if node["kind"] == "dataset":
        return f"/lineage?dataset={quote(node['name'])}" + (f"&version={node['version']}" if node["version"] else "")
    return f"/lineage?node={quote(node['id'], safe='')}"


def _above(found: dict[str, Any]) -> set[str]:
    """Nodes that the start comes from: those from which edges lead to it."""
    targets: dict[str, list[str]] = {}
    for edge in found["edges"]:
        targets.setdefault(edge["to"], []).append(edge["from"])
    seen, waiting = set(found["start"]), list(found["start"])
    while waiting:
        for other in targets.get(waiting.pop(), []):
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    return seen - set(found["start"])


def _groups(found: dict[str, Any], above: set[str]) -> list[dict[str, Any]]:
    """Nodes by their signed distance, the farthest source first."""
    places: dict[int, list[dict[str, Any]]] = {}
    for item in found["nodes"]:
        places.setdefault(-item["distance"] if item["id"] in above else item["distance"], []).append(item)
    return [{"distance": distance, "nodes": places[distance]} for distance in sorted(places)]


def _picture(visit: Visit, found: dict[str, Any], above: set[str]) -> dict[str, Any]:
    """What lineage.js draws."""
    start = set(found["start"])
    return {
        "nodes": [
            {
                "id": item["id"],
                "label": _label(item),
                "hint": _hint(visit, item),
                "kind": item["kind"],
                "place": -item["distance"] if item["id"] in above else item["distance"],
                "is_start": item["id"] in start,
                "url": address(item),
            }
            for item in found["nodes"]
        ],
        "links": [[edge["from"], edge["to"], "、".join(edge["columns"])] for edge in found["edges"]],
    }


def _label(node: dict[str, Any]) -> str:
    if node["kind"] == "dataset":
        number = f" #{node['sequence']}" if node.get("sequence") else ""
        return f"{node['title'] or node['name']}{number}"
    name = str(node["name"])
    return f"…{name[-8:]}" if node["kind"] in ("push", "org") else name


def _hint(visit: Visit, node: dict[str, Any]) -> str:
    when = node.get("committed_at") or node.get("state_at") or node.get("at")
    lines = [f"{visit.text(LINEAGE_KINDS[node['kind']])} · {node['name']}"]
    lines += [str(node["version"])] if node.get("version") else []
    lines += [str(shown_time(when))] if when else []
    return "\n".join(lines)
