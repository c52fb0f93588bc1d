"""Structured logs: a static event name, the data in fields, secrets masked."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from brain_kit.telemetry.masking import mask_event
from brain_kit.telemetry.tracing import add_trace

QUIET = {"alembic": "WARNING", "kafka": "ERROR", "pyiceberg": "WARNING", "urllib3": "ERROR", "uvicorn": "WARNING"}


def configure_logging(level: str = "INFO", form: str = "console") -> None:
    """Sends all logs of this process, also those of libraries, to standard error in one form."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_trace,
    ]
    final: list[Any] = [
        structlog.processors.dict_tracebacks,
        mask_event,
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]
    if form == "console":
        final = [
            structlog.processors.format_exc_info,
            mask_event,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final]
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name, least in QUIET.items():
        logging.getLogger(name).setLevel(least)
