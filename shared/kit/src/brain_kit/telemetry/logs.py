"""Structured logs: a static event name, the data in fields, secrets masked."""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import structlog

from brain_kit.telemetry.masking import mask_event
from brain_kit.telemetry.tracing import add_trace

QUIET = {"alembic": "WARNING", "kafka": "ERROR", "pyiceberg": "WARNING", "urllib3": "ERROR", "uvicorn": "WARNING"}
# Local variables of a traceback hold bodies and passwords: they stay out of the logs.
_TRACEBACKS = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


class _ErrorStream(logging.StreamHandler[TextIO]):
    """Writes to what standard error is at the moment; tests and daemons replace it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def configure_logging(level: str = "INFO", form: str = "console") -> None:
    """Sends all logs of this process, also those of libraries, to standard error in one form.

    Handlers that others put on the root logger stay.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_trace,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = _ErrorStream()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(form)],
        )
    )
    root = logging.getLogger()
    root.handlers = [kept for kept in root.handlers if not isinstance(kept, _ErrorStream)] + [handler]
    root.setLevel(level)
    for name, least in QUIET.items():
        logging.getLogger(name).setLevel(least)


def _rendering(form: str) -> list[Any]:
    if form == "json":
        return [_TRACEBACKS, mask_event, structlog.processors.JSONRenderer(ensure_ascii=False)]
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    # The traceback becomes text before masking, so that it is masked too.
    return [structlog.processors.format_exc_info, mask_event, console]
