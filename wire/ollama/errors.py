"""Errors as Ollama's clients know them: `{"error": "…"}`, in a stream too (docs/api/errors.mdx)."""

from __future__ import annotations

import msgspec

from wire import ndjson
from wire.errors import ApiError


def encode_error(error: ApiError, *, request_id: str, stream: bool = False) -> bytes:
    """The code goes along for those who look: Ollama's own errors are words alone."""
    del request_id
    body = {"error": error.message, "code": error.code.name}
    return ndjson.line(body) if stream else msgspec.json.encode(body)
