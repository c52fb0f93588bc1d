"""Component, job, derived data set, lineage and indicator in one go, embedded and on PostgreSQL, Kafka and S3."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from brain_contracts.codes import make_uscc
from industry_brain.apiclient import ApiClient, ApiError

from tests.e2e.journey import Journey

pytestmark = [pytest.mark.slow]

DATA, ALGORITHMS, JOBS = "/api/data-hub/v1", "/api/algorithm-dev/v1", "/api/compute-scheduler/v1"
EVALUATION = "/api/evaluation/v1"
MONTHLY, REGION = "enterprise.enterprise_monthly", "371728"
MAKER, NEIGHBOUR, OFFICE = make_uscc(REGION, 7001), make_uscc(REGION, 7002), make_uscc(REGION, 7003, registrar="11")
SQL = b"SELECT month, round(kwh * factor, 3) AS co2 FROM input, parameters ORDER BY month"
KWH, FACTOR = {"2026-01": 1000.0, "2026-02": 2000.0, "2026-03": 500.5}, 0.25
PATIENCE_S = 120.0


def card(name: str) -> dict[str, Any]:
    """Monthly energy times a factor, with a golden value worked out by hand."""
    month, number = {"type": "string"}, {"type": ["number", "null"]}
    kwh, co2 = number | {"unit": "kWh"}, number | {"unit": "kgCO2"}
    return {
        "card": "1",
        "name": name,
        "version": "1.0.0",
        "title": {"zh": "用电排放", "en": "emissions of electricity"},
        "kind": "mechanism",
        "description": {"zh": "月用电量乘以因子。", "en": "Monthly electricity times a factor."},
        "owner": MAKER,
        "licence": "Apache-2.0",
        "runtime": "sql",
        "entry": "component.sql",
        "artefacts": [
            {
                "path": "component.sql",
                "sha256": hashlib.sha256(SQL).hexdigest(),
                "bytes": len(SQL),
                "media_type": "application/sql",
            }
        ],
        "signature": {
            "inputs": {
                "form": "rows",
                "schema": {"type": "object", "required": ["month"], "properties": {"month": month, "kwh": kwh}},
            },
            "outputs": {
                "form": "rows",
                "schema": {"type": "object", "required": ["month"], "properties": {"month": month, "co2": co2}},
            },
            "parameters": [{"name": "factor", "type": "number", "unit": "kgCO2/kWh", "default": 0.5}],
        },
        "golden": [
            {
                "name": "by-hand",
                "title": {"zh": "手算", "en": "by hand"},
                "source": {"title": "2 × 0.5 = 1"},
                "inputs": [{"month": "2026-02", "kwh": 2}],
                "outputs": [{"month": "2026-02", "co2": 1.0}],
            }
        ],
    }


def until(look: Callable[[], Any], fulfils: Callable[[Any], bool]) -> Any:
    """What is seen once it is as asked."""
    deadline = time.monotonic() + PATIENCE_S
    while not fulfils(seen := look()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.5)
    return seen


def test_from_component_to_job_to_data_set_to_indicator(journey: Journey) -> None:
    """A published component runs as a job over a fixed version; result and indicator tell their origin."""
    maker = journey.add_organisation("maker", MAKER, "enterprise", REGION)
    neighbour = journey.add_organisation("neighbour", NEIGHBOUR, "enterprise", REGION)
    office = journey.add_organisation("office", OFFICE, "department", REGION)
    developer = developer_of(journey, MAKER)
    push(journey, office, "public.enterprise", [enterprise(MAKER, "规上"), enterprise(NEIGHBOUR, "规下")])
    push(journey, maker, MONTHLY, [{"uscc": MAKER, "month": m, "electricity_kwh": kwh} for m, kwh in KWH.items()])
    push(journey, neighbour, MONTHLY, [{"uscc": NEIGHBOUR, "month": "2026-01", "electricity_kwh": 9.0}])
    name = f"power-{uuid.uuid4().hex[:8]}"
    publish(journey, developer, name)
    run = run_over(journey, developer, name)
    check_result(maker, neighbour, run)
    check_lineage(maker, run)
    check_indicator(journey, office)


def developer_of(journey: Journey, org: str) -> ApiClient:
    """A client of the organisation that may make components and jobs; it gets a quota."""
    made = journey.operator.post("/api/identity/v1/keys", {"org": org, "name": "dev", "roles": ["developer"]})
    journey.operator.put_json(f"{JOBS}/tenants/{org}/quota", {"quota": {"cores": 2, "memory_mb": 2048}})
    return ApiClient(journey.url, made["key"])


def enterprise(uscc: str, scale: str) -> dict[str, Any]:
    """A row of the register."""
    name = f"示例 {uscc[-4:]} 有限公司"
    return {"uscc": uscc, "name": name, "region": REGION, "industry_class": "C3421", "scale": scale, "state": "存续"}


def push(journey: Journey, api: ApiClient, dataset: str, rows: list[dict[str, Any]]) -> None:
    """Rows that are all taken."""
    body = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
    receipt = journey.push(api, dataset, body, "application/x-ndjson")
    assert (receipt["accepted"], receipt["rejected"]) == (len(rows), 0), receipt


def publish(journey: Journey, developer: ApiClient, name: str) -> None:
    """Uploaded, submitted and approved by another; until then nobody else may call it."""
    developer.put(f"{ALGORITHMS}/artefacts", SQL, "application/octet-stream")
    place = f"{ALGORITHMS}/components/{name}/versions/1.0.0"
    developer.put(place, json.dumps(card(name), ensure_ascii=False).encode(), "application/json")
    assert developer.post(f"{place}/submit")["state"] == "submitted"
    call = {"inputs": [{"month": "2026-01", "kwh": 10}], "parameters": {"factor": FACTOR}}
    with pytest.raises(ApiError) as refused:
        journey.as_("neighbour").post(f"{place}/invocations", call)
    assert refused.value.status == 404
    with pytest.raises(ApiError) as refused:
        developer.post(f"{place}/approve", {"reason": "自己批准"})
    assert refused.value.status == 403
    assert journey.operator.post(f"{place}/approve", {"reason": "与手算一致"})["state"] == "published"
    answer = journey.as_("office").post(f"{place}/invocations", call)
    assert answer["outputs"] == [{"month": "2026-01", "co2": 2.5}]


def run_over(journey: Journey, developer: ApiClient, name: str) -> dict[str, Any]:
    """A run over the version of before a later push; its job can be read by its organisation."""
    version = journey.receipts[MONTHLY]["snapshot"]
    late = [{"uscc": MAKER, "month": "2026-04", "electricity_kwh": 1.0}]
    push(journey, journey.as_("maker"), MONTHLY, late)
    wanted = {
        "dataset": MONTHLY,
        "version": str(version),
        "into": f"enterprise.{name.replace('-', '_')}",
        "mapping": {"kwh": "electricity_kwh"},
        "parameters": {"factor": FACTOR},
        "key": ["month"],
    }
    made = developer.post(f"{ALGORITHMS}/components/{name}/versions/1.0.0/runs", wanted)
    run: dict[str, Any] = until(
        lambda: developer.get(f"{ALGORITHMS}/runs/{made['id']}"), lambda seen: bool(seen["ended_at"])
    )
    assert (run["state"], run["rows_in"], run["rows_out"]) == ("succeeded", len(KWH), len(KWH)), run
    assert run["dataset_version"] == str(version)
    job = developer.get(f"{JOBS}/jobs/{run['job_id']}")
    assert (job["state"], job["exit_code"], len(job["attempts"])) == ("succeeded", 0, 1)
    return run


def check_result(maker: ApiClient, neighbour: ApiClient, run: dict[str, Any]) -> None:
    """The organisation's own rows of that version times the factor; next door it does not exist."""
    rows = maker.get(f"{DATA}/datasets/{run['into']}/rows")["items"]
    assert {row["month"]: row["co2"] for row in rows} == {m: round(kwh * FACTOR, 3) for m, kwh in KWH.items()}
    for path in (
        f"{DATA}/datasets/{run['into']}/rows",
        f"{ALGORITHMS}/runs/{run['id']}",
        f"{JOBS}/jobs/{run['job_id']}",
    ):
        with pytest.raises(ApiError) as hidden:
            neighbour.get(path)
        assert hidden.value.status in (403, 404), path


def check_lineage(maker: ApiClient, run: dict[str, Any]) -> None:
    """Above the result lie the component and the version that was read; the event names its digest and the job."""

    def found(path: str) -> str:
        return json.dumps(maker.get(f"{DATA}/{path}", dataset=run["into"], direction="up", depth=4, limit=200))

    component = f"component:{run['component']}@{run['version']}"
    for part in (f"dataset:{MONTHLY}@{run['dataset_version']}", component):
        until(lambda: found("lineage"), lambda text, part=part: part in text)  # type: ignore[misc]
    events = found("lineage/events")
    assert run["digest"] in events
    assert run["job_id"] in events


def check_indicator(journey: Journey, office: ApiClient) -> None:
    """Counted as by hand, with its query and data set versions; one that is reported says why there is no value."""
    journey.operator.put_json(
        f"{EVALUATION}/clusters/second", {"name": "示例集群", "region": REGION, "synthetic": True}
    )
    asked = {"cluster": "second", "set": "evaluation", "indicators": ["L1P4", "L1P5"], "periods": ["2026-10"]}
    made = journey.operator.post(f"{EVALUATION}/runs", asked)
    ended = until(lambda: journey.operator.get(f"{EVALUATION}/runs/{made['id']}"), lambda seen: bool(seen["ended_at"]))
    assert ended["state"] == "succeeded", ended
    where = f"{EVALUATION}/indicator-sets/evaluation/indicators"
    shown = {item["code"]: item for item in office.get(where, cluster="second", period="2026-10")["items"]}
    assert (shown["L1P4"]["value"], shown["L1P4"]["unit"], shown["L1P4"]["kind"]) == (2.0, "家", "computed")
    assert shown["L1P5"]["value"] == 1.0
    assert shown["L2P1"]["value"] is None
    assert shown["L2P1"]["kind"] == "reported"
    told = office.get(f"{where}/L1P4/lineage", cluster="second", period="2026-10")["computation"]
    assert told["query"]
    assert "public.enterprise" in json.dumps(told["datasets"])
