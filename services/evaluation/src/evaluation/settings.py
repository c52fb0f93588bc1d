"""Settings of evaluation."""

from __future__ import annotations

from brain_kit.settings import PlatformSettings
from pydantic import Field


class Settings(PlatformSettings):
    """Settings of evaluation, environment prefix BRAIN_EVALUATION_."""

    evaluation_quiet_s: float = Field(
        5.0, gt=0, description="Seconds without a commit to a data set after which a cluster is computed anew."
    )
    evaluation_longest_wait_s: float = Field(
        120.0, gt=0, description="Seconds after which a cluster is computed anew although commits go on."
    )
    evaluation_poll_s: float = Field(0.5, gt=0, description="Seconds between looks for runs and for quiet clusters.")
    evaluation_lease_s: float = Field(
        30.0, gt=1, description="Seconds without a sign of life after which another worker takes over a run."
    )
    evaluation_parallel: int = Field(2, ge=1, le=8, description="Queries of one run that are asked at once.")
    evaluation_query_timeout_s: float = Field(60.0, gt=0, description="Seconds that one query of a run may take.")
    evaluation_kept_months: int = Field(
        24, ge=1, le=60, description="Whole months at whose ends indicators are kept up to date after a commit."
    )
    evaluation_sweep_s: float = Field(
        600.0, gt=0, description="Seconds between looks for versions of data sets that no shown value needs any more."
    )
    evaluation_most_periods: int = Field(120, ge=1, description="Most periods of one run.")
    evaluation_evidence_limit_bytes: int = Field(
        15 << 20, ge=1024, description="Largest evidence file in bytes; the gateway passes 16 MiB."
    )
    evaluation_evidence_files: int = Field(
        20, ge=1, description="Most evidence files of one reported value, and of one criterion of an assessment."
    )
