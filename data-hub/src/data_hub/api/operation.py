"""The internal route by which operators see how the data hub does."""

from __future__ import annotations

from typing import Any

from brain_kit.auth import require
from brain_kit.database import Database
from brain_kit.objects import ObjectStore
from fastapi import APIRouter, Depends

from data_hub.service.operation import operation


def routes(database: Database, objects: ObjectStore) -> APIRouter:
    """The route with its parts wired in; it is not reachable through the gateway."""
    router = APIRouter(prefix="/internal", include_in_schema=False)

    @router.get("/operation", dependencies=[Depends(require("operator", "service"))])
    def read_operation() -> dict[str, Any]:
        """Backlog, slowest queries of the last day, object store."""
        return operation(database, objects)

    return router
