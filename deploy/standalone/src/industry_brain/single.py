"""`brain service`: one service of a cluster in a process of its own."""

from __future__ import annotations

import signal
import threading
from typing import Any

import click
from brain_kit.service import Platform
from brain_kit.settings import PlatformSettings

from industry_brain.embedded import serve_app, stop_all
from industry_brain.memory import freeze_started, prepare_memory
from industry_brain.wiring import ROLES, SERVICES, build_service, start_workers

GATEWAY = "service-portal"


def run_service(name: str, host: str, port: int, roles: list[str]) -> None:
    """Runs a service's API on a port (0: none) and the workers of the given roles until SIGTERM."""
    if name not in SERVICES:
        raise click.UsageError(f"没有服务 no service {name!r}; there are: {', '.join(SERVICES)}")
    unknown = sorted(set(roles) - set(ROLES))
    if unknown:
        raise click.UsageError(f"没有这种工作角色 no worker role {unknown[0]!r}; there are: {', '.join(ROLES)}")
    prepare_memory()
    platform = Platform(PlatformSettings())
    runtime = build_service(platform, name)
    workers = start_workers([runtime], roles)
    try:
        if port:
            serve_app(_app(platform, name, runtime), host, port, lambda: click.echo(f"ready http://{host}:{port}"))
        else:
            freeze_started()
            click.echo(f"ready {name} {','.join(roles)}")
            _wait_for_signal()
    finally:
        stop_all(platform, workers)


def _app(platform: Platform, name: str, runtime: Any) -> Any:
    if name != GATEWAY:
        return runtime.asgi
    from service_portal.main import create_gateway

    return create_gateway(platform, runtime)


def _wait_for_signal() -> None:
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
