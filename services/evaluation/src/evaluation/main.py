"""Wiring of evaluation."""

from __future__ import annotations

from brain_kit.auth import require
from brain_kit.events.routes import event_routes
from brain_kit.service import Platform, ServiceRuntime, create_app

from evaluation.api import Parts, all_routes
from evaluation.clients import Warehouse
from evaluation.consumers import HANDLERS
from evaluation.service.evidence import EvidenceFiles
from evaluation.service.running import Runner
from evaluation.settings import Settings
from evaluation.worker import consumer, sweeper

NAME = "evaluation"


def build(platform: Platform) -> ServiceRuntime:
    """The service with its database migrated and its workers ready to run."""
    settings = Settings(**platform.settings.model_dump())
    database = platform.database(NAME)
    database.migrate("evaluation")
    warehouse = Warehouse(platform.client("data-hub"), settings.evaluation_query_timeout_s)
    files = EvidenceFiles(database, platform.objects, settings.evaluation_evidence_files)
    runner = Runner(database, warehouse, settings)
    checks = {"database": database.ping, "objects": platform.objects.ping}
    app = create_app(NAME, platform, title="指标评价 Evaluation", checks=checks)
    for router in all_routes(Parts(database, files, settings)):
        app.include_router(router)
    app.include_router(event_routes(database, platform.bus, {NAME: list(HANDLERS)}, require("operator", "service")))
    workers = [platform.relay(database), consumer(platform, database), runner.worker(), sweeper(files)]
    return ServiceRuntime(NAME, app, database, workers, extras={"runner": runner})
