"""Wiring of algorithm-dev."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial

from brain_kit.auth import require
from brain_kit.database import Database
from brain_kit.events import Consumer
from brain_kit.events.routes import event_routes
from brain_kit.sandbox import SandboxLimits
from brain_kit.service import Platform, ServiceRuntime, Worker, create_app

from algorithm_dev.api import aliases as aliases_api
from algorithm_dev.api import calls, components
from algorithm_dev.api import runs as runs_api
from algorithm_dev.clients import Scheduler, Warehouse
from algorithm_dev.consumers import WANTED, handlers
from algorithm_dev.domain.metering import Meter
from algorithm_dev.engine.boxed import BoxedRunner
from algorithm_dev.engine.serving import ServedModels
from algorithm_dev.service import run_steps, usage
from algorithm_dev.service.aliases import Aliases
from algorithm_dev.service.artefacts import ArtefactStore
from algorithm_dev.service.checking import Checks
from algorithm_dev.service.invoking import CallLimits, Invoker
from algorithm_dev.service.review import Review
from algorithm_dev.service.run_steps import RunLimits, RunSteps
from algorithm_dev.service.runs import Runs
from algorithm_dev.service.seeding import register_shipped
from algorithm_dev.settings import Settings

NAME = "algorithm-dev"


def build(platform: Platform) -> ServiceRuntime:
    """The service with its database migrated and its workers ready to run."""
    settings = Settings(**platform.settings.model_dump())
    database = platform.database(NAME)
    database.migrate("algorithm_dev")
    folder = settings.home / NAME
    artefacts = ArtefactStore(database, platform.objects, folder / "spool", settings.algorithm_dev_artefact_limit_bytes)
    boxes = _boxes(settings)
    meter = Meter()
    invoker = _invoker(settings, platform, artefacts, boxes, meter)
    review = Review(database, Checks(artefacts, boxes), invoker.forget)
    invoker.broken = review.mark
    settling = usage.SettlingHere(database, meter, settings.algorithm_dev_settle_s)
    invoker.first_call = settling.begin
    running = _running(settings, platform, artefacts, meter)
    checks = {"database": database.ping, "objects": platform.objects.ping}
    app = create_app(NAME, platform, title="算法开发平台 Algorithm development", checks=checks)
    app.include_router(components.routes(database, artefacts, review))
    app.include_router(aliases_api.routes(Aliases(database, invoker.forget)))
    app.include_router(calls.routes(database, invoker))
    app.include_router(runs_api.routes(Runs(database, running.warehouse, running.woken.set)))
    consumed = handlers(running.woken.set)
    app.include_router(event_routes(database, platform.bus, {NAME: list(consumed)}, require("operator", "service")))
    workers = [
        platform.relay(database),
        Worker("consumer", "consumer", Consumer(NAME, database, platform.bus, consumed, wanted=WANTED).run),
        Worker("usage", "periodic", partial(usage.run, database, meter, settings.algorithm_dev_settle_s)),
        Worker("boxes", "periodic", partial(_tend, boxes)),
        Worker("shipped", "periodic", lambda stop: _seed(database, artefacts, invoker)),
        Worker("runs", "periodic", running.run),
    ]
    door = calls.QuickCalls(app, invoker, platform.tokens, app.state.metrics)
    extras = {"boxes": boxes, "review": review, "artefacts": artefacts, "steps": running.steps}
    return ServiceRuntime(NAME, app, database, workers, extras, door, closers=(settling.close, boxes.close))


@dataclass(frozen=True)
class _Running:
    """What batch runs need: the way to data, the worker's steps, and the bell that wakes it."""

    warehouse: Warehouse
    steps: RunSteps
    woken: threading.Event
    poll_s: float

    def run(self, stop: threading.Event) -> None:
        """The worker's loop."""
        run_steps.run(self.steps, self.woken, self.poll_s, stop)


def _running(settings: Settings, platform: Platform, artefacts: ArtefactStore, meter: Meter) -> _Running:
    warehouse = Warehouse(platform.client("data-hub"))
    steps = RunSteps(
        platform.database(NAME),
        warehouse,
        Scheduler(platform.client("compute-scheduler")),
        artefacts,
        meter,
        settings.home / NAME / "runs",
        RunLimits(settings.algorithm_dev_run_rows, settings.algorithm_dev_run_lease_s),
    )
    return _Running(warehouse, steps, threading.Event(), settings.algorithm_dev_run_poll_s)


def _boxes(settings: Settings) -> BoxedRunner:
    limits = SandboxLimits(
        memory_mib=settings.algorithm_dev_box_memory_mib,
        temp_mib=1024,
        threads=1,
        process_mib=settings.algorithm_dev_box_process_mib,
    )
    return BoxedRunner(
        settings.home / NAME / "boxes",
        limits,
        most_s=settings.algorithm_dev_call_seconds,
        idle_limit_s=settings.algorithm_dev_box_idle_s,
    )


def _invoker(
    settings: Settings, platform: Platform, artefacts: ArtefactStore, boxes: BoxedRunner, meter: Meter
) -> Invoker:
    return Invoker(
        platform.database(NAME),
        artefacts,
        boxes,
        ServedModels(settings.algorithm_dev_served_models),
        meter,
        CallLimits(settings.algorithm_dev_try_rows, settings.algorithm_dev_call_seconds, settings.algorithm_dev_boxes),
        settings.algorithm_dev_refresh_s,
    )


def _seed(database: Database, artefacts: ArtefactStore, invoker: Invoker) -> None:
    register_shipped(database, artefacts)
    invoker.forget()


def _tend(boxes: BoxedRunner, stop: threading.Event) -> None:
    """Ends processes that nobody uses."""
    while not stop.wait(10.0):
        boxes.pool.tend()
