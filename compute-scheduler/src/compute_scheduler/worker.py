"""Workers of compute-scheduler: the scheduler, and the agent of this machine when embedded."""

from __future__ import annotations

import os
import platform as machine_platform
import threading

from brain_kit.database import Database
from brain_kit.service import Platform, Worker

from compute_scheduler.service import centres
from compute_scheduler.service.exchange import Exchange
from compute_scheduler.service.metrics import PlanMetrics, TransferMetrics
from compute_scheduler.service.scheduling import Scheduler
from compute_scheduler.settings import Settings


def scheduler(database: Database, settings: Settings, metrics: TransferMetrics, figures: PlanMetrics) -> Worker:
    """Plans; of several schedulers one at a time."""
    # One process has a home folder, so after a crash its next one need not wait for the lease of the last.
    own = "" if database.is_sqlite else f":{os.getpid()}:{os.urandom(4).hex()}"
    holder = f"{machine_platform.node()[:30]}{own}"
    return Worker("scheduler", "scheduler", Scheduler(database, settings, holder, metrics, figures).run)


def local_agent(platform: Platform, exchange: Exchange) -> Worker:
    """Runs jobs on this machine for the centre `local`, which is made at the first start."""

    settings = exchange.settings

    def run(stop: threading.Event) -> None:
        if not settings.compute_scheduler_local:
            return
        from compute_scheduler.agent.agent import Agent
        from compute_scheduler.agent.direct import DirectLink
        from compute_scheduler.agent.keeper import Keeper
        from compute_scheduler.agent.limits import depot_limits, limits_of
        from compute_scheduler.engine.local import LocalEngine

        operator = platform.client("identity").request("GET", "/v1/organisations", params={"kind": "operator"}).json()
        centres.make_local(exchange.database, operator["items"][0]["uscc"])
        root = settings.home / "compute" / centres.LOCAL
        client = platform.client("compute-scheduler")
        link = DirectLink(exchange, client, centres.LOCAL)
        if settings.compute_scheduler_local_apart:
            Keeper(link, client, settings, centres.LOCAL, root).run(stop)
            return
        cores, memory_mb = settings.compute_scheduler_local_cores, settings.compute_scheduler_local_memory_mb
        engine = LocalEngine(root, limits_of(settings), cores, memory_mb)
        Agent(link, root, engine, depot_limits(settings)).run(stop)

    return Worker("agent", "agent", run)
