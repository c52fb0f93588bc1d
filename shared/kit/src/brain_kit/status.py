"""What a process tells operators of itself: memory, processor, disk, and the figures of its routes."""

from __future__ import annotations

import os
import resource
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from brain_kit.clock import rfc3339
from brain_kit.telemetry import RequestMetrics

STARTED = time.time()
STATM = Path("/proc/self/statm")


def process_status(service: str, home: Path, metrics: RequestMetrics) -> dict[str, Any]:
    """JSON members: service, process, disk, routes.

    process: pid, started_at, memory_bytes (resident), cpu_s since the start. disk: path, free and total bytes of the
    disk with the home folder. routes: those that were called since the start, as `RequestMetrics.routes` gives them.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF)
    disk = shutil.disk_usage(home)
    return {
        "service": service,
        "process": {
            "pid": os.getpid(),
            "started_at": rfc3339(datetime.fromtimestamp(STARTED, UTC)),
            "memory_bytes": _resident_bytes(usage),
            "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        },
        "disk": {"path": str(home), "free_bytes": disk.free, "total_bytes": disk.total},
        "routes": metrics.routes(),
    }


def _resident_bytes(usage: resource.struct_rusage) -> int:
    try:
        return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return usage.ru_maxrss * 1024  # the most it ever had, where the system tells no better
