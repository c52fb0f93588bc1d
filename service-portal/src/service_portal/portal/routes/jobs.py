"""The queue, and a job with its live log."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any, Literal

from fastapi import APIRouter, Header, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from service_portal.portal.exports import as_file
from service_portal.portal.formats import accelerators, moment
from service_portal.portal.parts import part
from service_portal.portal.visit import Sent, SignedIn, Visit

router = APIRouter()
PAGE = 50
EXPORTED = 1000
FINAL = ("succeeded", "failed", "cancelled")
COLUMNS = (
    "id", "name", "org", "state", "reason", "priority", "cores", "memory_mb", "accelerators", "submitted_at",
    "started_at", "ended_at", "wait_s", "run_s", "attempt", "exit_code", "predicted_start_at", "expected_yuan",
    "expected_co2_kg", "charged_yuan", "charged_co2_kg",
)  # fmt: skip
LOOK_EVERY_S = 0.5
SIGN_OF_LIFE_S = 15.0
# A stream ends before the token that it reads with; the browser comes back by itself and goes on where it was.
LONGEST_S = 120.0


@router.get("/jobs")
def jobs(
    visit: SignedIn, state: str = "", name: str = "", label: str = "", centre: str = "", after: str = ""
) -> Response:
    """Jobs, newest first, each with its state and why; centre: those that were sent there."""
    asked: dict[str, Any] = {"state": state, "name": name, "label": label, "centre": centre}
    page = visit.brain.jobs(**asked, costs="true", after=after, limit=PAGE)
    items = [_row(item) for item in page["items"]]
    return visit.page("jobs.html", page=page | {"items": items}, **asked, may_run=_may_run(visit))


@router.get("/jobs.{kind}")
def jobs_file(
    visit: SignedIn,
    kind: Literal["csv", "xlsx"],
    state: str = "",
    name: str = "",
    label: str = "",
    centre: str = "",
) -> Response:
    """The jobs of the list, up to a thousand, as a file."""
    page = visit.brain.jobs(state=state, name=name, label=label, centre=centre, costs="true", limit=EXPORTED)
    return as_file(kind, "jobs", COLUMNS, map(_row, page["items"]))


@router.get("/jobs/{job_id}")
def job(visit: SignedIn, job_id: str, rank: int = Query(0, ge=0)) -> Response:
    """A job: why it is where it is, its log (a gang's of one member), its attempts, what it used, read and left."""
    found = visit.brain.job(job_id)
    attempt, rank = found["attempt"], min(rank, found["gang"] - 1)
    text = visit.brain.log_stretch(job_id, attempt, 0, rank) if attempt else (b"", 0, False)
    return visit.page(
        "job.html",
        job=_row(found),
        costs=part(lambda: visit.brain.job_costs(job_id)),
        text=text[0].decode("utf-8", "replace"),
        start=f"{attempt}:{text[1]}",
        rank=rank,
        is_final=found["state"] in FINAL,
    )


@router.get("/jobs/{job_id}/log")
async def log(
    visit: SignedIn, job_id: str, start: str = "", rank: int = Query(0, ge=0), last_event_id: str = Header("")
) -> Response:
    """The job's log and states as server-sent events."""
    await run_in_threadpool(visit.brain.job, job_id)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    events = _events(visit, job_id, last_event_id or start, rank)
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


@router.post("/jobs/{job_id}/cancel")
def cancel(sent: Sent, job_id: str) -> Response:
    """Cancel a job, then show it."""
    sent.visit.brain.change_job(job_id, "cancel")
    return sent.visit.go(f"/jobs/{job_id}")


@router.post("/jobs/{job_id}/priority")
def set_priority(sent: Sent, job_id: str) -> Response:
    """Change the priority of a waiting job, then show it."""
    sent.visit.brain.set_priority(job_id, sent.form.one("priority"))
    return sent.visit.go(f"/jobs/{job_id}")


@router.post("/jobs/{job_id}/retry")
def retry(sent: Sent, job_id: str) -> Response:
    """Queue a job again, then show it."""
    sent.visit.brain.change_job(job_id, "retry")
    return sent.visit.go(f"/jobs/{job_id}")


async def _events(visit: Visit, job_id: str, place: str, rank: int) -> AsyncIterator[bytes]:
    epoch, _, rest = place.partition(":")
    attempt, offset = (int(epoch), int(rest)) if epoch.isdigit() and rest.isdigit() else (0, 0)
    told: tuple[Any, ...] = ()
    began = spoke = time.monotonic()
    while time.monotonic() - began < LONGEST_S:
        found = await run_in_threadpool(visit.brain.job, job_id)
        if found["attempt"] != attempt:
            attempt, offset = found["attempt"], 0
        if (now := (found["state"], found["reason"])) != told:
            told, spoke = now, time.monotonic()
            yield _event("state", {"state": found["state"], "reason": found["reason"]})
        data = b""
        if attempt:
            data, offset, _ = await run_in_threadpool(visit.brain.log_stretch, job_id, attempt, offset, rank)
        if data:
            spoke = time.monotonic()
            yield _event("log", {"text": data.decode("utf-8", "replace")}, f"{attempt}:{offset}")
        elif found["state"] in FINAL:
            yield _event("end", {"state": found["state"]})
            return
        else:
            if time.monotonic() - spoke > SIGN_OF_LIFE_S:
                spoke = time.monotonic()
                yield b": alive\n\n"
            await asyncio.sleep(LOOK_EVERY_S)


def _event(name: str, data: dict[str, Any], identity: str = "") -> bytes:
    head = f"id: {identity}\n" if identity else ""
    return f"{head}event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def _may_run(visit: Visit) -> bool:
    return visit.person.has("operator", "analyst", "developer")


def _row(job: dict[str, Any]) -> dict[str, Any]:
    """A job with what the list adds: cores, memory, seconds of waiting and running."""
    submitted, started, ended = (moment(job[name]) for name in ("submitted_at", "started_at", "ended_at"))
    wait = (started - submitted).total_seconds() if started and submitted else None
    run = (ended - started).total_seconds() if started and ended else None
    resources = job["resources"]
    expected, charged = job.get("expected") or {}, job.get("charged") or {}
    return job | {
        "cores": resources["cores"],
        "memory_mb": resources["memory_mb"],
        "accelerators": accelerators(resources["accelerators"]),
        "wait_s": None if wait is None else round(max(wait, 0.0), 1),
        "run_s": None if run is None else round(max(run, 0.0), 1),
        "expected_yuan": expected.get("money_yuan"),
        "expected_co2_kg": expected.get("co2_kg"),
        "charged_yuan": charged.get("amount"),
        "charged_co2_kg": charged.get("co2_kg"),
    }
