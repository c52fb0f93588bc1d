"""Pushes with their state, and the rows that were refused."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from service_portal.portal.exports import BYTE_ORDER_MARK, as_file, streamed
from service_portal.portal.parts import part
from service_portal.portal.routes.datasets import is_synthetic
from service_portal.portal.routes.repair import REPAIR_BYTES, repair_table
from service_portal.portal.visit import SignedIn, Visit

router = APIRouter()
PAGE = 50
PAGES_SEARCHED = 6
FINAL = ("committed", "refused")
COLUMNS = ("id", "dataset", "owner", "mode", "state", "received", "accepted", "rejected", "created_at", "committed_at")


@router.get("/pushes")
def pushes(visit: SignedIn, dataset: str = "", state: str = "", rejected: str = "", after: str = "") -> Response:
    """Pushes, newest first; `rejected=some` keeps those with refused rows."""
    page = _page(visit, dataset, state, rejected, after)
    return visit.page(
        "pushes.html",
        page=page,
        names=[item["name"] for item in part(visit.brain.datasets).value or []],
        dataset=dataset,
        state=state,
        rejected=rejected,
    )


@router.get("/pushes.csv")
def pushes_file(visit: SignedIn, dataset: str = "", state: str = "", rejected: str = "", after: str = "") -> Response:
    """The pushes of the page as CSV."""
    return as_file("csv", "pushes", COLUMNS, _page(visit, dataset, state, rejected, after)["items"])


def _page(visit: Visit, dataset: str, state: str, rejected: str, after: str) -> dict[str, Any]:
    """A page of pushes; with `rejected`, up to PAGES_SEARCHED pages of the API are searched for a full one."""
    page = visit.brain.pushes(dataset=dataset, state=state, after=after, limit=PAGE)
    if rejected != "some":
        return page
    found = _with_rejects(page["items"])
    for _ in range(PAGES_SEARCHED - 1):
        if not page.get("next") or len(found) >= PAGE:
            break
        page = visit.brain.pushes(dataset=dataset, state=state, after=page["next"], limit=PAGE)
        found += _with_rejects(page["items"])
    return {"items": found, "next": page.get("next")}


def _with_rejects(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item for item in items if item.get("rejected")]


@router.get("/pushes/{push_id}")
def push(visit: SignedIn, push_id: str, after: str = "") -> Response:
    """A push: progress, numbers, refused rows with reasons and a form to mend them."""
    receipt = visit.brain.push(push_id)
    rejected = int(receipt.get("rejected") or 0)
    rejects = part(lambda: visit.brain.rejects(push_id, after=after, limit=PAGE)) if rejected else None
    table = part(lambda: repair_table(visit.brain.rejects_head(push_id, REPAIR_BYTES), rejected)) if rejected else None
    return visit.page(
        "push.html",
        receipt=receipt,
        is_final=receipt["state"] in FINAL,
        synthetic=is_synthetic(visit, [receipt]),
        rejects=rejects,
        table=table,
    )


@router.get("/pushes/{push_id}/progress")
def progress(visit: SignedIn, push_id: str) -> Response:
    """The state line alone; the page asks for it again until it is final, then reloads once."""
    receipt = visit.brain.push(push_id)
    is_final = receipt["state"] in FINAL
    headers = {"HX-Refresh": "true"} if is_final and visit.is_partial else None
    return visit.page("_progress.html", headers=headers, receipt=receipt, is_final=is_final)


@router.get("/pushes/{push_id}/rejects.csv")
def rejects_file(visit: SignedIn, push_id: str) -> Response:
    """The refused rows as they came, with row number, field, code and reason: mend and push again."""
    stream = visit.brain.rejects_stream(push_id)
    return streamed(stream, "text/csv; charset=utf-8", f"rejects-{push_id}.csv", head=BYTE_ORDER_MARK)
