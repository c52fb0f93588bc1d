"""Values over time, and of several clusters side by side."""

from __future__ import annotations

from typing import Any

from brain_kit.auth import Principal
from brain_kit.database import Database

from evaluation.domain.periods import parse_period
from evaluation.service.catalogue import known_indicator
from evaluation.service.clusters import known_cluster
from evaluation.service.indicators import Place, Values, place_of
from evaluation.service.problems import ChoiceWrong
from evaluation.service.requests import checked_period
from evaluation.store import choices as choice_store
from evaluation.store import clusters as cluster_store

Body = dict[str, Any]
MOST_CLUSTERS = 20


def indicator_series(
    database: Database,
    caller: Principal,
    set_id: str,
    code: str,
    *,
    until: str | None,
    cluster: str | None,
    points: int,
) -> Body:
    """Values of the last periods up to `until`: month ends for computed indicators, else periods of its length.

    Every point has a value or a reason. Raises SetUnknown, IndicatorUnknown, ClusterUnknown, PeriodWrong.
    """
    found, indicator = known_indicator(set_id, code)
    with database.reading() as session:
        place = place_of(session, caller, cluster, until)
        values = Values.of(session, place, found)
        targets = (
            [] if place.cluster is None else choice_store.target_rows(session, place.cluster.id, found.id, indicator.id)
        )
    item = values.item(indicator, trend=False)
    return {
        "set": found.id,
        "indicator": indicator.id,
        "code": indicator.code,
        "name": indicator.name,
        "unit": item["value_unit"],
        "kind": indicator.kind,
        "cadence": indicator.cadence,
        "cluster": None if place.cluster is None else place.cluster.id,
        "synthetic": item["synthetic"],
        "items": values.trend(indicator, points),
        "targets": [{"period": row.period, "value": row.value} for row in targets],
        "next": None,
    }


def compare_clusters(database: Database, set_id: str, code: str, *, period: str, clusters: list[str]) -> Body:
    """One indicator of several clusters (all when none is named), the largest value first.

    Raises SetUnknown, IndicatorUnknown, ClusterUnknown, PeriodWrong, ChoiceWrong (too many).
    """
    found, indicator = known_indicator(set_id, code)
    chosen = parse_period(checked_period(period))
    if len(clusters) > MOST_CLUSTERS:
        raise ChoiceWrong(f"一次最多比较 {MOST_CLUSTERS} 个集群", field="cluster")
    with database.reading() as session:
        rows = [known_cluster(session, name) for name in dict.fromkeys(clusters)] or cluster_store.cluster_rows(session)
        items = []
        for row in rows[:MOST_CLUSTERS]:
            value = Values.of(session, Place(row, chosen, shown=True), found).item(indicator, trend=False)
            kept = ("value", "text", "value_unit", "state", "reason", "as_of", "target", "notes", "synthetic")
            items.append({"cluster": row.id, "name": row.name} | {name: value[name] for name in kept})
    with_value = [item for item in items if item["value"] is not None]
    without = [item for item in items if item["value"] is None]
    return {
        "set": found.id,
        "indicator": indicator.id,
        "code": indicator.code,
        "name": indicator.name,
        "unit": indicator.unit,
        "period": chosen.text,
        "items": sorted(with_value, key=lambda item: -item["value"]) + without,
        "next": None,
    }
