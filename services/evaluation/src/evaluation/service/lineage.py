"""Where a value comes from: the query, the versions it read, the very rows, and for reported values the evidence."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from brain_kit.auth import Principal
from brain_kit.clock import rfc3339
from brain_kit.database import Database
from sqlalchemy.orm import Session

from evaluation.domain.computations import Computation, Query, computations
from evaluation.domain.figures import CURRENT, figure_period
from evaluation.domain.periods import parse_period
from evaluation.domain.sets import Indicator
from evaluation.service.catalogue import known_indicator
from evaluation.service.clusters import cluster_body, scope_of
from evaluation.service.histories import history_items
from evaluation.service.indicators import Place, Values, place_of
from evaluation.service.lineage_events import job_name, lineage_run_id
from evaluation.service.reports import report_body
from evaluation.store import reports as report_store
from evaluation.store import values as store

Body = dict[str, Any]
HISTORY = 20


def indicator_lineage(
    database: Database, caller: Principal, set_id: str, code: str, *, period: str | None, cluster: str | None
) -> Body:
    """Query, data set versions, rows and evidence behind an indicator's value.

    Raises SetUnknown, IndicatorUnknown, ClusterUnknown, PeriodWrong.
    """
    found, indicator = known_indicator(set_id, code)
    with database.reading() as session:
        place = place_of(session, caller, cluster, period)
        values = Values.of(session, place, found)
        body: Body = {
            "set": found.id,
            "cluster": None if place.cluster is None else cluster_body(place.cluster),
            "period": place.period.text,
            "indicator": values.item(indicator, trend=False),
            "computation": None,
            "reports": [],
        }
        if place.cluster is None:
            return body
        if indicator.computed is not None:
            body["computation"] = _computation(session, place, computations()[indicator.computed.computation])
        if indicator.kind == "reported":
            body["reports"] = _reports(session, caller, place, set_id, indicator)
    return body


def _computation(session: Session, place: Place, computation: Computation) -> Body:
    assert place.cluster is not None
    period = figure_period(computation, place.period)
    rows = store.value_history(session, place.cluster.id, computation.id, period, HISTORY)
    newest = rows[0] if rows else None
    return {
        "id": computation.id,
        "title": computation.title,
        "formula": computation.formula,
        "choice": computation.choice,
        "period": period,
        "unit": computation.unit,
        "query": None if newest is None else _query(session, newest),
        "rows": None if newest is None else _rows(place, computation, newest),
        "datasets": [] if newest is None else [_dataset(source) for source in newest.sources],
        "statistics": "GET /api/data-hub/v1/statistics" if computation.source == "statistics" else None,
        "lineage_run": None if newest is None else lineage_run_id(newest.run, computation.id),
        "lineage_node": f"indicator:{job_name(place.cluster.id, computation.id)}",
        "history": [_history_item(row) for row in rows],
    }


def _query(session: Session, row: Any) -> Body | None:
    """The query as it ran; posting it as it stands gives the same row again."""
    if row.query_digest is None:
        return None
    return {
        "digest": row.query_digest,
        "sql": store.query_text(session, row.query_digest),
        "parameters": row.parameters,
        "versions": _versions(row.sources),
        "method": "POST",
        "path": "/api/data-hub/v1/queries",
    }


def _rows(place: Place, computation: Computation, row: Any) -> Body | None:
    """The query that lists the very rows behind the value, over the versions that it was computed from."""
    if row.query_digest is None or row.period == CURRENT:
        return None
    query: Query = computation.rows_query(parse_period(row.period), scope_of(place.cluster))
    return {
        "sql": query.sql,
        "parameters": query.parameters,
        "versions": _versions(row.sources),
        "method": "POST",
        "path": "/api/data-hub/v1/queries",
        "count": row.detail.get("rows_used"),
    }


def _versions(sources: list[Body]) -> dict[str, str]:
    return {source["dataset"]: source["version"] for source in sources if source["version"] is not None}


def _dataset(source: Body) -> Body:
    query = urlencode(
        {"dataset": source["dataset"], "direction": "up"}
        | ({"version": source["version"]} if source["version"] else {})
    )
    return {
        **source,
        "lineage_url": f"/api/data-hub/v1/lineage?{query}",
        "rows_url": f"/api/data-hub/v1/datasets/{quote(source['dataset'])}/rows"
        + (f"?{urlencode({'version': source['version']})}" if source["version"] else ""),
    }


def _history_item(row: Any) -> Body:
    return {
        "value": row.value,
        "unit": row.unit,
        "reason": row.reason,
        "as_of": row.as_of,
        "computed_at": rfc3339(row.computed_at),
        "run": row.run,
        "query_digest": row.query_digest,
        "versions": _versions(row.sources),
    }


def _reports(session: Session, caller: Principal, place: Place, set_id: str, indicator: Indicator) -> list[Body]:
    """Every reported value of the place that was not discarded, newest first, with evidence and what was done to it."""
    assert place.cluster is not None
    filters = {"cluster": place.cluster.id, "set_id": set_id, "indicator": indicator.id}
    rows = report_store.report_rows(session, filters, before=None, limit=HISTORY * 5)
    return [
        report_body(session, caller, row) | {"history": history_items(session, "report", row.id)}
        for row in [row for row in rows if row.state != "discarded"][:HISTORY]
    ]
