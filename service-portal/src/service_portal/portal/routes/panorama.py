"""The panorama of a chain as tree, force graph and table; a node with its figures, neighbours and enterprises."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import quote

from fastapi import APIRouter
from starlette.responses import Response

from service_portal.portal.exports import as_file
from service_portal.portal.shapes import one_scale
from service_portal.portal.translations import mark
from service_portal.portal.visit import SignedIn, Visit
from service_portal.portal.vocabulary import LEVELS

router = APIRouter()
View = Literal["graph", "tree", "table"]
NODE_COLUMNS = (
    "id",
    "name",
    "stage",
    "level",
    "level_reason",
    "local_enterprises",
    "enterprises",
    "measure",
    "measure_change",
    "location_quotient",
    "hhi",
    "key_score",
    "is_key",
    "upstream",
    "downstream",
)
SORTS = (
    "stage",
    "name",
    "level",
    "local_enterprises",
    "measure",
    "location_quotient",
    "hhi",
    "key_score",
    "downstream",
)
_LEVEL_ORDER = {code: index for index, code in enumerate(("missing", "weak", "middle", "strong"))}
ENTERPRISES_PER_PAGE = 30


@router.get("/panorama")
def panorama(
    visit: SignedIn,
    chain: str = "",
    view: View = "graph",
    level: str = "",
    stage: str = "",
    region: str = "",
    q: str = "",
    sort: str = "",
) -> Response:
    """A chain, filtered by level, stage, region and text; every choice is in the address."""
    chains = visit.brain.chains()
    current = chain or (str(chains[0]["id"]) if chains else "")
    if not current:
        return visit.page("panorama_empty.html")
    whole = visit.brain.panorama(current, region=region if region.isdigit() else "")
    shown = sorted_nodes(chosen(whole["nodes"], level, stage, q), sort)
    ids = {node["id"] for node in shown}
    links = [link for link in whole["links"] if link["from"] in ids and link["to"] in ids]
    return visit.page(
        "panorama.html",
        chains=chains,
        current=current,
        whole=whole,
        nodes=shown,
        links=links,
        view=view,
        level=level,
        stage=stage,
        region=region,
        q=q,
        sort=sort,
        stage_names=_stage_names(whole["nodes"]),
        measure=measure_of(whole),
        picture=_picture(visit, whole, shown, links, current),
        address=lambda node: node_address(current, node),
    )


@router.get("/panorama.{kind}")
def panorama_file(
    visit: SignedIn,
    kind: Literal["csv", "xlsx"],
    chain: str,
    level: str = "",
    stage: str = "",
    region: str = "",
    q: str = "",
    sort: str = "",
) -> Response:
    """The nodes that the page shows."""
    whole = visit.brain.panorama(chain, region=region if region.isdigit() else "")
    return as_file(kind, f"{chain}-nodes", NODE_COLUMNS, sorted_nodes(chosen(whole["nodes"], level, stage, q), sort))


@router.get("/panorama/{chain}/nodes/{node}")
def node_page(visit: SignedIn, chain: str, node: str, page: int = 1, q: str = "") -> Response:
    """A node: its figures, what lies up and down the chain, and its enterprises, the largest first."""
    profile = visit.brain.chain_node(chain, node)
    enterprises = profile.get("enterprises")
    found = _named(enterprises or [], q)
    last = max(1, -(-len(found) // ENTERPRISES_PER_PAGE))
    page = min(max(page, 1), last)
    start = (page - 1) * ENTERPRISES_PER_PAGE
    shown = found[start : start + ENTERPRISES_PER_PAGE]
    return visit.page(
        "node.html",
        chain=chain,
        profile=profile,
        node=profile["node"],
        measure=measure_of(profile),
        hidden=enterprises is None,
        total=len(enterprises or []),
        found=len(found),
        enterprises=shown,
        scales={
            name: one_scale((item.get("measures") or {}).get(name) for item in shown) for name in profile["measures"]
        },
        page=page,
        last=last,
        q=q,
        address=lambda other: node_address(chain, other),
    )


@router.get("/panorama/{chain}/nodes/{node}/enterprises.{kind}")
def node_file(visit: SignedIn, chain: str, node: str, kind: Literal["csv", "xlsx"], q: str = "") -> Response:
    """The enterprises of a node."""
    profile = visit.brain.chain_node(chain, node)
    measures = list(profile.get("measures") or {})
    items = [
        {"id": e["id"], "name": e["name"], "region": e["region"], **(e.get("measures") or {})}
        for e in _named(profile.get("enterprises") or [], q)
    ]
    return as_file(kind, f"{chain}-{node}", ["id", "name", "region", *measures], items)


def node_address(chain: str, node: str) -> str:
    """The page of a node."""
    return f"/panorama/{quote(chain, safe='')}/nodes/{quote(node, safe='')}"


def measure_of(body: dict[str, Any]) -> dict[str, Any] | None:
    """Name, title and unit of the first measure of a chain, which the node figures are in; None without one."""
    measures = body.get("measures") or {}
    name = next(iter(measures), None)
    return {"id": name, **measures[name]} if name else None


def chosen(nodes: list[dict[str, Any]], level: str, stage: str, text: str) -> list[dict[str, Any]]:
    """Nodes of a level and stage whose name or id contains a text; an empty filter lets all through."""
    needle = text.strip().casefold()
    return [
        node
        for node in nodes
        if (not level or node["level"] == level)
        and (not stage or (node.get("stage") or "") == stage)
        and (not needle or needle in str(node["name"]).casefold() or needle in str(node["id"]).casefold())
    ]


def sorted_nodes(nodes: list[dict[str, Any]], sort: str) -> list[dict[str, Any]]:
    """Nodes by a column of SORTS, numbers the largest first and unknown last; else in the order of the chain."""
    if sort not in SORTS or sort == "stage":
        return nodes
    if sort == "name":
        return sorted(nodes, key=lambda node: str(node["name"]))
    if sort == "level":
        return sorted(nodes, key=lambda node: _LEVEL_ORDER.get(str(node["level"]), 9))
    return sorted(nodes, key=lambda node: (node.get(sort) is None, -(node.get(sort) or 0)))


def _stage_names(nodes: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(str(node["stage"]) for node in nodes if node.get("stage")))


def _named(items: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    needle = text.strip().casefold()
    return [item for item in items if needle in f"{item['name']} {item['id']}".casefold()] if needle else items


def _picture(
    visit: Visit,
    whole: dict[str, Any],
    nodes: list[dict[str, Any]],
    links: list[dict[str, Any]],
    chain: str,
) -> dict[str, Any]:
    """What graph.js draws."""
    fields = ("id", "name", "stage", "parent", "level", "local_enterprises", "is_key")
    return {
        "name": whole.get("name") or chain,
        "nodes": [
            {name: node.get(name) for name in fields} | {"url": node_address(chain, node["id"])} for node in nodes
        ],
        "links": [[link["from"], link["to"], link["weight"]] for link in links],
        "levels": {code: visit.text(word) for code, word in LEVELS.items()},
        "words": {
            "enterprises": visit.text(mark("家企业")),
            "none": visit.text(mark("未分段")),
            "key": visit.text(mark("关键环节")),
        },
    }
