"""Settings of algorithm-dev."""

from __future__ import annotations

from brain_kit.settings import PlatformSettings
from pydantic import Field


class Settings(PlatformSettings):
    """Settings of the algorithm layer, environment prefix BRAIN_ALGORITHM_DEV_."""

    algorithm_dev_artefact_limit_bytes: int = Field(
        256 << 20, ge=1 << 20, description="Largest file of a component; larger models are refused."
    )
    algorithm_dev_try_rows: int = Field(
        10_000, ge=1, le=100_000, description="Most rows of one call; more are refused with a hint to batch runs."
    )
    algorithm_dev_call_seconds: float = Field(30.0, gt=0, description="Most seconds that one call may compute.")
    algorithm_dev_box_memory_mib: int = Field(
        512, ge=64, description="Memory of the engine in a sandbox process, in MiB."
    )
    algorithm_dev_box_process_mib: int = Field(
        1536, ge=256, description="Private memory of a whole sandbox process, in MiB; the kernel refuses more."
    )
    algorithm_dev_boxes: int = Field(4, ge=1, le=64, description="Components that run in sandbox processes at once.")
    algorithm_dev_box_idle_s: float = Field(300.0, gt=0, description="Seconds after which an idle process is ended.")
    algorithm_dev_served_models: int = Field(32, ge=1, description="ONNX models kept loaded; the oldest gives way.")
    algorithm_dev_settle_s: float = Field(2.0, gt=0, description="Seconds between writing of counted calls.")
    algorithm_dev_refresh_s: float = Field(
        1.0, gt=0, description="Seconds until another process's change of a version or an alias is seen by calls."
    )
    algorithm_dev_run_poll_s: float = Field(0.5, gt=0, description="Seconds between looks for runs that can go on.")
    algorithm_dev_run_lease_s: float = Field(
        20.0, gt=0, description="Seconds after which a run whose process died is taken on by another."
    )
    algorithm_dev_run_rows: int = Field(
        5_000_000, ge=1, description="Most rows that one run may read from its data set."
    )
