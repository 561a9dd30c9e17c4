"""Ollama's older `POST /api/generate`: one prompt, one answer.

One `wire.dialect.CallerDialect`: no provider is asked in it, as `/api/chat` can say the same. What it cannot say is
refused here by name: a prompt in the model's own template (`raw`, `template`), one whose middle is to be filled in
(`suffix`), and a conversation as token numbers (`context`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from wire import ndjson
from wire.body import TEXT, Reader, open_body, refuse_others, text_bytes
from wire.dialect import Envelope
from wire.errors import invalid
from wire.neutral import ChatRequest, ChatResponse, Message, Part, Text
from wire.ollama import decoding
from wire.ollama.errors import encode_error
from wire.ollama.messages_in import decode_images
from wire.ollama.opening import envelope_of, surplus_of
from wire.ollama.response import ended, head, text_of, thinking_of
from wire.ollama.stream_out import Encoder as ChatEncoder

__all__ = ["decode_chat", "encode_error", "encode_response", "encoder", "name", "open_chat", "stream_type"]

name = "ollama_generate"
stream_type = ndjson.CONTENT_TYPE

TRANSLATED = (decoding.TRANSLATED - {"messages", "tools"}) | {"prompt", "system", "images"}

_IMAGES = Reader[list[str]](list[str] | None, "an array of base64 strings")
_RAW_IMAGES = Reader[list[msgspec.Raw]](list[msgspec.Raw] | None, "an array of base64 strings")


def open_chat(body: bytes) -> Envelope:
    fields = open_body(body)
    if not TEXT.read(fields, "prompt"):
        raise invalid("'prompt' must be a non-empty string.", param="prompt")
    read = text_bytes(fields, "prompt", "system", "images", "format")
    return envelope_of(fields, input_bytes=read - surplus_of(_RAW_IMAGES.read(fields, "images") or []))


def decode_chat(envelope: Envelope) -> ChatRequest:
    fields = envelope.fields
    refuse_others(fields, TRANSLATED | decoding.DROPPED, {"raw": [False]})
    system = TEXT.read(fields, "system")
    asked: list[Part] = [Text(TEXT.read(fields, "prompt") or "")]
    asked += decode_images(_IMAGES.read(fields, "images"), "images")
    before = (Message("system", (Text(system),)),) if system else ()
    return decoding.request_of(envelope, (*before, Message("user", tuple(asked))))


def encode_response(response: ChatResponse) -> bytes:
    choice = response.choices[0]
    said = {"response": text_of(choice), **thinking_of(choice)}
    return msgspec.json.encode(head(response) | said | ended(choice.finish, response.usage))


class Encoder(ChatEncoder):
    """The same lines, with the text in `response`."""

    def said(self, content: str, **others: Any) -> dict[str, Any]:
        return {"response": content, **others}


def encoder(*, show_usage: bool) -> Encoder:
    return Encoder(show_usage=show_usage)
