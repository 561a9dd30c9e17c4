"""Errors as Gemini's clients know them.

Source: https://ai.google.dev/gemini-api/docs/generate-content/api-errors and google.rpc.Code; google-genai 3.4.0 raises
for an event of a stream that begins with an `error` member (`_api_client.py`).
"""

from __future__ import annotations

import msgspec

from wire import sse
from wire.errors import ApiError, Code

# Of the errors that keep the provider's own status.
_BY_STATUS = {404: "NOT_FOUND", 409: "ABORTED"}


def encode_error(error: ApiError, *, request_id: str, stream: bool = False) -> bytes:
    """The request's id has no place in the body: it goes out as a header. `reason` is the code of the platform."""
    del request_id
    status = error.code.grpc
    if error.code is Code.PROVIDER_REJECTED:
        status = _BY_STATUS.get(error.status, status)
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": error.code.name, "domain": "ai-platform"}
    shown = {"code": error.status, "message": error.message, "status": status, "details": [info]}
    body = msgspec.json.encode({"error": shown})
    return sse.event(body) if stream else body
