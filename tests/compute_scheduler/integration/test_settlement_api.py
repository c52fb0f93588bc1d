"""Prices, ledger and settlement over HTTP and by the command line: precise refusals, and who sees what."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest
from openpyxl import load_workbook

from tests.compute_scheduler.yard import Yard


def fields(problem: dict[str, Any]) -> set[str]:
    """The fields that a refusal names."""
    return {item["field"] for item in problem["errors"]}


def entries(yard: Yard, job_id: str, token: str | None = None) -> list[dict[str, Any]]:
    """The ledger's entries of a job, once it has some."""
    deadline = time.monotonic() + 30
    while not (found := yard.json("GET", f"/v1/ledger?job={job_id}", token)["items"]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return list(found)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"core_hour": "1.1234567"}, "core_hour"),
        ({"gib_hour": "-1"}, "gib_hour"),
        ({"accelerator_hour": {"A100": "1e3"}}, "accelerator_hour.A100"),
        ({"core_hour": 0.5}, "core_hour"),
        ({"valid_from": "2026-10-01"}, "valid_from"),
        ({"valid_from": "1999-01-01T00:00:00Z"}, "valid_from"),
        ({"currency": "USD"}, "currency"),
    ],
)
def test_a_price_that_is_no_exact_decimal_is_refused_by_field(yard: Yard, changes: dict[str, Any], field: str) -> None:
    """422 and the field; nothing is published."""
    before = yard.json("GET", "/v1/price-lists")["items"]
    problem = yard.problem("POST", "/v1/price-lists", json={"core_hour": "1"} | changes)
    assert (problem["status"], fields(problem)) == (422, {field})
    assert yard.json("GET", "/v1/price-lists")["items"] == before


def test_a_job_is_priced_and_seen_by_its_two_sides_only(yard: Yard) -> None:
    """The tenant and the operator see entry and statement; a third gets 404; the export holds the same sum."""
    yard.json("POST", "/v1/price-lists", json={"core_hour": "36000", "note": "10 元每核秒"})
    energy = {"core_w": 10, "pue": 1.5, "carbon_g_kwh": "530.6", "source": "试验", "as_of": "2026-01-31"}
    yard.json("POST", "/v1/centres/local/energy", json=energy)
    uscc, token = yard.token_of("department", ["analyst"])
    _, other = yard.token_of("department", ["analyst"])
    job_id = yard.ended(yard.submit("sleep", "0.3", token=token))["id"]
    (entry,) = entries(yard, job_id, token)
    wall_s = entry["wall_s"]
    assert entry["amount"] == f"{round(wall_s * 10, 6):.6f}"
    assert entry["energy_kwh"] == pytest.approx(wall_s * 10 * 1.5 / 3.6e6, abs=1e-9)
    assert entry["carbon_g"] == pytest.approx(entry["energy_kwh"] * 530.6, abs=1e-6)
    period = entry["period"]
    path = f"/v1/settlement/statements/{period}/{uscc}/{yard.org}"
    statement = yard.json("GET", path, token)
    assert (statement["ownership"], statement["amount"], statement["state"]) == ("borrowed", entry["amount"], "draft")
    assert yard.json("GET", path)["lines"] == statement["lines"]
    for address in (path, f"/v1/ledger/{entry['id']}"):
        assert yard.problem("GET", address, other)["status"] == 404
    assert yard.json("GET", f"/v1/settlement/statements?period={period}", other)["items"] == []
    content = yard.call("GET", f"/v1/settlement/export?period={period}&format=xlsx", token).content
    lines = load_workbook(io.BytesIO(content))["明细"]
    assert sum(row[13].value for row in lines.iter_rows(min_row=2)) == pytest.approx(float(entry["amount"]))


def test_only_the_operator_prices_corrects_and_closes(yard: Yard) -> None:
    """403 for everybody else; a month that runs cannot be closed by anybody."""
    _, token = yard.token_of("department", ["analyst"])
    for method, path, body in (
        ("POST", "/v1/price-lists", {}),
        ("POST", "/v1/centres/local/energy", {}),
        ("POST", "/v1/ledger/1/corrections", {}),
        ("POST", "/v1/settlement/periods/2026-01/close", None),
    ):
        assert yard.problem(method, path, token, json=body)["status"] == 403
    assert yard.problem("POST", "/v1/settlement/periods/2090-01/close")["code"] == "period_not_closable"
    assert yard.problem("POST", "/v1/settlement/periods/2026-13/close")["status"] == 422
    assert (
        yard.problem("GET", "/v1/settlement/statements/2026-01/91370300MA3C00002Y/91370300MA3C000045")["status"] == 404
    )


def test_a_centre_belongs_to_a_registered_owner(yard: Yard) -> None:
    """An owner that nobody registered is refused; a known one is shown and is paid."""
    body = {"id": "owned", "title": "他人的中心", "kind": "region"}
    problem = yard.problem("POST", "/v1/centres", json=body | {"owner": "91370300MA3C00002Y"})
    assert (problem["code"], fields(problem)) == ("owner_unknown", {"owner"})
    uscc, _ = yard.token_of("enterprise")
    assert yard.json("POST", "/v1/centres", json=body | {"owner": uscc})["owner"] == uscc
    bad = {"core_w": 1, "pue": 0.9, "source": "x", "as_of": "2090-01-01"}
    assert fields(yard.problem("POST", "/v1/centres/owned/energy", json=bad)) == {"pue"}
    assert fields(yard.problem("POST", "/v1/centres/owned/energy", json=bad | {"pue": 1})) == {"as_of"}
    assert (
        yard.problem("POST", "/v1/centres/nowhere/energy", json=bad | {"pue": 1, "as_of": "2026-01-01"})["status"]
        == 404
    )
