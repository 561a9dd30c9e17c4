"""Errors as Anthropic's clients know them.

Source: anthropic-sdk-python 2.12.0, `types/shared/error_type.py`; https://docs.anthropic.com/en/api/errors, which adds
`request_too_large`.
"""

from __future__ import annotations

import msgspec

from wire import sse
from wire.errors import ApiError

_BY_STATUS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "invalid_request_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def encode_error(error: ApiError, *, request_id: str, stream: bool = False) -> bytes:
    shown = {"type": _BY_STATUS.get(error.status, "api_error"), "message": error.message}
    body = msgspec.json.encode({"type": "error", "error": shown, "request_id": request_id})
    return sse.event(body, "error") if stream else body
