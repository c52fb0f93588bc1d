"""Settings of the data hub."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from data_hub.query_settings import QuerySettings


class Settings(QuerySettings):
    """Settings of the data hub, environment prefix BRAIN_DATA_HUB_."""

    data_hub_spool: Path | None = Field(
        None, description="Folder for bodies of pushes while they come in. Empty: spool/data-hub in the home folder."
    )
    data_hub_spool_reserve_mb: int = Field(
        64, ge=0, description="The service is not ready while the disk of the spool has less room than this, in MB."
    )
    data_hub_push_limit_bytes: int = Field(4 << 30, ge=1, description="Most bytes that the body of a push may have.")
    data_hub_push_limit_rows: int = Field(100_000_000, ge=1, description="Most rows that a push may have.")
    data_hub_unpacked_limit_bytes: int = Field(
        8 << 30, ge=1, description="Most bytes that a compressed body may unpack to."
    )
    data_hub_xlsx_limit_bytes: int = Field(
        200 << 20, ge=1, description="Most bytes that the parts of an XLSX file may unpack to."
    )
    data_hub_segment_bytes: int = Field(
        64 << 20, ge=1 << 16, description="Large NDJSON and CSV bodies are typed in stretches of this size."
    )
    data_hub_small_push_bytes: int = Field(
        1 << 20, ge=0, description="Bodies up to this size are checked in memory and staged in the database."
    )
    data_hub_memory_mb: int = Field(
        256, ge=64, description="Memory that DuckDB may use for one large push or one commit, in MB."
    )
    data_hub_typings: int = Field(
        2, ge=1, description="Stretches of large pushes, or whole ones where they have none, typed at the same time."
    )
    data_hub_push_lease_s: float = Field(
        20, gt=0, description="Seconds after which a push counts as interrupted when its process has not been heard of."
    )
    data_hub_committer_poll_s: float = Field(
        0.15, gt=0, description="Seconds between looks for validated pushes of other processes."
    )
    data_hub_committer_threads: int = Field(2, ge=1, description="Tables that are committed at the same time.")
    data_hub_batch_pushes: int = Field(400, ge=1, le=2000, description="Most pushes that one commit takes together.")
    data_hub_snapshots_kept: int = Field(
        200, ge=2, description="Snapshots of a table that are kept whatever their age, for reading as of a time."
    )

    data_hub_derived_rows: int = Field(5_000_000, ge=1, description="Most rows of a data set made from a query.")
    data_hub_derived_mib: int = Field(2048, ge=1, description="Most MiB of a data set made from a query.")
    data_hub_derived_lease_s: float = Field(
        900.0, gt=0, description="Seconds after which making a data set from a query is given up and cleaned up."
    )
    data_hub_extract_days: float = Field(
        2.0, gt=0, description="Days that the file of what one organisation may see of a version is kept for copying."
    )
    data_hub_run_pin_days: float = Field(
        30.0, gt=0, description="Days that a run without an end keeps the versions of its inputs from being forgotten."
    )

    @property
    def spool(self) -> Path:
        """Where bodies lie while they come in."""
        return self.data_hub_spool or self.home / "spool" / "data-hub"
