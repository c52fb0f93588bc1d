"""What the platform is told about jobs, transfers and reservations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brain_contracts.events import JobChanged, JobOutput, ReservationChanged, TransferChanged


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


def transfer_changed(row: Mapping[str, Any]) -> TransferChanged:
    """The event of a transfer's present state; `row` has the columns of its row."""
    return TransferChanged(
        transfer_id=row["id"],
        org=row["org"],
        dataset=row["dataset"],
        version=row["version"],
        centre=row["centre"],
        state=row["state"],
        bytes=row["bytes"],
        done_bytes=row["done_bytes"],
        reason=row["reason"],
    )


def reservation_changed(row: Mapping[str, Any]) -> ReservationChanged:
    """The event of a reservation's present state; `row` has the columns of its row and its `orgs`."""
    return ReservationChanged(
        reservation_id=row["id"],
        kind=row["kind"],
        centre=row["centre"],
        title=row["title"],
        orgs=row["orgs"],
        priority=row["priority"],
        nodes=len(row["nodes"]) or None,
        start_at=row["start_at"],
        end_at=row["end_at"],
        state=row["state"],
        reason=row["reason"],
    )
