"""Simulations: choose a policy and jobs, watch the progress, compare, see the schedule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from brain_kit.clock import CHINA, utc_now
from brain_kit.problems import InvalidInput, TooLarge
from fastapi import APIRouter, Depends, Path
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service_portal.portal.exports import as_file, streamed
from service_portal.portal.parts import part
from service_portal.portal.translations import mark
from service_portal.portal.visit import Operator, Sent, Visit, check_form_token, operator
from service_portal.portal.vocabulary import SIMULATION_METRICS

router = APIRouter()
POLICIES = ("default", "short-first", "fair-share", "easy", "fcfs", "best-fit")
FORMATS = ("platform", "swf", "elasticflow", "openb")
LOG_LIMIT_BYTES = 50_000_000
DRAWN_JOBS = 400
# Of these less is better.
LESS_IS_BETTER = frozenset(
    {"mean_bounded_slowdown", "mean_wait_s", "p95_wait_s", "longest_wait_s", "mean_delay_s", "p99_delay_s", "moved_pct",
     "cost_yuan", "electricity_yuan", "co2_kg"}
)  # fmt: skip
_GANTT_WORDS = {
    "wait": mark("等待 秒"),
    "run": mark("运行 秒"),
    "processors": mark("处理器"),
    "time": mark("距首个作业提交 小时"),
}
_CURVE_WORDS = {"given": mark("分配率 %"), "apart": mark("相差 百分点")}
SimulationId = Annotated[str, Path(pattern=r"^sim_[0-9A-Z]{26}$")]


@router.get("/simulations")
def simulations(visit: Operator, after: str = "") -> Response:
    """What was tried, and the form to try another."""
    since, until = last_month(utc_now().astimezone(CHINA))
    page = visit.brain.simulations(after)
    return visit.page(
        "simulations.html", page=page, policies=POLICIES, formats=FORMATS, since=since, until=until,
        limit=LOG_LIMIT_BYTES,
    )  # fmt: skip


@dataclass(frozen=True)
class Log:
    """A log that a page sent."""

    visit: Visit
    content: bytes


async def received_log(request: Request) -> Log:
    """The body of a request. Raises SignInNeeded, Forbidden, FormExpired or TooLarge."""
    visit = await run_in_threadpool(operator, request)
    check_form_token(visit, request.headers.get("x-form-token", ""))
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > LOG_LIMIT_BYTES:
            raise TooLarge(f"日志上限 {LOG_LIMIT_BYTES // 1_000_000} MB；可先压缩（.gz），或只取一段。")
    return Log(visit, bytes(content))


@router.post("/simulations/logs")
def keep_log(received: Annotated[Log, Depends(received_log)]) -> Response:
    """Keep a log as a file of jobs; answers its digest."""
    return JSONResponse(received.visit.brain.put_file(received.content), 201)


@router.post("/simulations")
def make(sent: Sent) -> Response:
    """Queue a simulation, then show it."""
    form = sent.form
    form_of_trace = form.one("format") or "platform"
    fields: dict[str, Any] = {"policy": form.one("policy"), "format": form_of_trace, "title": form.one("title")[:100]}
    if form_of_trace == "platform":
        fields |= {"since": _day(form.one("since"), 0), "until": _day(form.one("until"), 1)}
    else:
        for member, sent_as in (("files", "file"), ("nodes", "node")):
            names, digests = form.get(f"{sent_as}_name") or [], form.get(f"{sent_as}_sha256") or []
            fields[member] = dict(zip(names, digests, strict=False))
    for name in ("limit", "seed", "processors"):
        if form.one(name):
            fields[name] = _whole(name, form.one(name))
    made = sent.visit.brain.make_simulation(fields)
    return sent.visit.go(f"/simulations/{made['id']}")


@router.get("/simulations/{simulation}")
def show(visit: Operator, simulation: SimulationId) -> Response:
    """How far it is; then the comparison with the reference and the schedule, or the curve of what was allocated."""
    found = visit.brain.simulation(simulation)
    if found["result"] and "curve" in found["result"]:
        return visit.page("simulation.html", found=found, rows=_compared(found), gantt=None, curve=_curve(visit, found))
    drawn = part(lambda: visit.brain.schedule(simulation, DRAWN_JOBS)) if found["state"] == "succeeded" else None
    gantt = None
    if drawn is not None and drawn.value:
        gantt = _gantt(visit, drawn.value["items"], found["result"]["reference"]["name"], found["policy"])
    return visit.page(
        "simulation.html", found=found, rows=_compared(found), gantt=gantt, curve=None,
        shown_jobs=len(drawn.value["items"]) if drawn and drawn.value else 0,
    )  # fmt: skip


@router.get("/simulations/{simulation}/progress")
def progress(visit: Operator, simulation: SimulationId) -> Response:
    """The part of the page that tells the progress; the whole page anew once it has ended."""
    found = visit.brain.simulation(simulation)
    if found["state"] in ("queued", "running"):
        return visit.page("_simulation_progress.html", found=found)
    return visit.go(f"/simulations/{simulation}")


@router.get("/simulations/{simulation}/metrics.{kind}")
def metrics_file(visit: Operator, simulation: SimulationId, kind: str) -> Response:
    """The comparison as a file."""
    rows = [{**row, "metric": row["code"]} for row in _compared(visit.brain.simulation(simulation))]
    return as_file("xlsx" if kind == "xlsx" else "csv", simulation, ("metric", "policy", "reference", "ratio"), rows)


@router.get("/simulations/{simulation}/schedule.csv")
def schedule_file(visit: Operator, simulation: SimulationId) -> Response:
    """When and where each job ran, as CSV."""
    return streamed(visit.brain.schedule_stream(simulation), "text/csv; charset=utf-8", f"{simulation}.csv")


@router.post("/simulations/{simulation}/cancel")
def cancel(sent: Sent, simulation: SimulationId) -> Response:
    """Stop it, then show it."""
    sent.visit.brain.cancel_simulation(simulation)
    return sent.visit.go(f"/simulations/{simulation}")


@router.post("/simulations/{simulation}/delete")
def delete(sent: Sent, simulation: SimulationId) -> Response:
    """Forget it, then show the others."""
    sent.visit.brain.delete_simulation(simulation)
    return sent.visit.go("/simulations")


def _compared(found: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a metric: the policy's value, the reference's, their ratio, and whether that is better."""
    if not found["result"]:
        return []
    plain = found["result"]["reference"]["metrics"]
    rows = []
    for code, value in found["result"]["metrics"].items():
        other = plain.get(code)
        ratio = value / other if other else None
        tone = ""
        if ratio is not None and abs(ratio - 1) > 0.005 and code in SIMULATION_METRICS:
            tone = "good" if (ratio < 1) == (code in LESS_IS_BETTER) else "bad"
        rows.append({"code": code, "policy": value, "reference": other, "ratio": ratio, "tone": tone})
    return rows


def _gantt(visit: Visit, items: list[dict[str, Any]], reference: str, policy: str) -> dict[str, Any]:
    """Bars of the policy and of the reference: [lane, start, end, processors, wait, job, tenant]."""
    centres = sorted({item["centre"] for item in items} | {item["reference_centre"] for item in items})
    tenants = sorted({item["tenant"] for item in items})
    plans = []
    for title, start, centre in ((policy, "start_at", "centre"), (reference, "reference_start_at", "reference_centre")):
        lanes: dict[str, list[float]] = {name: [] for name in centres}
        bars = []
        for item in sorted(items, key=lambda item: (item[start], item["job"])):
            ends = lanes[item[centre]]
            lane = next((place for place, end in enumerate(ends) if end <= item[start]), len(ends))
            finish = item[start] + item["run_s"]
            ends[lane : lane + 1] = [finish]
            wait = item[start] - item["submitted_at"]
            who = tenants.index(item["tenant"])
            bars.append(
                [centres.index(item[centre]), lane, item[start], finish, item["processors"], wait, item["job"], who]
            )
        plans.append({"title": title, "bars": bars, "lanes": [max(1, len(lanes[name])) for name in centres]})
    words = {name: visit.text(text) for name, text in _GANTT_WORDS.items()}
    return {"centres": centres, "tenants": tenants, "plans": plans, "words": words}


def _curve(visit: Visit, found: dict[str, Any]) -> dict[str, Any]:
    """GPUs given by what was asked for, of the policy and of the reference; below, how far they are apart."""
    result = found["result"]
    ours, theirs = result["curve"]["policy"], result["curve"]["reference"]
    given, apart = visit.text(_CURVE_WORDS["given"]), visit.text(_CURVE_WORDS["apart"])
    difference = [round(one - other, 3) for one, other in zip(ours, theirs, strict=False)]
    return {
        "kind": "line",
        "x": list(range(max(len(ours), len(theirs)))),
        "series": [
            {"name": found["policy"], "unit": given, "values": ours},
            {"name": result["reference"]["name"], "unit": given, "values": theirs},
            {"name": apart, "unit": apart, "values": difference},
        ],
    }


def last_month(now: datetime) -> tuple[str, str]:
    """First and last day of the month before."""
    first = now.replace(day=1)
    last = first - timedelta(days=1)
    return last.replace(day=1).strftime("%Y-%m-%d"), last.strftime("%Y-%m-%d")


def _day(text: str, after: int) -> str:
    """The beginning of a day in China, or of the one after it."""
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=CHINA)
    except ValueError as error:
        raise InvalidInput("日期应写成 2026-10-01。") from error
    return (day + timedelta(days=after)).isoformat()


def _whole(name: str, text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise InvalidInput(f"{name} 应为整数。")
    return int(text)
