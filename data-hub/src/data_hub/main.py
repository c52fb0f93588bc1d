"""Wiring of the data hub."""

from __future__ import annotations

import shutil

from brain_kit.auth import require
from brain_kit.events.routes import event_routes
from brain_kit.service import Platform, ServiceRuntime, create_app

from data_hub.api import contracts as contracts_api
from data_hub.api import derived as derived_api
from data_hub.api import lineage as lineage_api
from data_hub.api import operation as operation_api
from data_hub.api import pushes as pushes_api
from data_hub.api import version_files as version_files_api
from data_hub.api import versions as versions_api
from data_hub.consumers import HANDLERS
from data_hub.domain.refusals import SpoolFull
from data_hub.engine.warehouse import Warehouse
from data_hub.reading import build_reading
from data_hub.service.commit import Committer
from data_hub.service.contracts import register_canonical
from data_hub.service.derived.derive import Deriving
from data_hub.service.derived.staging import DerivedStaging
from data_hub.service.known_contracts import KnownContracts
from data_hub.service.large import LargePushes
from data_hub.service.metrics import HubMetrics
from data_hub.service.push import Pushes
from data_hub.service.readable import warehouse_reading
from data_hub.service.sweep import Sweeper
from data_hub.service.version_files import VersionFiles
from data_hub.service.versions import Versions
from data_hub.service.waiting import PushWaiters
from data_hub.settings import Settings
from data_hub.worker import committer, consumer, relay, sweeper

NAME = "data-hub"


def build(platform: Platform) -> ServiceRuntime:
    """The service with its database migrated, its contracts registered and its workers ready to run."""
    settings = Settings(**platform.settings.model_dump())
    database = platform.database(NAME)
    database.migrate("data_hub")
    register_canonical(database)
    objects = platform.objects
    settings.spool.mkdir(parents=True, exist_ok=True)

    def check_spool() -> None:
        if shutil.disk_usage(settings.spool).free < settings.data_hub_spool_reserve_mb << 20:
            raise SpoolFull(f"暂存盘 {settings.spool} 剩余空间不足 {settings.data_hub_spool_reserve_mb} MB")

    checks = {"database": database.ping, "objects": objects.ping, "spool": check_spool}
    app = create_app(NAME, platform, title="数据汇聚平台 Data hub", checks=checks)
    metrics = HubMetrics(app.state.metrics.registry)
    warehouse = Warehouse(database, objects)
    waiters = PushWaiters()
    committing = Committer(database, warehouse, settings, waiters, metrics)
    known = KnownContracts(database)
    pushes = Pushes(database, objects, settings, metrics, known, committing.wake)
    committing.arriving = lambda: pushes.arriving
    source = warehouse_reading(database, warehouse, objects)
    reading = build_reading(database, source, settings, lambda: platform.client("identity"))
    app.include_router(contracts_api.routes(database, known))
    large = LargePushes(pushes, warehouse)
    app.include_router(pushes_api.routes(pushes, large, waiters, settings))
    staging = DerivedStaging(pushes, large, warehouse, reading.runner, reading.tables)
    app.include_router(derived_api.routes(Deriving(pushes, staging), waiters))
    app.include_router(lineage_api.routes(database))
    app.include_router(operation_api.routes(database, objects))
    app.include_router(versions_api.routes(Versions(database, warehouse, source)))
    files = VersionFiles(objects, reading.tables, reading.rows)
    app.include_router(version_files_api.routes(files))
    for router in reading.routers():
        app.include_router(router)
    app.include_router(event_routes(database, platform.bus, {NAME: list(HANDLERS)}, require("operator", "service")))
    workers = [
        relay(platform, database),
        consumer(platform, database),
        committer(committing),
        sweeper(Sweeper(database, objects, settings, files)),
    ]
    extras = {"warehouse": warehouse, "committer": committing}
    return ServiceRuntime(NAME, app, database, workers, extras, closers=(reading.close,))
