"""Transfers: data on their way to centres, how far they are, why one is paused or failed, stopping one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from brain_kit.clock import utc_now
from brain_kit.problems import Problem
from fastapi import APIRouter, Path
from starlette.responses import Response

from service_portal.portal.exports import as_file, every
from service_portal.portal.formats import moment
from service_portal.portal.parts import part
from service_portal.portal.refusals import refused
from service_portal.portal.visit import Sent, SignedIn, Visit

router = APIRouter()
PAGE, EXPORTED = 50, 5000
ALIVE = ("booked", "moving")
COLUMNS = (
    "id", "dataset", "version", "view", "source", "centre", "route", "state", "reason", "bytes", "done_bytes",
    "sent_bytes", "percent", "rate_gbit_s", "org", "waiting", "created_at", "started_at", "finish_at", "ended_at",
    "sha256",
)  # fmt: skip
TransferId = Annotated[str, Path(pattern=r"^trf_[0-9A-Z]{26}$")]


@router.get("/network/transfers")
def transfers(visit: SignedIn, state: str = "", centre: str = "", after: str = "") -> Response:
    """Transfers, the newest first; those on their way move while one looks."""
    page = visit.brain.transfers(state=state, centre=centre, after=after, limit=PAGE)
    return visit.page(
        "transfers.html",
        page=page,
        items=[shown(item) for item in page["items"]],
        state=state,
        centre=centre,
        after=after,
        centres=part(visit.brain.centres).value or [],
    )


@router.get("/network/transfers/list")
def listed(visit: SignedIn, state: str = "", centre: str = "", after: str = "") -> Response:
    """The table of the page alone, as it is now."""
    page = visit.brain.transfers(state=state, centre=centre, after=after, limit=PAGE)
    items = [shown(item) for item in page["items"]]
    return visit.page("_transfers.html", items=items, state=state, centre=centre, after=after)


@router.get("/network/transfers.{kind}")
def transfers_file(visit: SignedIn, kind: Literal["csv", "xlsx"], state: str = "", centre: str = "") -> Response:
    """The transfers of the list, up to five thousand, as a file."""
    found = every(lambda after: visit.brain.transfers(state=state, centre=centre, after=after, limit=500), EXPORTED)
    rows = (
        item | {"route": " - ".join(item["stops"]), "waiting": " ".join(item["jobs"])} for item in map(shown, found)
    )
    return as_file(kind, "transfers", COLUMNS, rows)


@router.get("/network/transfers/{transfer}")
def transfer(visit: SignedIn, transfer: TransferId) -> Response:
    """One transfer."""
    return _page(visit, transfer)


@router.get("/network/transfers/{transfer}/progress")
def progress(visit: SignedIn, transfer: TransferId) -> Response:
    """The part of the page that tells how far it is; the whole page anew once it has ended."""
    found = shown(visit.brain.transfer(transfer))
    if found["is_alive"]:
        return visit.page("_transfer_progress.html", found=found)
    return visit.go(f"/network/transfers/{transfer}")


@router.post("/network/transfers/{transfer}/cancel")
def cancel(sent: Sent, transfer: TransferId) -> Response:
    """Stops a transfer, then shows it."""
    visit, reason = sent.visit, sent.form.one("reason")
    try:
        visit.brain.cancel_transfer(transfer, reason)
    except Problem as problem:
        return _page(visit, transfer, reason, refused(problem))
    return visit.go(f"/network/transfers/{transfer}")


def shown(item: dict[str, Any]) -> dict[str, Any]:
    """A transfer with the centres that it passes and whether it is on its way.

    hold: why it does not move though it is on its way, "" when it does: no_way, paused, unread (its size is not known
    before the agent has asked), agent (nothing has come yet). resumes_at: when a paused one goes on, None unknown.
    """
    is_alive = item["state"] in ALIVE
    later = [span["from"] for span in item["reserved"] if (moment(span["from"]) or utc_now()) > utc_now()]
    hold = ""
    if is_alive:
        if item["finish_at"] is None:
            hold = "no_way"
        elif item["rate_gbit_s"] == 0:
            hold = "paused"
        elif item["bytes"] is None:
            hold = "unread"
        elif item["state"] == "booked":
            hold = "agent"
    resumes = min(later, default=None) if hold == "paused" else None
    return item | {"stops": _stops(item), "is_alive": is_alive, "hold": hold, "resumes_at": resumes}


def _stops(item: dict[str, Any]) -> list[str]:
    """The centres from the source to the end, in the order in which the data pass them."""
    stops = [item["source"]]
    for one, other in item["path"]:
        stops.append(other if stops[-1] == one else one)
    return stops if item["path"] else [item["source"], item["centre"]]


def _page(visit: Visit, transfer: str, reason: str = "", problem: dict[str, Any] | None = None) -> Response:
    found = shown(visit.brain.transfer(transfer))
    status = problem["status"] if problem else 200
    return visit.page("transfer.html", status=status, found=found, reason=reason, problem=problem)
