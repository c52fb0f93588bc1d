"""Every route needs a principal or is listed as public with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from brain_kit.auth import current_principal, public_reason
from brain_kit.openapi import routes_of
from brain_kit.service import Platform
from brain_kit.settings import PlatformSettings
from fastapi.dependencies.models import Dependant
from industry_brain.wiring import SERVICES, build_service

# Operation of a service itself; everything else that is public says so where it stands, with @public(reason).
INFRASTRUCTURE = {"/healthz", "/readyz", "/metrics", "/openapi.json"}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Every service built in one process."""
    home: Path = tmp_path_factory.mktemp("routes")
    built = Platform(PlatformSettings(home=home))
    yield built
    built.close()


def calls(dependant: Dependant) -> Iterator[object]:
    """Every callable that a route depends on, however deep."""
    for item in dependant.dependencies:
        yield item.call
        yield from calls(item)


def test_every_route_needs_a_principal_or_says_why_not(platform: Platform) -> None:
    """An endpoint without either would be open by accident."""
    open_routes = []
    seen = 0
    for name in SERVICES:
        for route in routes_of(build_service(platform, name).app):
            if route.path in INFRASTRUCTURE:
                continue
            seen += 1
            guarded = any(
                call is current_principal or hasattr(call, "required_roles") for call in calls(route.dependant)
            )
            if not guarded and not public_reason(route.endpoint):
                open_routes.append(f"{name} {sorted(route.methods)} {route.path}")

    assert seen > 20
    assert open_routes == []
