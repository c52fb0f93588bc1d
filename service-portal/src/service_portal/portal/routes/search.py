"""One search over data sets, nodes and enterprises."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from service_portal.portal.parts import part
from service_portal.portal.routes.enterprises import quoted
from service_portal.portal.routes.panorama import chosen, node_address
from service_portal.portal.shapes import dataset_of
from service_portal.portal.visit import SignedIn, Visit

router = APIRouter()
MOST = 20
ENTERPRISES = "public.enterprise"


@router.get("/search")
def search(visit: SignedIn, q: str = "") -> Response:
    """What has the text in its name or code."""
    text = q.strip()
    needle = text.casefold()
    datasets = [dataset_of(item, visit.locale) for item in part(visit.brain.datasets).value or []] if text else []
    return visit.page(
        "search.html",
        q=q,
        datasets=[item for item in datasets if needle in item.search_text][:MOST],
        nodes=_nodes(visit, text) if text else [],
        enterprises=_enterprises(visit, text) if text else [],
    )


def _nodes(visit: Visit, text: str) -> list[dict[str, Any]]:
    found = []
    for chain in part(visit.brain.chains).value or []:
        panorama = part(lambda chain=chain: visit.brain.panorama(chain["id"])).value or {}  # type: ignore[misc]
        for node in chosen(panorama.get("nodes") or [], "", "", text):
            found.append({**node, "chain": chain["name"], "url": node_address(chain["id"], node["id"])})
    return found[:MOST]


def _enterprises(visit: Visit, text: str) -> list[dict[str, Any]]:
    pattern = quoted(text.replace("%", "").replace("_", ""))
    condition = f"name LIKE '%{pattern}%' OR uscc = '{quoted(text.upper())}'"
    page = part(lambda: visit.brain.rows(ENTERPRISES, columns="uscc,name", filter=condition, limit=MOST))
    return list((page.value or {}).get("items") or [])
