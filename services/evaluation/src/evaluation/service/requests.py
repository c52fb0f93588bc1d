"""Asking for a run, following it, ending it early; and what a commit to a data set asks for by itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from brain_contracts.events import WarehouseCommitted
from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import CHINA, rfc3339, utc_now
from brain_kit.database import Database
from brain_kit.ids import new_id
from sqlalchemy.orm import Session

from evaluation.domain.computations import Computation, computations
from evaluation.domain.figures import default_months, figure_periods
from evaluation.domain.periods import PeriodInvalid, parse_period
from evaluation.domain.sets import IndicatorSet, indicator_sets
from evaluation.service.clusters import known_cluster
from evaluation.service.problems import IndicatorUnknown, PeriodWrong, RunEnded, RunUnknown, SetUnknown
from evaluation.settings import Settings
from evaluation.store import clusters as cluster_store
from evaluation.store import runs as store

Body = dict[str, Any]
FINAL = ("succeeded", "failed", "cancelled")
STATES = ("queued", "running", *FINAL)
PLATFORM = "evaluation"


def request_run(database: Database, caller: Principal, body: Body, settings: Settings) -> Body:
    """Queues the computation of a cluster's values; answers the run, an equal one that still waits is given again.

    body: cluster, periods, set (None: every set), indicators (None: every one).
    Raises ClusterUnknown, SetUnknown, IndicatorUnknown, PeriodWrong.
    """
    chosen = chosen_computations(body.get("set"), body.get("indicators"))
    periods = checked_periods(body.get("periods") or default_periods(settings), settings.evaluation_most_periods)
    with database.transaction() as session:
        known_cluster(session, body["cluster"])
        row = _queue(session, body["cluster"], chosen, periods, "request", (caller.subject, caller.org))
        audit.record(session, caller, action="run.request", object=row.id, detail={"cluster": body["cluster"]})
        return run_body(row)


def get_run(database: Database, run: str) -> Body:
    """A run with its progress. Raises RunUnknown."""
    with database.reading() as session:
        row = store.run_row(session, run)
    if row is None:
        raise RunUnknown(f"没有计算任务 {run}")
    return run_body(row)


def list_runs(database: Database, *, cluster: str | None, state: str | None, after: str | None, limit: int) -> Body:
    """A page of runs, newest first."""
    with database.reading() as session:
        rows = store.run_rows(session, cluster=cluster, state=state, before=after, limit=limit + 1)
    following = rows[limit - 1].id if len(rows) > limit else None
    return {"items": [run_body(row) for row in rows[:limit]], "next": following}


def cancel_run(database: Database, caller: Principal, run: str) -> Body:
    """Ends a run before its time; values already written stay. Raises RunUnknown, RunEnded."""
    with database.transaction() as session:
        row = store.run_row(session, run)
        if row is None:
            raise RunUnknown(f"没有计算任务 {run}")
        changed = store.request_cancel(session, run, utc_now())
        if changed is None:
            raise RunEnded(f"计算任务已结束（{row.reason}），不能取消", state=row.state)
        audit.record(session, caller, action="run.cancel", object=run)
        return run_body(changed)


def on_commit(session: Session, commit: WarehouseCommitted) -> None:
    """Marks every cluster: a commit changes at least what is stored."""
    now = utc_now()
    for row in cluster_store.cluster_rows(session):
        cluster_store.touch(session, row.id, [commit.dataset], now)


def queue_touched(database: Database, settings: Settings, now: datetime) -> int:
    """Queues a run for each cluster whose data sets have come to rest; returns how many."""
    quiet = now - timedelta(seconds=settings.evaluation_quiet_s)
    longest = now - timedelta(seconds=settings.evaluation_longest_wait_s)
    with database.transaction() as session:
        marks = cluster_store.touched(session, quiet, longest)
        for mark in marks:
            chosen = [name for name, found in computations().items() if _reads(found, mark.datasets)]
            for periods in _by_urgency(default_periods(settings)) if chosen else ():
                _queue(session, mark.cluster, sorted(chosen), periods, "commit", (PLATFORM, PLATFORM))
            cluster_store.untouch(session, mark.cluster)
    return len(marks)


def _reads(computation: Computation, datasets: Sequence[str]) -> bool:
    """Whether a commit to the data sets changes the figure: what is stored changes with every commit."""
    return computation.source == "statistics" or bool(set(computation.datasets) & set(datasets))


def datasets_read() -> set[str]:
    """Every data set that a computation reads."""
    return {dataset for found in computations().values() for dataset in found.datasets}


def chosen_computations(set_id: str | None, indicators: Sequence[str] | None) -> list[str]:
    """Ids of the computations behind the indicators of a set, or behind all sets."""
    sets = indicator_sets()
    if set_id is not None and set_id not in sets:
        raise SetUnknown(f"没有指标体系 {set_id}，可用：{'、'.join(sets)}", known=list(sets))
    if indicators and set_id is None:
        raise SetUnknown("指定指标时也要指定指标体系（set）：同一编号在不同体系中含义不同", field="set")
    known: list[IndicatorSet] = [sets[set_id]] if set_id else list(sets.values())
    found = set()
    for item in (item for one in known for item in one.indicators):
        if item.computed is not None and (not indicators or item.id in indicators):
            found.add(item.computed.computation)
    if set_id and indicators:
        unknown = sorted(set(indicators) - {item.id for item in sets[set_id].indicators})
        if unknown:
            raise IndicatorUnknown(f"指标体系 {set_id} 没有指标：{'、'.join(unknown)}", unknown=unknown)
        if not found:
            raise IndicatorUnknown("所选指标由单位填报，平台不计算", indicators=list(indicators))
    return sorted(found)


def checked_periods(periods: Sequence[str], most: int) -> list[str]:
    """The periods in their one form, each once, in order. Raises PeriodWrong."""
    if len(periods) > most:
        raise PeriodWrong(f"一次最多 {most} 个期间，给了 {len(periods)} 个", field="periods")
    return sorted({checked_period(period) for period in periods})


def checked_period(text: str) -> str:
    """A period in its one form. Raises PeriodWrong saying which forms there are."""
    try:
        return parse_period(text).text
    except PeriodInvalid as error:
        raise PeriodWrong(str(error), field="period", value=text[:40]) from error


def default_periods(settings: Settings) -> list[str]:
    """The month ends that are kept up to date, by the Chinese calendar."""
    return default_months(utc_now().astimezone(CHINA).date(), settings.evaluation_kept_months)


def _by_urgency(months: list[str]) -> list[list[str]]:
    """First what pages show when they are opened: the end of last year and the newest month; then the other months."""
    december = [month for month in months if month.endswith("-12")][-1:]
    first = sorted({*december, months[-1]})
    rest = [month for month in months if month not in first]
    return [first, rest] if rest else [first]


def work_of(request: Body) -> dict[str, list[str]]:
    """Computation to the periods of its figures, in the order of work; one that no longer exists is left out."""
    known = computations()
    periods = [parse_period(text) for text in request["periods"]]
    return {name: figure_periods(known[name], periods) for name in request["computations"] if name in known}


def run_body(row: Any) -> Body:
    """A run as it is shown."""
    return {
        "id": row.id,
        "cluster": row.cluster,
        "trigger": row.trigger,
        "computations": row.request["computations"],
        "periods": row.request["periods"],
        "state": row.state,
        "reason": row.reason,
        "total": row.total,
        "done": row.done,
        "without_value": row.without_value,
        "cancel_requested": row.cancel_requested,
        "versions": row.versions,
        "requested_by": row.requested_by,
        "created_at": rfc3339(row.created_at),
        "started_at": rfc3339(row.started_at) if row.started_at else None,
        "ended_at": rfc3339(row.ended_at) if row.ended_at else None,
    }


def _queue(
    session: Session, cluster: str, chosen: list[str], periods: list[str], trigger: str, by: tuple[str, str]
) -> Any:
    request = {"computations": chosen, "periods": periods}
    waiting = store.queued_like(session, cluster, request)
    if waiting is not None:
        return waiting
    run = new_id("run")
    store.add_run(
        session,
        {
            "id": run,
            "cluster": cluster,
            "trigger": trigger,
            "request": request,
            "state": "queued",
            "reason": "排队等待计算",
            "total": sum(map(len, work_of(request).values())),
            "done": 0,
            "without_value": 0,
            "cancel_requested": False,
            "epoch": 0,
            "requested_by": by[0],
            "requested_org": by[1],
            "created_at": utc_now(),
        },
    )
    return store.run_row(session, run)
