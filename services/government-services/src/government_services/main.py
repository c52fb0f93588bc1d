"""Wiring of government-services."""

from __future__ import annotations

from functools import partial

from brain_kit.auth import require
from brain_kit.events.routes import event_routes
from brain_kit.service import Platform, ServiceRuntime, Worker, create_app

from government_services.api import routes
from government_services.clients import Warehouse
from government_services.consumers import HANDLERS
from government_services.service import refresh
from government_services.settings import Settings
from government_services.worker import consumer

NAME = "government-services"


def build(platform: Platform) -> ServiceRuntime:
    """The service with its database migrated and its workers ready to run."""
    settings = Settings(**platform.settings.model_dump())
    database = platform.database(NAME)
    database.migrate("government_services")
    warehouse = Warehouse(platform.client("data-hub"))
    app = create_app(NAME, platform, title="政府侧服务 Government services", checks={"database": database.ping})
    app.include_router(routes(database, warehouse, settings))
    app.include_router(event_routes(database, platform.bus, {NAME: list(HANDLERS)}, require("operator", "service")))
    interval_s = settings.government_services_refresh_interval_s
    workers = [
        platform.relay(database),
        consumer(platform, database),
        Worker("panorama", "periodic", partial(refresh.run, database, warehouse, interval_s)),
    ]
    return ServiceRuntime(NAME, app, database, workers)
