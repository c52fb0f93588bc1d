"""What this machine offers and how busy it is."""

from __future__ import annotations

import glob
import math
import os
import platform
import re
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

# A folder a device, named by its place on the bus.
NVIDIA = "/proc/driver/nvidia/gpus"


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
    return dict(Counter(_models()))


def binding(held: Mapping[str, float], devices: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """Variables that bind a job to its devices: `BRAIN_DEVICES`, and for NVIDIA those that CUDA heeds.

    held: devices, or part of one, by kind. devices: their numbers among those of the kind, as CUDA counts them by bus.
    A job without any sees none. A part of a device is a bound of its threads where the MPS daemon runs, else only told.
    """
    models = _models()
    places = {kind: [at for at, model in enumerate(models) if model == kind] for kind in devices}
    seen = sorted(places[kind][n] for kind, numbers in devices.items() for n in numbers if n < len(places[kind]))
    env = {"BRAIN_DEVICES": ",".join(str(n) for numbers in devices.values() for n in numbers)} if devices else {}
    if models:
        env |= {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": ",".join(map(str, seen))}
    part = min(held.values(), default=1.0)
    if models and part < 1:
        env["CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"] = f"{part * 100:g}"
    return env


def device_files() -> list[str]:
    """The files by which jobs reach NVIDIA devices."""
    return sorted(glob.glob("/dev/nvidia*"))


def _models() -> list[str]:
    """The model of each NVIDIA device in the order of the bus."""
    try:
        folders = sorted(os.listdir(NVIDIA))
    except FileNotFoundError:
        return []
    found = []
    for folder in folders:
        with open(os.path.join(NVIDIA, folder, "information"), encoding="utf-8") as file:
            model = next((line.partition(":")[2].strip() for line in file if line.startswith("Model")), "GPU")
        found.append(re.sub(r"[^A-Za-z0-9._-]", "-", model.removeprefix("NVIDIA ").strip())[:40] or "GPU")
    return found


def _meminfo(field: str) -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024 // 1_000_000
    return 0
