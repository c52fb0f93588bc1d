"""Whether the whole platform is well, on one page. For operators."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from service_portal.portal.parts import part
from service_portal.portal.visit import Operator

router = APIRouter()


@router.get("/operations")
def operations(visit: Operator) -> Response:
    """The page, with its figures."""
    return visit.page("operations.html", whole=part(visit.brain.operations))


@router.get("/operations/figures")
def figures(visit: Operator) -> Response:
    """The changing part, asked for every few seconds."""
    return visit.page("_operations.html", whole=part(visit.brain.operations))
