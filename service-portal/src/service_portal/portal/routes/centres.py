"""Computing centres: nodes, load, what jobs hold; draining for operators."""

from __future__ import annotations

from typing import Any

from brain_kit.problems import InvalidInput
from fastapi import APIRouter
from starlette.responses import Response

from service_portal.portal.exports import as_file
from service_portal.portal.visit import Sent, SignedIn

router = APIRouter()
STATES = ("open", "up", "drained")
COLUMNS = (
    "centre",
    "node",
    "state",
    "cores",
    "used_cores",
    "memory_mb",
    "used_memory_mb",
    "jobs",
    "load_1m",
    "seen_at",
)


@router.get("/centres")
def centres(visit: SignedIn) -> Response:
    """Every centre with its nodes."""
    items = [_with_sums(item) for item in visit.brain.centres()]
    return visit.page("centres.html", items=items)


@router.get("/centres.csv")
def centres_file(visit: SignedIn) -> Response:
    """The nodes as CSV."""
    rows = [
        {
            "centre": centre["id"],
            "node": node["name"],
            "used_cores": node["used"]["cores"],
            "used_memory_mb": node["used"]["memory_mb"],
            "jobs": node["used"]["jobs"],
            "load_1m": node["load"].get("load_1m"),
            **{name: node[name] for name in ("state", "cores", "memory_mb", "seen_at")},
        }
        for centre in visit.brain.centres()
        for node in centre["nodes"]
    ]
    return as_file("csv", "centres", COLUMNS, rows)


@router.post("/centres/{centre}/state")
def set_state(sent: Sent, centre: str) -> Response:
    """Drain or open a centre or one of its nodes, then show the centres."""
    state = sent.form.one("state") or ""
    if state not in STATES:
        raise InvalidInput("没有这种状态。")
    sent.visit.brain.set_centre_state(centre, sent.form.one("node") or "", state)
    return sent.visit.go(f"/centres/{centre}" if sent.form.one("back") == "centre" else "/centres")


def _with_sums(centre: dict[str, Any]) -> dict[str, Any]:
    nodes = centre["nodes"]
    cores, memory = sum(node["cores"] for node in nodes), sum(node["memory_mb"] for node in nodes)
    used = {name: sum(node["used"][name] for node in nodes) for name in ("cores", "memory_mb", "jobs")}
    return centre | {"cores": cores, "memory_mb": memory, "used": used}
