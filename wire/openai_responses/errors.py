"""Errors as OpenAI's clients know them.

A stream's error event is flat in OpenAI's types (openai-python 3.54.0, `types/responses/response_error_event.py`), and
has an `error` member on the wire, for which its SDKs look (`_streaming.py`): ours has both. Nobody knows here which
number the event has in its stream.
"""

from __future__ import annotations

import msgspec

from wire import openai_chat, sse
from wire.errors import ApiError


def encode_error(error: ApiError, *, request_id: str, stream: bool = False) -> bytes:
    body = openai_chat.encode_error(error, request_id=request_id)
    if not stream:
        return body
    flat = {
        "type": "error",
        "code": error.code.name,
        "message": error.message,
        "param": error.param,
        "sequence_number": 0,
        **msgspec.json.decode(body),
    }
    return sse.event(msgspec.json.encode(flat), "error")
