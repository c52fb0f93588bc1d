"""Which services there are and how each is built; the only place that imports them all."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

import structlog
from brain_kit.service import Platform, ServiceRuntime, Worker

# In the order in which they are built: later ones call earlier ones when they start.
SERVICES = {
    "identity": "identity",
    "data-hub": "data_hub",
    "compute-scheduler": "compute_scheduler",
    "algorithm-dev": "algorithm_dev",
    "government-services": "government_services",
    "evaluation": "evaluation",
    "service-portal": "service_portal",
}
ROLES = ("relay", "committer", "consumer", "periodic", "scheduler", "agent")

log = structlog.get_logger()


def build_service(platform: Platform, name: str) -> ServiceRuntime:
    """Builds a service of this process and makes it callable by the others."""
    module = importlib.import_module(f"{SERVICES[name]}.main")
    runtime: ServiceRuntime = module.build(platform)
    platform.register(runtime)
    return runtime


@dataclass
class RunningWorkers:
    """Threads of the workers of this process; `stop` asks all of them to end and waits."""

    threads: list[threading.Thread]
    stop_event: threading.Event

    def stop(self, timeout_s: float) -> list[str]:
        """Asks the workers to end; returns the names of those still running after the time."""
        self.stop_event.set()
        deadline = time.monotonic() + timeout_s
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return [thread.name for thread in self.threads if thread.is_alive()]


def start_workers(runtimes: Iterable[ServiceRuntime], roles: Iterable[str]) -> RunningWorkers:
    """Starts the workers of the given roles, each in a thread that is started again when it fails."""
    wanted = set(roles)
    running = RunningWorkers([], threading.Event())
    for runtime in runtimes:
        for worker in runtime.workers:
            if worker.role in wanted:
                name = f"{runtime.name}/{worker.name}"
                thread = threading.Thread(
                    target=_supervise, args=(name, worker, running.stop_event), name=name, daemon=True
                )
                thread.start()
                running.threads.append(thread)
    return running


def _supervise(name: str, worker: Worker, stop: threading.Event) -> None:
    delay_s = 0.5
    while not stop.is_set():
        try:
            worker.run(stop)
            return
        except Exception:
            log.exception("worker_failed", worker=name, retry_in_s=delay_s)
            stop.wait(delay_s)
            delay_s = min(delay_s * 2, 10.0)
