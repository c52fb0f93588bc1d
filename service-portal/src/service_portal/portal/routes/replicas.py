"""Copies of data sets at centres: which version lies where, whether it may be used, forgetting one; for operators."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from starlette.responses import Response

from service_portal.portal.exports import as_file, every
from service_portal.portal.routes.network import centre_names
from service_portal.portal.visit import Operator, Sent

router = APIRouter()
PAGE, EXPORTED = 100, 10_000
COLUMNS = (
    "dataset", "version", "view", "centre", "bytes", "sha256", "state", "note", "used_at", "updated_at",
)  # fmt: skip


@router.get("/network/replicas")
def replicas(visit: Operator, dataset: str = "", centre: str = "", after: str = "") -> Response:
    """The copies that are registered."""
    page = visit.brain.replicas(dataset=dataset, centre=centre, after=after, limit=PAGE)
    return visit.page("replicas.html", page=page, dataset=dataset, centre=centre, names=centre_names(visit))


@router.get("/network/replicas.{kind}")
def replicas_file(visit: Operator, kind: Literal["csv", "xlsx"], dataset: str = "", centre: str = "") -> Response:
    """The copies of the list, up to ten thousand, as a file."""
    found = every(lambda after: visit.brain.replicas(dataset=dataset, centre=centre, after=after, limit=1000), EXPORTED)
    return as_file(kind, "replicas", COLUMNS, found)


@router.post("/network/replicas/remove")
def remove_replica(sent: Sent) -> Response:
    """Forgets a copy, then shows the others."""
    form = sent.form
    key = [form.one(name) for name in ("dataset", "version", "centre", "view")]
    sent.visit.brain.remove_replica(*key)
    return sent.visit.go("/network/replicas")
