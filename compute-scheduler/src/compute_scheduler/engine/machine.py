"""What this machine offers and how busy it is."""

from __future__ import annotations

import math
import os
import platform
import re
import secrets
from typing import Any


def node_name() -> str:
    """The machine's name as a node is called."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", platform.node()).strip("-.")[:64] or "node"


def describe(cores: float, memory_mb: int) -> dict[str, Any]:
    """The node that this machine is; 0 stands for what the machine has, of memory three quarters."""
    return {
        "name": node_name(),
        # The one machine of its centre: members of a gang that meet here need no other address.
        "address": "127.0.0.1",
        "cores": cores or float(len(os.sched_getaffinity(0))),
        "memory_mb": memory_mb or total_memory_mb() * 3 // 4,
        "accelerators": accelerators(),
        "load": load(),
    }


def processors(cores: float) -> list[int]:
    """The processors of a job: as many as it has cores, another stretch each time."""
    here = sorted(os.sched_getaffinity(0))
    wanted = min(len(here), max(1, math.ceil(cores)))
    first = secrets.randbelow(len(here))
    return [here[(first + step) % len(here)] for step in range(wanted)]


def load() -> dict[str, float]:
    """Load average over a minute and memory that is free, MB."""
    return {"load_1m": round(os.getloadavg()[0], 2), "memory_free_mb": float(_meminfo("MemAvailable"))}


def total_memory_mb() -> int:
    """Memory of the machine, MB."""
    return _meminfo("MemTotal")


def accelerators() -> dict[str, int]:
    """NVIDIA devices of this machine by model; none where there is no driver."""
    found: dict[str, int] = {}
    root = "/proc/driver/nvidia/gpus"
    try:
        folders = os.listdir(root)
    except FileNotFoundError:
        return found
    for folder in folders:
        with open(os.path.join(root, folder, "information"), encoding="utf-8") as file:
            model = next((line.partition(":")[2].strip() for line in file if line.startswith("Model")), "GPU")
        kind = re.sub(r"[^A-Za-z0-9._-]", "-", model.removeprefix("NVIDIA ").strip())[:40] or "GPU"
        found[kind] = found.get(kind, 0) + 1
    return found


def _meminfo(field: str) -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024 // 1_000_000
    return 0
