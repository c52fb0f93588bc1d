"""How the data hub does: what waits for a commit, the slowest queries, how fast the object store answers."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from brain_kit.objects import ObjectStore
from brain_kit.problems import Problem

from data_hub import store

SLOWEST = 10
SLOWEST_WITHIN = timedelta(hours=24)


def operation(database: Database, objects: ObjectStore) -> dict[str, Any]:
    """JSON members: backlog, slow_queries (of the last day), objects.

    backlog: by data set, pushes and rows that wait and for how many seconds the oldest does. objects: ok, the ms that
    a probe of the store took, detail when it failed.
    """
    now = utc_now()
    with database.reading() as session:
        waiting = store.backlog(session)
        slow = store.slowest_queries(session, now - SLOWEST_WITHIN, SLOWEST)
    return {
        "backlog": [
            {
                "dataset": row["dataset"],
                "pushes": row["pushes"],
                "rows": int(row["rows"] or 0),
                "oldest_s": None if row["oldest_at"] is None else round((now - row["oldest_at"]).total_seconds(), 1),
            }
            for row in waiting
        ],
        "slow_queries": [
            row | {"started_at": rfc3339(row["started_at"]), "elapsed_ms": round(row["elapsed_ms"], 1)} for row in slow
        ],
        "objects": _probe(objects),
    }


def _probe(objects: ObjectStore) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        objects.ping()
    except Problem as problem:
        return {"ok": False, "ms": None, "detail": problem.detail}
    return {"ok": True, "ms": round((time.perf_counter() - started) * 1000, 2), "detail": None}
