"""Events of every service: outbox, lag, dead letters and their replay. For operators."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from service_portal.portal.clients import EVENT_SERVICES, EventDesk
from service_portal.portal.parts import part
from service_portal.portal.visit import Operator, Sent, Visit, operator

router = APIRouter()


@router.get("/events")
def events(visit: Operator) -> Response:
    """The event desk."""
    return visit.page("events.html", services=_services(visit))


@router.get("/events/status")
def status(visit: Operator) -> Response:
    """The changing part of the desk, asked for every few seconds."""
    return visit.page("_events.html", services=_services(visit))


@router.post("/events/{service}/dead/{dead_id}/replay")
def replay(sent: Sent, service: str, dead_id: str) -> Response:
    """Hand a dead letter to its consumer again."""
    operator(sent.visit.request)
    if service in EVENT_SERVICES:
        EventDesk(sent.visit.portal.platform).replay(service, dead_id)
    return sent.visit.go("/events")


def _services(visit: Visit) -> list[tuple[str, object]]:
    desk = EventDesk(visit.portal.platform)
    return [(name, part(lambda name=name: desk.status(name))) for name in EVENT_SERVICES]  # type: ignore[misc]
