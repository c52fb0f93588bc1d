"""Wiring of queries, rows and statistics, for `main`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from brain_kit.client import ServiceClient
from brain_kit.database import Database
from brain_kit.sandbox import SandboxLimits, SandboxPool
from fastapi import APIRouter

from data_hub.api import queries as queries_api
from data_hub.api import rows as rows_api
from data_hub.api import statistics as statistics_api
from data_hub.domain.query.problems import EngineUnavailable
from data_hub.engine.query_admission import Admission
from data_hub.engine.query_engine import QueryEngine
from data_hub.engine.query_owners import OwnerCounts
from data_hub.engine.query_results.kept import KeptResults
from data_hub.query_settings import QuerySettings
from data_hub.service.query.history import QueryHistory
from data_hub.service.query.queries import Queries, QueryLimits
from data_hub.service.query.running import Runner
from data_hub.service.query.tending import Tending
from data_hub.service.readable import ReadableTables, WarehouseReading
from data_hub.service.rows import Rows
from data_hub.service.statistics import Statistics
from data_hub.service.synthetic import SyntheticOwners

SANDBOX = "data_hub.engine.sandbox.worker"
FLUSH_EVERY_S = 1.0
SWEEP_EVERY_S = 10.0
FORGET_EVERY_S = 3600.0


@dataclass(frozen=True)
class Reading:
    """The reading half of the data hub: its use cases and routes."""

    queries: Queries
    rows: Rows
    statistics: Statistics
    pool: SandboxPool
    runner: Runner
    tables: ReadableTables
    tending: Tending

    def routers(self) -> Sequence[APIRouter]:
        """Routes to include in the application."""
        return (queries_api.routes(self.queries), rows_api.routes(self.rows), statistics_api.routes(self.statistics))

    def close(self) -> None:
        """End the query processes and write the rest of the history."""
        self.tending.close()


def build_reading(
    database: Database, source: WarehouseReading, settings: QuerySettings, identity: Callable[[], ServiceClient]
) -> Reading:
    """The reading half over a warehouse; `service.readable.warehouse_reading` gives the source."""
    folder = settings.home / "data-hub"
    pool = _sandboxes(folder / "sandbox", settings)
    admission = Admission(
        total=settings.data_hub_query_concurrency,
        per_org=settings.data_hub_query_concurrency_per_org,
        wait_s=settings.data_hub_query_wait_s,
    )
    kept = KeptResults(
        folder / "results",
        lifetime_s=settings.data_hub_query_results_s,
        max_bytes=settings.data_hub_query_kept_mib << 20,
        capacity_bytes=settings.data_hub_query_results_mib << 20,
    )
    query_limits = QueryLimits(
        page_rows=settings.data_hub_query_page_rows,
        max_page_rows=settings.data_hub_query_max_page_rows,
        kept_rows=settings.data_hub_query_kept_rows,
        export_rows=settings.data_hub_query_export_rows,
        export_bytes=settings.data_hub_query_export_mib << 20,
    )
    tables = ReadableTables(source)
    history = QueryHistory(database, days=settings.data_hub_query_history_days)
    tending = Tending(
        tasks=(
            (FLUSH_EVERY_S, history.flush),
            (FORGET_EVERY_S, history.forget),
            (SWEEP_EVERY_S, kept.tend),
            (SWEEP_EVERY_S, pool.tend),
        ),
        at_end=(history.flush, pool.close),
    )
    runner = Runner(QueryEngine(pool), admission, tending, limit_s=settings.data_hub_query_seconds)
    return Reading(
        queries=Queries(database, runner, tables, kept, history, query_limits),
        rows=Rows(database, runner, tables, kept, query_limits),
        statistics=Statistics(database, source, OwnerCounts(source.local_path), SyntheticOwners(identity)),
        pool=pool,
        runner=runner,
        tables=tables,
        tending=tending,
    )


def _sandboxes(folder: Path, settings: QuerySettings) -> SandboxPool:
    limits = SandboxLimits(
        memory_mib=settings.data_hub_query_memory_mib,
        temp_mib=settings.data_hub_query_temp_mib,
        threads=settings.data_hub_query_threads,
        process_mib=settings.data_hub_query_process_mib,
    )
    idle_limit_s = settings.data_hub_query_idle_s
    return SandboxPool(SANDBOX, folder, limits, idle_limit_s=idle_limit_s, failure=EngineUnavailable)
