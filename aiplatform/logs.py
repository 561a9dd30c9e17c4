"""Logs: one line an event, as text for people or JSON for machines; our own and every library's in one form."""

from __future__ import annotations

import logging
from typing import Any

import structlog
from structlog.typing import EventDict

from aiplatform import printing
from core import calling


def _with_request_id(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Whatever is logged while a call is worked for carries its id; the call itself pays for nothing but keeping it."""
    call = calling.current()
    if call is not None:
        event.setdefault("request_id", call.request_id)
    return event


_SHARED: list[Any] = [
    _with_request_id,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]


class Printed(logging.Handler):
    """On standard error, without waiting for who reads it."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            printing.to(printing.STANDARD_ERROR).print(self.format(record), gap=self._gap)
        except Exception:  # noqa: BLE001  # as every handler does: what cannot be logged stops nobody
            self.handleError(record)

    def _gap(self, lines: int) -> str:
        words = "%s lines of this log were dropped: nobody read them"
        return self.format(logging.LogRecord(__name__, logging.WARNING, __file__, 0, words, (lines,), None))


def config(*, level: str, style: str) -> dict[str, Any]:
    """Django's LOGGING setting, in "json" or "text"; also points structlog at the standard library's handlers."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "event": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _SHARED,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            }
        },
        "handlers": {"stderr": {"class": "aiplatform.logs.Printed", "formatter": "event"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django.server": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
            "uvicorn": {"level": "WARNING", "propagate": True},  # with no handler of its own
            "uvicorn.access": {"propagate": False},  # no line for each request: it looks whether anybody listens
            "celery": {"level": "WARNING"},
            "kombu": {"level": "WARNING"},
            # Else a line for each request of a check; and what they log in detail holds headers.
            **{
                name: {"level": "WARNING"}
                for name in ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "anthropic")
            },
            "google_genai": {"level": "ERROR"},
        },
    }
