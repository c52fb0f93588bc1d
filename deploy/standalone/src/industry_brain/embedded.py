"""`brain up`: every service in one process on its embedded default."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from brain_kit.service import Platform, ServiceRuntime
from brain_kit.settings import PlatformSettings

from industry_brain.memory import freeze_started
from industry_brain.wiring import ROLES, SERVICES, RunningWorkers, build_service, start_workers

log = structlog.get_logger()
STOP_WORKERS_S = 4.0
DRAIN_REQUESTS_S = 3
CREDENTIALS_FILE = "first-credentials.json"


class HomeInUse(Exception):
    """Another process runs on the same home folder."""


class PortInUse(Exception):
    """Another program listens on the port."""


@dataclass(frozen=True)
class Embedded:
    """The built platform of one process."""

    platform: Platform
    runtimes: dict[str, ServiceRuntime]
    gateway: Any
    first_credentials: dict[str, Any] | None


def build(settings: PlatformSettings) -> Embedded:
    """Builds every service and the gateway; on the first start makes the operator and writes the credentials file."""
    from identity.main import bootstrap
    from service_portal.main import create_gateway

    settings.home.mkdir(parents=True, exist_ok=True)
    platform = Platform(settings)
    runtimes = {name: build_service(platform, name) for name in SERVICES}
    credentials = bootstrap(platform)
    first = None
    if credentials is not None:
        first = {
            "operator": {"user": credentials.user, "password": credentials.password, "api_key": credentials.api_key}
        }
        write_credentials(settings.home, first)
    return Embedded(platform, runtimes, create_gateway(platform, runtimes["service-portal"]), first)


def write_credentials(home: Path, credentials: dict[str, Any]) -> Path:
    """Writes the first credentials readable by the owner only, whole or not at all."""
    path = home / CREDENTIALS_FILE
    partial = path.with_suffix(".part")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(credentials, file, ensure_ascii=False, indent=2)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    return path


def serve(embedded: Embedded, host: str, port: int, on_ready: Callable[[], None]) -> None:
    """Serves until SIGTERM or SIGINT, then ends within ten seconds. Raises PortInUse."""
    workers = start_workers(embedded.runtimes.values(), ROLES)
    try:
        serve_app(embedded.gateway, host, port, on_ready)
    finally:
        stop_all(embedded.platform, workers)


def serve_app(app: Any, host: str, port: int, on_ready: Callable[[], None], **options: Any) -> None:
    """Runs an ASGI application in this thread until a signal; `on_ready` runs in a thread of its own once it serves."""
    import uvicorn

    from industry_brain.protocol import GuardedProtocol

    listener = _listen(host, port)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=GuardedProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=DRAIN_REQUESTS_S,
        timeout_keep_alive=65,
        server_header=False,
        date_header=True,
        **options,
    )
    server = uvicorn.Server(config)
    # uvicorn would raise the signal again after serving, which would end the process before the workers are stopped.
    server.capture_signals = nullcontext  # type: ignore[method-assign, assignment]
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _end(server))
    threading.Thread(target=_when_started, args=(server, on_ready), daemon=True, name="ready").start()
    server.run(sockets=[listener])


def _end(server: Any) -> None:
    server.force_exit = server.should_exit  # a second signal does not wait for requests
    server.should_exit = True


def stop_all(platform: Platform, workers: RunningWorkers) -> None:
    """Stops workers, then closes connections; a worker that hangs does not keep the process."""
    late = workers.stop(STOP_WORKERS_S)
    if late:
        log.warning("workers_still_running", workers=late)
    platform.close()


def _when_started(server: Any, on_ready: Callable[[], None]) -> None:
    pause = threading.Event()
    while not server.started:
        if server.should_exit:
            return
        pause.wait(0.01)
    freeze_started()
    try:
        on_ready()
    except Exception:
        log.exception("after_start_failed")


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortInUse(
            f"端口 {port} 已被占用 port {port} on {host} is in use: {error.strerror}; choose another: --port N"
        ) from error
    listener.set_inheritable(True)
    return listener
