"""Errors as OpenAI's clients know them.

Source: https://platform.openai.com/docs/guides/error-codes; openai-python reads `message`, `type`, `param`, `code`
(`_exceptions.py`) and, in a stream, raises for any event with an `error` member (`_streaming.py`).
"""

from __future__ import annotations

import msgspec

from wire import sse
from wire.errors import ApiError, Code

_TYPES = {
    Code.UNAUTHENTICATED: "authentication_error",
    Code.BUDGET_EXCEEDED: "insufficient_quota",
    Code.FORBIDDEN: "permission_error",
    Code.MODEL_NOT_ALLOWED: "permission_error",
    # LiteLLM takes whatever else is called invalid_request_error for a 400.
    Code.NOT_FOUND: "not_found_error",
    Code.MODEL_NOT_FOUND: "not_found_error",
    Code.RATE_LIMITED: "rate_limit_error",
    Code.PROVIDER_TIMEOUT: "timeout_error",
    Code.PROVIDER_UNAVAILABLE: "overloaded_error",
    Code.QUEUE_FULL: "overloaded_error",
    Code.LEDGER_UNAVAILABLE: "overloaded_error",
    Code.PROVIDER_ERROR: "server_error",
    Code.INTERNAL: "server_error",
}


def encode_error(error: ApiError, *, request_id: str, stream: bool = False) -> bytes:
    """The request's id has no place in the body: it goes out as a header."""
    del request_id
    shown = {
        "message": error.message,
        "type": _TYPES.get(error.code, "invalid_request_error"),
        "param": error.param,
        "code": error.code.name,
    }
    body = msgspec.json.encode({"error": shown})
    return sse.event(body) if stream else body
