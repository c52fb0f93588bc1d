"""Traces across HTTP and events in the W3C form.

Without an OTLP endpoint nothing is exported and the SDK is not imported; the trace id is still carried on, so that the
logs of one request can be put together.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

TRACEPARENT = re.compile(r"^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$")
_parent: ContextVar[str] = ContextVar("brain_traceparent", default="")
_configured = False


def configure_tracing(service: str, endpoint: str) -> None:
    """Exports spans to an OTLP/HTTP endpoint; does nothing without one. The first call of a process counts."""
    global _configured
    if not endpoint or _configured:
        return
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(provider)
    _configured = True


@contextmanager
def server_span(name: str, incoming: str | None, attributes: Mapping[str, Any], kind: str = "SERVER") -> Iterator[str]:
    """A span of handling a request or event, child of the incoming traceparent when well formed; yields its own."""
    token = _parent.set(_child(incoming))
    try:
        if _configured:
            with _exported_span(name, incoming, attributes, kind):
                yield _parent.get()
        else:
            yield _parent.get()
    finally:
        _parent.reset(token)


def name_span(name: str, attributes: Mapping[str, Any]) -> None:
    """Gives the span at hand the name and attributes that are known only afterwards, such as route and status."""
    if _configured:
        from opentelemetry import trace

        span = trace.get_current_span()
        span.update_name(name)
        span.set_attributes(dict(attributes))
        if int(attributes.get("http.response.status_code", 0)) >= 500:
            span.set_status(trace.StatusCode.ERROR)


def current_traceparent() -> str:
    """The traceparent of the work at hand, empty outside any."""
    return _parent.get()


def current_headers() -> dict[str, str]:
    """Headers that carry the trace to another service."""
    parent = _parent.get()
    return {"traceparent": parent} if parent else {}


def add_trace(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor that adds the trace id."""
    parent = _parent.get()
    if parent:
        event["trace_id"] = parent.split("-")[1]
    return event


def _child(incoming: str | None) -> str:
    match = TRACEPARENT.match(incoming or "")
    trace_id = match[1] if match else _random_hex(16)
    flags = match[3] if match else "01"
    return f"00-{trace_id}-{_random_hex(8)}-{flags}"


def _random_hex(size: int) -> str:
    """So many random bytes. They keep no secret, and asking the kernel would make this thread wait for its turn."""
    return f"{random.getrandbits(8 * size) or 1:0{2 * size}x}"


@contextmanager
def _exported_span(name: str, incoming: str | None, attributes: Mapping[str, Any], kind: str) -> Iterator[None]:
    from opentelemetry import propagate, trace

    context = propagate.extract({"traceparent": incoming}) if incoming else None
    tracer = trace.get_tracer("brain_kit")
    span_kind = trace.SpanKind[kind]
    with tracer.start_as_current_span(name, context=context, kind=span_kind, attributes=dict(attributes)):
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        _parent.set(carrier.get("traceparent", _parent.get()))
        yield
