"""The human message inside a provider's error body, in any of the shapes that are about.

`{"error": {"message", "type"}}` (OpenAI, Anthropic, Gemini), `{"error": "…"}` (Ollama), `{"message": "…"}` (Mistral,
vLLM), `{"detail": "…"}` and `{"detail": [{"loc", "msg"}]}` (FastAPI, and so Mistral), and each of these as the only
element of a list (Gemini's OpenAI endpoint).
"""

from __future__ import annotations

from typing import Any

from wire.body import MALFORMED
from wire.dialect import StreamFailedError
from wire.halves import Decoder

MAX_MESSAGE_CHARS = 2_000
_MAX_DEPTH = 8
_MAX_MESSAGES = 10
_BODY = Decoder[Any](Any)


def message_of(body: bytes) -> str:
    try:
        decoded = _BODY.decode(body)
    except MALFORMED:
        return ""
    return _message(decoded)


def stream_failure(error: Any) -> StreamFailedError:
    """From the `error` member of a stream's error event."""
    kind = error.get("type") or error.get("code") if isinstance(error, dict) else None
    message = _message(error) or "the provider ended its stream with an error"
    return StreamFailedError(message, "" if kind is None else str(kind))


def _message(value: Any, depth: int = _MAX_DEPTH) -> str:
    if isinstance(value, str):
        return value[:MAX_MESSAGE_CHARS]
    if not depth:
        return ""
    if isinstance(value, list):
        told = [_of_field(each, depth - 1) for each in value[:_MAX_MESSAGES]]
        return "; ".join(filter(None, told))[:MAX_MESSAGE_CHARS]
    if not isinstance(value, dict):
        return ""
    return next(
        filter(None, (_message(value.get(key), depth - 1) for key in ("error", "message", "detail", "msg"))), ""
    )


def _of_field(value: Any, depth: int) -> str:
    """FastAPI says of each field where it stands: `["body", "messages", 0, "name"]`."""
    message = _message(value, depth)
    steps = value.get("loc") if isinstance(value, dict) else None
    place = ".".join(str(step) for step in steps if isinstance(step, str | int)) if isinstance(steps, list) else ""
    return f"{place}: {message}" if place and message else message
