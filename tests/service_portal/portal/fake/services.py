"""A small stand-in for the platform's APIs, so that pages can be tested alone: the answers have the real forms."""

from __future__ import annotations

from typing import Any

from brain_kit.service import Platform, ServiceRuntime
from fastapi import FastAPI

from tests.service_portal.portal.fake.compute import compute_app
from tests.service_portal.portal.fake.data import FakeBrain
from tests.service_portal.portal.fake.evaluation import evaluation_runtime
from tests.service_portal.portal.fake.government import government_app
from tests.service_portal.portal.fake.hub import hub_app
from tests.service_portal.portal.fake.identity import identity_app


def events_app(brain: FakeBrain, service: str, app: FastAPI | None = None) -> FastAPI:
    """The internal event routes of a service."""
    app = app or FastAPI()

    @app.get("/internal/events")
    def status() -> dict[str, Any]:
        group = {
            "service": service,
            "group": service,
            "outbox": {"pending": 0, "oldest_pending_s": None},
            "lag": {"brain.warehouse.commit.v1": 2},
            "dead_letters": {"dead": 1, "queued": 0, "replayed": 0},
        }
        return {"items": [group], "next": None}

    @app.get("/internal/events/recent")
    def recent() -> dict[str, Any]:
        return {
            "items": [
                {
                    "id": "evt_1",
                    "topic": "brain.warehouse.push.v1",
                    "key": "public.enterprise",
                    "time": "2026-11-21T06:00:00Z",
                    "published_at": None,
                }
            ],
            "next": None,
        }

    @app.get("/internal/events/dead")
    def dead() -> dict[str, Any]:
        return {
            "items": [
                {
                    "id": 5,
                    "topic": "brain.warehouse.commit.v1",
                    "group": service,
                    "state": "dead",
                    "error": "KeyError: 'dataset'",
                    "at": "2026-11-21T06:00:00Z",
                }
            ],
            "next": None,
        }

    @app.post("/internal/events/dead/{dead_id}/replay", status_code=202)
    def replay(dead_id: int) -> dict[str, Any]:
        brain.calls.append(("replay", (service, dead_id)))
        return {"id": dead_id, "state": "queued"}

    return app


def portal_app(brain: FakeBrain) -> FastAPI:
    """The control plane of the gateway."""
    app = events_app(brain, "service-portal")

    @app.get("/v1/operations")
    def operations() -> dict[str, Any]:
        return brain.operations

    return app


def register(platform: Platform, brain: FakeBrain) -> None:
    """Put the fake services on a platform."""
    makers = {
        "identity": identity_app,
        "data-hub": hub_app,
        "government-services": government_app,
        "compute-scheduler": compute_app,
    }
    for name, make in makers.items():
        platform.register(ServiceRuntime(name, events_app(brain, name, make(brain))))
    runtime = evaluation_runtime(platform)
    platform.register(runtime)
    platform.register(ServiceRuntime("service-portal", portal_app(brain)))
