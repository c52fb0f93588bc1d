"""The real evaluation service with a few values of its own: only who calls is taken from the fake tokens."""

from __future__ import annotations

import base64
import json
from typing import Annotated, Any

import evaluation.main
from brain_kit.auth import Principal, bearer_token, current_principal, principal_of
from brain_kit.clock import utc_now
from brain_kit.service import Platform, ServiceRuntime
from evaluation.domain.computations import computations
from evaluation.domain.sets import criteria_sets
from evaluation.store import clusters, reports, values
from fastapi import Depends, Request

from tests.service_portal.portal.fake.data import ENTERPRISE_ORG, OPERATOR_ORG

CLUSTER, ASSESSMENT, REPORT = "demo", "asm_fake", "rep_fake"
MONTHS = [f"2025-{month:02d}" for month in range(1, 13)]
PLACE = f"period=2025&cluster={CLUSTER}"


def caller_of(request: Request) -> Principal:
    """The principal that an unsigned token of the fake identity names; the portal's own token is that of a service."""
    token = bearer_token(request)
    if "." not in token:
        return Principal("service-portal", "service", "platform", "operator", roles=frozenset({"service"}))
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return principal_of({"kind": "user", **claims})


def evaluation_runtime(platform: Platform) -> ServiceRuntime:
    """The service on a database with one cluster, its values of 2025, a report and an assessment."""
    runtime = evaluation.main.build(platform)

    def fake_caller(principal: Annotated[Principal, Depends(caller_of)]) -> Principal:
        return principal

    runtime.app.dependency_overrides[current_principal] = fake_caller
    now = utc_now()
    with platform.database("evaluation").transaction() as session:
        if clusters.cluster_row(session, CLUSTER) is None:
            body = {"id": CLUSTER, "name": "示例集群", "region": "3703", "chain": None, "synthetic": True}
            clusters.save_cluster(session, body, now)
            values.append_values(session, [_value(*item) for item in _figures()], {"0" * 64: "SELECT 1 AS value"})
            reports.add_report(session, _report())
            reports.add_assessment(session, _assessment())
    return runtime


def _figures() -> list[tuple[int, str, str, float | None]]:
    """Place, computation, period and value; the last computation has none."""
    found: list[tuple[int, str, str, float | None]] = []
    for place, (name, computation) in enumerate(computations().items()):
        periods = {"year": ["2024-12..2025-11", "2025"], "as_of": MONTHS, "current": ["current"]}[computation.cadence]
        last = place == len(computations()) - 1
        found += [(place, name, period, None if last else 10.5 * (place + at + 1)) for at, period in enumerate(periods)]
    return found


def _value(place: int, computation: str, period: str, value: float | None) -> dict[str, Any]:
    known = computations()[computation]
    sources = [{"dataset": name, "version": "7", "committed_at": None, "rows": 40} for name in known.datasets]
    return {
        "run": f"run_{place}",
        "computation": computation,
        "cluster": CLUSTER,
        "period": period,
        "value": value,
        "numerator": value,
        "denominator": 2.0,
        "unit": known.unit,
        "reason_code": "no_rows" if value is None else None,
        "reason": "所选期间没有可以计算的数据" if value is None else None,
        "as_of": "2025-12-31",
        "query_digest": "0" * 64,
        "parameters": {"region": "3703"},
        "sources": sources,
        "detail": {
            "rows_used": 40,
            "missing_months": [],
            "parts": [{"label": "其中", "value": 1, "unit": "家"}],
            "notes": [],
        },
        "computed_at": utc_now(),
    }


def _report() -> dict[str, Any]:
    now = utc_now()
    return {
        "id": REPORT, "set_id": "construction", "indicator": "L1P2", "cluster": CLUSTER, "period": "2025", "value": 3.0,
        "text": None, "unit": "个", "note": "见附件", "state": "submitted", "version": 3, "org": OPERATOR_ORG,
        "authors": ["analyst"], "submitter": "analyst", "submitted_at": now, "created_at": now, "updated_at": now,
    }  # fmt: skip


def _assessment() -> dict[str, Any]:
    now = utc_now()
    criteria = criteria_sets()["morning-star-factory"].criteria
    marks = {item.id: {"met": 1 in item.levels or 2 in item.levels, "note": "自评说明"} for item in criteria}
    return {
        "id": ASSESSMENT, "org": ENTERPRISE_ORG, "org_name": "示例机床有限公司", "year": "2025", "marks": marks,
        "state": "submitted", "version": 2, "authors": ["owner"], "submitter": "owner", "submitted_at": now,
        "created_at": now, "updated_at": now,
    }  # fmt: skip
