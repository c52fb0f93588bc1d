"""The audit trail."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from brain_kit.auth import Caller, Principal, require
from brain_kit.database import Database
from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime

from identity.api.messages import AuditPage, ChainState
from identity.service import audit

Auditor = Annotated[Principal, Depends(require("operator", "auditor"))]
Filter = Annotated[str | None, Query(max_length=200)]


def audit_routes(database: Database) -> APIRouter:
    """Routes of the audit trail."""
    router = APIRouter(prefix="/v1/audit", tags=["audit"])

    @router.get("", summary="审计记录", response_model=AuditPage)
    def list_audit(  # noqa: PLR0913 - one parameter a filter
        caller: Caller,
        org: Filter = None,
        subject: Filter = None,
        action: Filter = None,
        outcome: Literal["ok", "refused", "failed"] | None = None,
        since: Annotated[AwareDatetime | None, Query(description="RFC 3339, inclusive")] = None,
        until: Annotated[AwareDatetime | None, Query(description="RFC 3339, exclusive")] = None,
        after: Annotated[int | None, Query(ge=1, le=2**62, description="`next` of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> dict[str, Any]:
        """Who did what, newest first; others than operators see their own organisation's records."""
        equal = {"org": org, "subject": subject, "action": action, "outcome": outcome}
        return audit.list_records(database, caller, before=after, limit=limit, since=since, until=until, **equal)

    @router.get("/verify", summary="校验审计链", response_model=ChainState)
    def verify_audit(caller: Auditor) -> dict[str, Any]:
        """Computes the hash chain again and names the first record that does not fit."""
        return audit.verify(database)

    return router
