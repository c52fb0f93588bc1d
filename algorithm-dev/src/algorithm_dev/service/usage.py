"""Calls and runs counted, settled and shown."""

from __future__ import annotations

import threading
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from brain_kit.auth import Principal
from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.problems import Problem

from algorithm_dev.domain.metering import Meter
from algorithm_dev.service.access import owns, visible_component
from algorithm_dev.store import usage

log = structlog.get_logger()


def settle(database: Database, meter: Meter) -> None:
    """Writes what was counted; puts it back when the database is away."""
    taken = meter.take()
    if not taken:
        return
    try:
        with database.transaction() as session:
            usage.add(session, taken)
    except Problem:
        meter.give_back(taken)
        raise


def run(database: Database, meter: Meter, period_s: float, stop: threading.Event) -> None:
    """Worker loop: settles until stopped, and once more at the end."""
    while not stop.wait(period_s):
        _settle_quietly(database, meter)
    _settle_quietly(database, meter)


class SettlingHere:
    """Settles in a process that answers calls, from `begin` until `close` and once more then.

    Such processes need not run workers; what they count must not wait for one.
    """

    def __init__(self, database: Database, meter: Meter, period_s: float) -> None:
        self._stop = threading.Event()
        loop = partial(run, database, meter, period_s, self._stop)
        self._thread = threading.Thread(target=loop, name="component-usage", daemon=True)

    def begin(self) -> None:
        """Start; once."""
        self._thread.start()

    def close(self) -> None:
        """Settle the rest and stop; a database that is away is not waited for."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)


def _settle_quietly(database: Database, meter: Meter) -> None:
    try:
        settle(database, meter)
    except Problem as problem:
        log.warning("usage_not_settled", code=problem.code)


def usage_view(database: Database, caller: Principal, component: str | None, days: int) -> dict[str, Any]:
    """Calls by day, component, version and organisation.

    One's own calls; the owner of a component and operators see everybody's. Raises ComponentUnknown.
    """
    org: str | None = caller.org
    if component is not None and owns(caller, visible_component(database, caller, component)[0].owner):
        org = None
    if caller.is_operator:
        org = None
    since = (utc_now() - timedelta(days=days)).strftime("%Y-%m-%d")
    with database.reading() as session:
        rows = usage.by_day(session, component, org, since)
    items = [
        {
            "day": row.day,
            "component": row.component,
            "version": row.version,
            "org": row.org,
            "kind": row.kind,
            "calls": int(row.calls),
            "failures": int(row.failures),
            "rows": int(row.rows),
            "mean_ms": round(row.milliseconds / row.calls, 3) if row.calls else None,
        }
        for row in rows
    ]
    return {"items": items, "next": None}
