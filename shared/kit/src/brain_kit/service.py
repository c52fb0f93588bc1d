"""The platform of one process and the factory of service applications."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from brain_kit.acting import Organisations
from brain_kit.application import HttpShell, add_operation_routes, add_problem_handlers
from brain_kit.auth import TokenVerifier
from brain_kit.client import ServiceClient, ServiceUnreachable, Transport
from brain_kit.database import Database
from brain_kit.openapi import describe, operation_name
from brain_kit.settings import PlatformSettings
from brain_kit.telemetry import RequestMetrics, configure_logging, configure_tracing
from brain_kit.transports import HttpTransport, InProcessTransport, InternalLoop

if TYPE_CHECKING:
    from brain_kit.events import EventBus
    from brain_kit.objects import ObjectStore

TOKEN_MARGIN_S = 30.0


@dataclass(frozen=True)
class Worker:
    """Work beside the requests: a loop that ends when the event is set."""

    name: str
    role: str
    run: Callable[[threading.Event], None]


@dataclass
class ServiceRuntime:
    """A built service: its application, its database and its workers; `extras` hold what only its own package reads.

    door: what stands in front of the application and answers some requests itself; None: nothing does.
    closers: called in order when the platform closes, while databases are still open; they do not raise.
    """

    name: str
    app: FastAPI
    database: Database | None = None
    workers: Sequence[Worker] = ()
    extras: dict[str, Any] = field(default_factory=dict)
    door: Any | None = None
    closers: Sequence[Callable[[], None]] = ()

    @property
    def asgi(self) -> Any:
        """What callers reach: the door, else the application."""
        return self.door or self.app


class Platform:
    """What the services of one process share: settings, databases, events, objects, tokens and calls to each other."""

    def __init__(self, settings: PlatformSettings, *, name: str = "platform") -> None:
        self.settings = settings
        self.name = name
        self.tokens = TokenVerifier(self._jwks)
        self._runtimes: dict[str, ServiceRuntime] = {}
        self._databases: dict[str, Database] = {}
        self._transports: dict[str, Transport] = {}
        self._lock = threading.RLock()
        self._token_lock = threading.Lock()
        self._internal: InternalLoop | None = None
        self._bus: EventBus | None = None
        self._objects: ObjectStore | None = None
        self._token: tuple[float, str] = (0.0, "")
        configure_logging(settings.log_level, settings.log_format)
        configure_tracing(name, settings.otlp_endpoint)

    @property
    def bus(self) -> EventBus:
        """The event bus that the settings name."""
        with self._lock:
            if self._bus is None:
                from brain_kit.events import open_bus

                self._bus = open_bus(self.settings.events_url, partitions=self.settings.events_partitions)
                for name, database in self._databases.items():
                    self._bus.register(name, database)
            return self._bus

    @property
    def objects(self) -> ObjectStore:
        """The object store that the settings name."""
        with self._lock:
            if self._objects is None:
                from brain_kit.objects import open_store

                self._objects = open_store(self.settings.objects_url, self.settings.home)
            return self._objects

    def database(self, service: str) -> Database:
        """The database of a service, one object a process."""
        with self._lock:
            if service not in self._databases:
                self.settings.home.mkdir(parents=True, exist_ok=True)
                database = Database(self.settings.database_url_of(service), name=service)
                self._databases[service] = database
                if self._bus is not None:
                    self._bus.register(service, database)
            return self._databases[service]

    def relay(self, database: Database) -> Worker:
        """The worker that publishes a service's events."""
        from brain_kit.events import Relay

        relay = Relay(database, self.bus, retention_days=self.settings.events_retention_days)
        return Worker("relay", "relay", relay.run)

    def register(self, runtime: ServiceRuntime) -> None:
        """Makes a service of this process callable in-process."""
        with self._lock:
            self._runtimes[runtime.name] = runtime
            self._transports.pop(runtime.name, None)

    def runtime(self, service: str) -> ServiceRuntime | None:
        """The service if it runs in this process."""
        return self._runtimes.get(service)

    def dispatch(self, service: str) -> Any | None:
        """The ASGI application of a service of this process, for the gateway; None when it runs elsewhere."""
        runtime = self._runtimes.get(service)
        return runtime.asgi if runtime else None

    def known_services(self) -> list[str]:
        """Names of the services of this process and of those with an address."""
        return sorted(self._runtimes.keys() | self.settings.services.keys())

    def client(self, service: str) -> ServiceClient:
        """A client of a service; where it runs is decided at each call."""
        return ServiceClient(service, lambda: self._transport(service), self.service_token)

    def service_token(self) -> str:
        """A token of this platform's own, renewed before it ends."""
        # One caller asks, the others wait for its answer.
        with self._token_lock:
            expires, token = self._token
            if time.monotonic() < expires:
                return token
            reply = self.client("identity").request(
                "POST",
                "/internal/service-tokens",
                json={"name": self.name},
                headers={"x-service-secret": self.settings.shared_secret()},
                token="",
            )
            body = reply.json()
            self._token = (time.monotonic() + float(body["expires_in"]) - TOKEN_MARGIN_S, str(body["token"]))
            return self._token[1]

    def close(self) -> None:
        """Ends what services keep beside their workers, then releases connections and threads; calls under way fail."""
        for runtime in self._runtimes.values():
            for end in runtime.closers:
                end()
        with self._lock:
            parts = (self._internal, *self._transports.values(), self._bus, *self._databases.values())
            self._internal = None
            self._transports.clear()
        for part in parts:
            if part is not None:
                part.close()

    def _transport(self, service: str) -> Transport:
        with self._lock:
            if service not in self._transports:
                self._transports[service] = self._new_transport(service)
            return self._transports[service]

    def _new_transport(self, service: str) -> Transport:
        runtime = self._runtimes.get(service)
        if runtime is not None:
            if self._internal is None:
                self._internal = InternalLoop()
            return InProcessTransport(service, runtime.asgi, self._internal)
        if service in self.settings.services:
            return HttpTransport(service, self.settings.services[service])
        raise ServiceUnreachable(f"没有配置服务 {service} 的地址，请设置 BRAIN_SERVICES", service=service)

    def _jwks(self) -> dict[str, Any]:
        body: dict[str, Any] = self.client("identity").request("GET", "/.well-known/jwks.json", token="").json()
        return body


def create_app(
    name: str,
    platform: Platform,
    *,
    title: str,
    checks: Mapping[str, Callable[[], None]] | None = None,
    version: str = "1",
    max_body_bytes: int | None = None,
) -> FastAPI:
    """An application with problem+json errors, request ids, health, readiness, metrics, logs and traces.

    checks: part name to a callable that raises when the part fails; /readyz runs them all and names those that fail.
    max_body_bytes: larger request bodies are refused with 413; None where routes limit their own.
    """
    app = FastAPI(
        title=title,
        version=version,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        generate_unique_id_function=operation_name,
    )
    metrics = RequestMetrics(name)
    app.state.service = name
    app.state.tokens = platform.tokens
    app.state.organisations = Organisations(lambda: platform.client("identity"))
    app.state.metrics = metrics
    add_problem_handlers(app)
    add_operation_routes(app, name, metrics, dict(checks or {}), platform.settings.home)
    describe(app, name.replace("-", "_"))
    app.add_middleware(
        HttpShell,
        service=name,
        metrics=metrics,
        access_log=platform.settings.access_log,
        max_body_bytes=max_body_bytes,
    )
    return app
