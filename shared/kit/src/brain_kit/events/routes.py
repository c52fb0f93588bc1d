"""The internal routes about events that every service offers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from brain_kit.database import Database
from brain_kit.events import dead_letters
from brain_kit.events.bus import EventBus
from brain_kit.events.status import MAX_PAGE, event_status, recent_events

Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
Place = Annotated[int, Query(ge=0)]


def event_routes(
    database: Database, bus: EventBus, groups: Mapping[str, Iterable[str]], require: Callable[..., Any]
) -> APIRouter:
    """Routes below `/internal/events` for status, recent events, dead letters and their replay.

    groups: each consumer group of the service with its topics (its handlers will do). require: the dependency that
    lets operators and services in. A replay is queued and done by the group's consumer, wherever that runs.
    """
    router = APIRouter(prefix="/internal/events", tags=["events"], dependencies=[Depends(require)])

    @router.get("")
    def status() -> dict[str, Any]:
        """Outbox, and lag and dead letters of each group."""
        return {"items": [event_status(database, bus, group, topics) for group, topics in groups.items()], "next": None}

    @router.get("/recent")
    def recent(topic: str = "", after: Place | None = None, limit: Limit = 50) -> dict[str, Any]:
        """Events that this service emitted, newest first."""
        return recent_events(database, topic=topic, before=after, limit=limit)

    @router.get("/dead")
    def dead(group: str = "", state: str = "", after: Place = 0, limit: Limit = 50) -> dict[str, Any]:
        """Dead letters of this service's groups, oldest first."""
        with database.reading() as session:
            items = dead_letters.listed(session, group=group, state=state, after=after, limit=limit + 1)
        more = len(items) > limit
        return {"items": items[:limit], "next": str(items[limit - 1]["id"]) if more else None}

    @router.post("/dead/{dead_id}/replay", status_code=202)
    def replay(dead_id: int) -> dict[str, Any]:
        """Queue the dead letter for replay; its state tells when it is done."""
        with database.transaction() as session:
            dead_letters.queue_replay(session, dead_id)
        return {"id": dead_id, "state": dead_letters.QUEUED}

    return router
