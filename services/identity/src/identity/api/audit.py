"""The audit trail."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from brain_kit.auth import Caller, Principal, require
from brain_kit.clock import rfc3339
from brain_kit.database import Database
from brain_kit.problems import InvalidInput
from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime

from identity.service import audit

Auditor = Annotated[Principal, Depends(require("operator", "auditor"))]


def audit_routes(database: Database) -> APIRouter:
    """Routes of the audit trail."""
    router = APIRouter(prefix="/v1/audit", tags=["audit"])

    @router.get("", summary="审计记录")
    def list_records(  # noqa: PLR0913 - one parameter a filter
        caller: Caller,
        org: str | None = None,
        subject: str | None = None,
        action: str | None = None,
        outcome: Literal["ok", "refused", "failed"] | None = None,
        since: Annotated[AwareDatetime | None, Query(description="RFC 3339, inclusive")] = None,
        until: Annotated[AwareDatetime | None, Query(description="RFC 3339, exclusive")] = None,
        after: Annotated[str | None, Query(description="`next` of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> dict[str, Any]:
        """Who did what, newest first; others than operators see their own organisation's records."""
        if after is not None and not after.isdigit():
            raise InvalidInput("after 应为上一页的 next", errors=[{"field": "after", "value": after}])
        times = {name: rfc3339(at) if at else None for name, at in (("since", since), ("until", until))}
        filters = {"org": org, "subject": subject, "action": action, "outcome": outcome, **times}
        before = int(after) if after else None
        return audit.list_records(database, caller, before=before, limit=limit, **filters)

    @router.get("/verify", summary="校验审计链")
    def verify(caller: Auditor) -> dict[str, Any]:
        """Computes the hash chain again and names the first record that does not fit."""
        return audit.verify(database)

    return router
