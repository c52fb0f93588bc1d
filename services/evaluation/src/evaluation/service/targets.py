"""Targets of a cluster's indicators, by period."""

from __future__ import annotations

import math
from typing import Any

from brain_kit.auth import Principal
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database

from evaluation.service.catalogue import known_indicator, known_set
from evaluation.service.clusters import known_cluster
from evaluation.service.histories import history_items, remember
from evaluation.service.problems import ChoiceWrong
from evaluation.service.requests import checked_period
from evaluation.store import choices as store

Body = dict[str, Any]
KIND = "target"


def list_targets(database: Database, set_id: str, cluster: str) -> Body:
    """Targets of a set for a cluster. Raises SetUnknown, ClusterUnknown."""
    known_set(set_id)
    with database.reading() as session:
        known_cluster(session, cluster)
        rows = store.target_rows(session, cluster, set_id)
    return {"items": [_body(row) for row in rows], "next": None}


def put_target(database: Database, caller: Principal, set_id: str, code: str, body: Body) -> Body:
    """Sets a target, or removes it with value null. Raises ChoiceWrong and what the place is wrong in."""
    _, indicator = known_indicator(set_id, code)
    value = body["value"]
    if indicator.answer == "text":
        raise ChoiceWrong(f"指标「{indicator.name}」是文字说明，没有目标值", field="value")
    if value is not None and not math.isfinite(value):
        raise ChoiceWrong("目标值应为有限的数", field="value")
    period = checked_period(body["period"])
    key = {"cluster": body["cluster"], "set_id": set_id, "indicator": indicator.id, "period": period}
    now = utc_now()
    with database.transaction() as session:
        known_cluster(session, body["cluster"])
        before = store.save_target(session, key, value, caller.subject, now)
        subject = "/".join(key.values())
        remember(session, caller, (KIND, subject), "put", now, before={"value": before}, after={"value": value})
        return key | {"value": value, "history": history_items(session, KIND, subject)}


def _body(row: Any) -> Body:
    return {
        "cluster": row.cluster,
        "set_id": row.set_id,
        "indicator": row.indicator,
        "period": row.period,
        "value": row.value,
        "updated_by": row.updated_by,
        "updated_at": rfc3339(row.updated_at),
    }
