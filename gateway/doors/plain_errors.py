"""Errors of the doors that are no provider's dialect: specification B's form."""

from __future__ import annotations

import time

import msgspec

from wire import sse
from wire.errors import ApiError


def encode_error(error: ApiError, *, request_id: str, operation: str, stream: bool = False) -> bytes:
    """`{"error", "error_code", "timestamp", "request_id", "context"}`, or the same as an SSE `error` event."""
    body = msgspec.json.encode(
        {
            "error": error.message,
            "error_code": error.code.name,
            "timestamp": time.time(),
            "request_id": request_id,
            "context": {"operation": operation, "provider": error.provider, "field": error.param},
        }
    )
    return sse.event(body, "error") if stream else body


class PlainErrors:
    """Errors of doors that speak nobody's chat dialect. `operation` is what was tried."""

    def __init__(self, operation: str) -> None:
        self._operation = operation

    def encode_error(self, error: ApiError, *, request_id: str, stream: bool = False) -> bytes:
        return encode_error(error, request_id=request_id, operation=self._operation, stream=stream)
