"""What the platform is told about a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brain_contracts.events import JobChanged, JobOutput


def job_changed(job: Mapping[str, Any]) -> JobChanged:
    """The event of a job's present state; `job` has the columns of its row."""
    return JobChanged(
        job_id=job["id"],
        org=job["org"],
        name=job["name"],
        state=job["state"],
        reason=job["reason"],
        attempt=job["attempt"],
        exit_code=job["exit_code"],
        outputs={name: JobOutput(**file) for name, file in (job["outputs"] or {}).items()},
        labels=dict(job["labels"] or {}),
    )
