"""How long `brain up` takes to serve, what it holds and uses while idle, how long the demonstration takes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from brain_testing.process import free_port


def run(enterprises: int = 2000) -> dict[str, Any]:
    """Starts the platform in an empty home, waits, loads the demonstration."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        started = time.monotonic()
        process = _start(home, free_port())
        try:
            url = _ready(process)
            ready_s = time.monotonic() - started
            threading.Event().wait(5)
            idle_mb = _held_mb(process.pid)
            idle_percent = _used_percent(process.pid, 10)
            started = time.monotonic()
            command = [sys.executable, "-m", "industry_brain", "demo", "--url", url, "--home", str(home), "--json"]
            subprocess.run([*command, "--enterprises", str(enterprises)], check=True, capture_output=True)
            demo_s = time.monotonic() - started
            loaded_mb = _held_mb(process.pid)
            started = time.monotonic()
        finally:
            process.terminate()
            process.wait(30)
        stop_s = time.monotonic() - started
    return {
        "brain up to ready": {"value": ready_s, "unit": "s", "bound": 8, "better": "less"},
        "idle memory": {"value": idle_mb, "unit": "MB", "bound": 450, "better": "less"},
        "idle use of one core": {"value": idle_percent, "unit": "%", "bound": 10, "better": "less"},
        "demonstration loaded": {"value": demo_s, "unit": "s", "bound": 60, "better": "less"},
        "memory after the demonstration": {"value": loaded_mb, "unit": "MB"},
        "SIGTERM to ended": {"value": stop_s, "unit": "s", "bound": 10, "better": "less"},
    }


def _family(pid: int) -> list[psutil.Process]:
    """The platform with the agent of this machine, which has a process of its own."""
    platform = psutil.Process(pid)
    return [platform, *platform.children(recursive=True)]


def _held_mb(pid: int) -> float:
    return sum(process.memory_info().rss for process in _family(pid)) / 1e6


def _used_percent(pid: int, seconds: float) -> float:
    def used_s() -> float:
        return sum(sum(process.cpu_times()[:2]) for process in _family(pid))

    before = used_s()
    time.sleep(seconds)
    return 100 * (used_s() - before) / seconds


def _start(home: Path, port: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "industry_brain", "up", "--home", str(home), "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _ready(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for text in process.stdout:
        if text.startswith("ready "):
            return text.split()[1]
    raise RuntimeError("the platform ended before it was ready")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(), indent=2) + "\n")
