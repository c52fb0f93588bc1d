"""The score of a cluster by a set's indicators, with what is missing from it."""

from __future__ import annotations

from typing import Any

from brain_kit.auth import Principal
from brain_kit.database import Database

from evaluation.domain.scoring import Mark, score
from evaluation.service.catalogue import known_set
from evaluation.service.clusters import cluster_body
from evaluation.service.indicators import Values, place_of
from evaluation.service.weights import CHOSEN_HERE, current_scheme

Body = dict[str, Any]


def set_score(database: Database, caller: Principal, set_id: str, *, period: str | None, cluster: str | None) -> Body:
    """Weighted score, 0 to 100: of each indicator, each group and in all.

    An indicator without a value is left out and never counts as zero; `covered` says how much of the weight is scored.
    Raises SetUnknown, ClusterUnknown, PeriodWrong.
    """
    found = known_set(set_id)
    with database.reading() as session:
        place = place_of(session, caller, cluster, period)
        values = Values.of(session, place, found)
        scheme = current_scheme(session, found)
    items = {item.id: values.item(item, trend=False) for item in found.indicators}
    marks = {name: Mark(value=item["value"], points=item.get("points")) for name, item in items.items()}
    result = score(found, scheme, marks, values.targets)
    return {
        "set": found.id,
        "cluster": None if place.cluster is None else cluster_body(place.cluster),
        "period": place.period.text,
        "total": result.total,
        "covered": result.covered,
        "chosen_by": CHOSEN_HERE,
        "explanation": result.choice,
        "groups": [
            {"id": group.id, "title": group.title, "points": points, "covered": covered}
            for group, (_, points, covered) in zip(found.groups, result.groups, strict=True)
        ],
        "items": [
            {
                "id": line.indicator,
                "code": items[line.indicator]["code"],
                "name": items[line.indicator]["name"],
                "weight": line.weight,
                "points": line.points,
                "full_mark": line.full_mark,
                "value": items[line.indicator]["value"],
                "reason": line.reason if line.points is None else None,
            }
            for line in result.lines
        ],
    }
