"""Who did what: the audit log with its hash chain. For operators and auditors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from brain_kit.problems import Forbidden
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from service_portal.portal.exports import as_file
from service_portal.portal.parts import part
from service_portal.portal.visit import Sent, Visit, signed_in

router = APIRouter()
PAGE = 100
COLUMNS = ("seq", "at", "subject", "name", "org", "action", "object", "outcome", "hash")


@dataclass(frozen=True)
class Filters:
    """What narrows the log; empty lets all through. since and until are RFC 3339 times."""

    subject: str = ""
    org: str = ""
    action: str = ""
    outcome: str = ""
    since: str = ""
    until: str = ""


def auditor(request: Request) -> Visit:
    """The visit of somebody who may read the audit log. Raises SignInNeeded or Forbidden."""
    visit = signed_in(request)
    if not visit.person.has("operator", "auditor"):
        raise Forbidden("没有这个页面，或者您的角色看不到它。")
    return visit


Auditor = Annotated[Visit, Depends(auditor)]


@router.get("/audit")
def audit(visit: Auditor, filters: Annotated[Filters, Depends()], after: str = "") -> Response:
    """The log, newest first."""
    page = visit.brain.audit(**vars(filters), after=after, limit=PAGE)
    return visit.page("audit.html", page=page, filters=filters, verdict=None)


@router.get("/audit.csv")
def audit_file(visit: Auditor, filters: Annotated[Filters, Depends()], after: str = "") -> Response:
    """The entries of the page as CSV."""
    return as_file("csv", "audit", COLUMNS, visit.brain.audit(**vars(filters), after=after, limit=PAGE)["items"])


@router.post("/audit/verify")
def verify(sent: Sent) -> Response:
    """Recompute the chain and say whether every entry stands as it was written."""
    visit = auditor(sent.visit.request)
    page = visit.brain.audit(limit=PAGE)
    return visit.page("audit.html", page=page, filters=Filters(), verdict=part(visit.brain.verify_audit))
