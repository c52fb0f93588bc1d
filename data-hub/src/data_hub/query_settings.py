"""Settings of queries; the data hub's settings include them."""

from __future__ import annotations

from brain_kit.settings import PlatformSettings
from pydantic import Field


class QuerySettings(PlatformSettings):
    """Limits of queries, environment prefix BRAIN_DATA_HUB_QUERY_."""

    data_hub_query_seconds: float = Field(30.0, gt=0, description="A query that runs longer is stopped.")
    data_hub_query_memory_mib: int = Field(
        512, ge=64, description="Memory that the engine of one query may hold before it spills to disk."
    )
    data_hub_query_process_mib: int = Field(
        1536, ge=256, description="Private memory of one query process; the operating system gives no more."
    )
    data_hub_query_temp_mib: int = Field(2048, ge=16, description="Temporary disk space of one query.")
    data_hub_query_threads: int = Field(2, ge=1, description="Threads of one query.")
    data_hub_query_concurrency: int = Field(4, ge=1, description="Queries that run at once, over all organisations.")
    data_hub_query_concurrency_per_org: int = Field(3, ge=1, description="Queries that one organisation runs at once.")
    data_hub_query_wait_s: float = Field(
        10.0, ge=0, description="Seconds that a query waits for a place before 429/503."
    )
    data_hub_query_page_rows: int = Field(
        1_000, ge=1, description="Rows of a JSON page when the caller names no limit."
    )
    data_hub_query_max_page_rows: int = Field(10_000, ge=1, description="Most rows of a JSON page.")
    data_hub_query_kept_rows: int = Field(
        1_000_000, ge=1, description="Most rows of a JSON result over all of its pages; more are cut off and said so."
    )
    data_hub_query_export_rows: int = Field(
        5_000_000, ge=1, description="Most rows of a CSV, Arrow or Parquet answer; more are refused."
    )
    data_hub_query_export_mib: int = Field(2048, ge=1, description="Most MiB of a CSV, Arrow or Parquet answer.")
    data_hub_query_kept_mib: int = Field(256, ge=1, description="Most MiB of one kept JSON result.")
    data_hub_query_results_mib: int = Field(4096, ge=1, description="Disk space of all kept results together.")
    data_hub_query_results_s: float = Field(600.0, gt=0, description="Seconds that the pages of a result are kept.")
    data_hub_query_idle_s: float = Field(300.0, gt=0, description="A query process that idles longer is ended.")
    data_hub_query_history_days: int = Field(90, ge=1, description="Days that the history of queries is kept.")
