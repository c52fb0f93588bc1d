"""Wiring of service-portal: the control plane as a service, the gateway as the public door."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from brain_kit.auth import require
from brain_kit.events import Consumer
from brain_kit.events.routes import event_routes
from brain_kit.service import Platform, ServiceRuntime, Worker, create_app

from service_portal.api import control_routes, desk_routes, operation_app
from service_portal.consumers import handlers
from service_portal.domain.usage import Meter
from service_portal.gateway.app import Gateway
from service_portal.gateway.credentials import Credentials
from service_portal.gateway.limits import Limits
from service_portal.gateway.trail import Trail
from service_portal.gateway.upstream import Upstreams
from service_portal.portal import create_portal
from service_portal.portal.trying import ApiDoor
from service_portal.service.document import Document
from service_portal.service.settle import Settlement
from service_portal.settings import Settings

NAME = "service-portal"


@dataclass(frozen=True)
class GatewayParts:
    """What the gateway and the workers of its process share."""

    settings: Settings
    credentials: Credentials
    limits: Limits
    meter: Meter
    trail: Trail
    settlement: Settlement
    document: Document


def build(platform: Platform) -> ServiceRuntime:
    """The control plane with its database migrated and its workers ready to run."""
    settings = Settings(**platform.settings.model_dump())
    database = platform.database(NAME)
    database.migrate("service_portal")
    meter, trail = Meter(), Trail()
    limits = Limits(meter)
    credentials = Credentials(platform, settings.service_portal_credential_age_s)
    settlement = Settlement(database, meter, trail.take, trail.give_back, limits.replace)
    app = create_app(NAME, platform, title="服务开放平台 Service portal", checks={"database": database.ping})
    document = Document(platform)
    app.include_router(control_routes(platform, database, document))
    app.include_router(desk_routes(platform))
    consumed = handlers(credentials.forget)
    app.include_router(event_routes(database, platform.bus, {NAME: list(consumed)}, require("operator", "service")))
    workers = [
        platform.relay(database),
        Worker("consumer", "consumer", Consumer(NAME, database, platform.bus, consumed).run),
        Worker("settlement", "periodic", partial(settlement.run, settings.service_portal_settle_s)),
    ]
    parts = GatewayParts(settings, credentials, limits, meter, trail, settlement, document)
    return ServiceRuntime(NAME, app, database, workers, {"gateway": parts})


def create_gateway(platform: Platform, runtime: ServiceRuntime) -> Any:
    """The gateway in front of every service and of the portal, as an ASGI application."""
    parts: GatewayParts = runtime.extras["gateway"]
    assert runtime.database is not None
    api = ApiDoor()
    gateway = Gateway(
        parts.settings,
        credentials=parts.credentials,
        limits=parts.limits,
        meter=parts.meter,
        trail=parts.trail,
        upstreams=Upstreams(platform, parts.settings.service_portal_upstream_timeout_s),
        portal=create_portal(platform, parts.settings, runtime.database, parts.document, api),
        operation=operation_app(platform, parts.credentials, parts.document),
    )
    api.app = gateway
    return gateway
