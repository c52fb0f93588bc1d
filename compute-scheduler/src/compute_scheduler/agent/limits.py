"""Limits of engine and depot from the settings."""

from __future__ import annotations

from compute_scheduler.agent.depot import DepotLimits
from compute_scheduler.engine.local import EngineLimits
from compute_scheduler.settings import Settings


def depot_limits(settings: Settings) -> DepotLimits:
    """What data a centre keeps."""
    mb = 1_000_000
    return DepotLimits(settings.compute_scheduler_replica_mb * mb, settings.compute_scheduler_replica_spare_mb * mb)


def limits_of(settings: Settings) -> EngineLimits:
    """What each job of this machine may use beside what it asked for."""
    return EngineLimits(
        disk_mb=settings.compute_scheduler_job_disk_mb,
        log_bytes=settings.compute_scheduler_job_log_bytes,
        processes=settings.compute_scheduler_job_processes,
        grace_s=settings.compute_scheduler_job_grace_s,
        nice=settings.compute_scheduler_job_nice,
        network=settings.compute_scheduler_job_network,
        readable=tuple(settings.compute_scheduler_job_readable),
        writable=tuple(settings.compute_scheduler_job_writable),
    )
