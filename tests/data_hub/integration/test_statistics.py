"""Statistics: exact for those who may know, silent about other tenants for the rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from brain_kit.auth import Principal
from brain_kit.service import ServiceRuntime
from fastapi import FastAPI

from tests.data_hub.small_warehouse import CHEM, MONTHLY, OPERATOR, STEEL, STEEL_KEY, ReadingService, filled, principal

PROVIDER = principal("91370300MA3C00077A", "provider", "provider")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadingService]:
    """The small warehouse, with the figures that the committer writes beside each commit."""
    from data_hub.store.tables import datasets

    made = filled(ReadingService(tmp_path_factory.mktemp("statistics")))
    with made.database.transaction() as session:
        for name, states in made.warehouse.states.items():
            last = states[-1]
            session.execute(
                datasets.update()
                .where(datasets.c.name == name)
                .values(
                    sequence=len(states) - 1,
                    rows=last.total_rows,
                    bytes=last.total_bytes,
                    files=len(last.files),
                    last_commit_at=last.committed_at,
                )
            )
    yield made
    made.close()


def read(service: ReadingService, caller: Principal) -> tuple[dict[str, Any], dict[str, Any]]:
    """The whole answer, and its data sets by name."""
    body = service.call(caller, "GET", "/v1/statistics").json()
    return body, {item["dataset"]: item for item in body["datasets"]}


def test_government_reads_exact_figures(service: ReadingService) -> None:
    """Rows, files, owners of each data set, and their sums for each warehouse."""
    body, datasets = read(service, OPERATOR)
    monthly = datasets[MONTHLY.name]
    sizes = {name: states[-1].total_bytes for name, states in service.warehouse.states.items()}
    warehouses = {item["warehouse"]: item for item in body["warehouses"]}

    assert (monthly["rows"], monthly["owners"], monthly["files"], monthly["bytes"]) == (24, 2, 2, sizes[MONTHLY.name])
    assert (datasets["public.empty"]["rows"], datasets["public.empty"]["owners"]) == (0, 0)
    assert {name: (item["tables"], item["rows"]) for name, item in warehouses.items()} == {
        "public": (2, 2),
        "industry": (1, 40),
        "enterprise": (1, 24),
    }
    assert body["totals"]["rows"] == 66
    assert body["totals"]["bytes"] == sum(sizes.values())
    assert [(item["kind"], item["count"]) for item in body["totals"]["carriers"]] == [("table", 3), ("file", 5)]
    assert body["as_of"].endswith("Z")
    assert body["source"]["zh"]


@pytest.mark.parametrize(("caller", "own"), [(STEEL_KEY, 12), (PROVIDER, 0)])
def test_others_read_open_totals_and_their_own_number(service: ReadingService, caller: Principal, own: int) -> None:
    """No count, size or time of a data set in which other tenants have rows."""
    body, datasets = read(service, caller)
    hidden = {name: datasets[MONTHLY.name][name] for name in ("rows", "bytes", "files", "owners", "last_commit")}

    assert set(hidden.values()) == {None}
    assert datasets[MONTHLY.name]["own_rows"] == own
    assert datasets["public.enterprise"]["rows"] == 2
    assert body["totals"]["rows"] == 2
    assert {item["warehouse"]: item["rows"] for item in body["warehouses"]} == {
        "public": 2,
        "industry": 0,
        "enterprise": 0,
    }
    assert CHEM not in str(body).replace(STEEL, "")


def test_a_new_commit_is_counted(service: ReadingService) -> None:
    """Owner counts are remembered by file, so only the new file is read; the number follows."""
    before = read(service, STEEL_KEY)[1][MONTHLY.name]["own_rows"]
    service.warehouse.commit(MONTHLY.name, STEEL, [{"uscc": STEEL, "month": "2026-01", "revenue": 1.0}])
    after = read(service, STEEL_KEY)[1][MONTHLY.name]["own_rows"]
    service.warehouse.states[MONTHLY.name].pop()

    assert (before, after) == (12, 13)


@pytest.fixture
def identity(service: ReadingService) -> list[str]:
    """An identity that calls the chemical works synthetic; what it was asked for."""
    asked: list[str] = []
    app = FastAPI()

    @app.get("/v1/organisations/{uscc}")
    def organisation(uscc: str) -> dict[str, Any]:
        asked.append(uscc)
        known = {"name": "化工厂", "kind": "enterprise", "region": "370300", "state": "active"}
        return known | {"uscc": uscc, "synthetic": uscc == CHEM}

    @app.post("/internal/service-tokens")
    def service_token() -> dict[str, Any]:
        return {"token": "t", "expires_in": 300}

    service.platform.register(ServiceRuntime("identity", app))
    return asked


def test_data_sets_with_rows_of_a_synthetic_organisation_are_called_so(
    service: ReadingService, identity: list[str]
) -> None:
    """Whoever pushed last; each organisation is asked for once; others learn nothing of rows that they do not see."""
    found = {name: item["synthetic"] for name, item in read(service, OPERATOR)[1].items()}

    assert found[MONTHLY.name] is True
    assert found["public.empty"] is False
    read(service, OPERATOR)
    assert len(identity) == len(set(identity))
    assert CHEM in identity
    assert read(service, STEEL_KEY)[1][MONTHLY.name]["synthetic"] is False
