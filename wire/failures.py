"""The human message inside a provider's error body, in any of the shapes that are about.

`{"error": {"message", "type"}}` (OpenAI, Anthropic, Gemini), `{"error": "…"}` (Ollama), `{"message": "…"}` (Mistral,
vLLM), `{"detail": "…"}` (FastAPI), and each of these as the only element of a list (Gemini's OpenAI endpoint).
"""

from __future__ import annotations

from typing import Any

import msgspec

from wire.body import MALFORMED
from wire.dialect import StreamFailedError

MAX_MESSAGE_CHARS = 2_000


def message_of(body: bytes) -> str:
    try:
        decoded = msgspec.json.decode(body)
    except MALFORMED:
        return ""
    return _message(decoded[0] if isinstance(decoded, list) and decoded else decoded)


def stream_failure(error: Any) -> StreamFailedError:
    """From the `error` member of a stream's error event."""
    kind = error.get("type") or error.get("code") if isinstance(error, dict) else None
    message = _message(error) or "the provider ended its stream with an error"
    return StreamFailedError(message, "" if kind is None else str(kind))


def _message(value: Any) -> str:
    if isinstance(value, str):
        return value[:MAX_MESSAGE_CHARS]
    if not isinstance(value, dict):
        return ""
    return next(filter(None, (_message(value.get(key)) for key in ("error", "message", "detail"))), "")
