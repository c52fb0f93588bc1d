"""Logs with secrets masked, metrics, and traces across HTTP and events."""

from brain_kit.telemetry.logs import configure_logging
from brain_kit.telemetry.masking import mask_event, mask_text
from brain_kit.telemetry.metrics import RequestMetrics, exposition
from brain_kit.telemetry.tracing import configure_tracing, current_headers, name_span, server_span

__all__ = [
    "RequestMetrics",
    "configure_logging",
    "configure_tracing",
    "current_headers",
    "exposition",
    "mask_event",
    "mask_text",
    "name_span",
    "server_span",
]
