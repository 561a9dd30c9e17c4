"""Ollama's own chat (`POST /api/chat`). Its `/api/generate` is the caller's half of a dialect: `wire.ollama_generate`.

One `wire.dialect.Dialect`. Facts are from Ollama's `docs/api.md`, `docs/openapi.yaml` and `api/types.go` (0.33), from
ollama-python 0.6.3's types, and from the places named beside the code. Streams are lines of JSON, and on by default.

Translation (`decode_chat`, `encode_chat`) refuses by name what another dialect cannot say; what it leaves out unasked
is listed in `decoding.DROPPED`, `options.DROPPED` and `options.HARMLESS_VALUES`, and on the way to Ollama: a tool's
`strict` (Ollama passes over it, as its endpoint for OpenAI's clients does), the name of a JSON schema, an image's
`detail`, signatures of thinking, cache hints, and the end user's id.

Ollama gives its answers no id, and older versions give calls none: ours are made of what is there, so that the same
answer or conversation always has the same ones.

`think: true` is the effort "medium", and `false` is "none".
"""

from __future__ import annotations

from wire import ndjson
from wire.failures import message_of as error_message
from wire.ollama.decoding import decode_chat
from wire.ollama.encoding import encode_chat
from wire.ollama.errors import encode_error
from wire.ollama.meter import Meter
from wire.ollama.opening import open_chat, rewrite_chat
from wire.ollama.response import decode_response, encode_response, read_result
from wire.ollama.stream_in import Decoder
from wire.ollama.stream_out import Encoder

__all__ = [
    "decode_chat",
    "decode_response",
    "decoder",
    "encode_chat",
    "encode_error",
    "encode_response",
    "encoder",
    "error_message",
    "meter",
    "name",
    "open_chat",
    "read_result",
    "rewrite_chat",
    "splitter",
    "stream_type",
]

name = "ollama"
stream_type = ndjson.CONTENT_TYPE
splitter = ndjson.LineSplitter


def meter(*, show_usage: bool) -> Meter:
    return Meter(show_usage=show_usage)


def decoder() -> Decoder:
    return Decoder()


def encoder(*, show_usage: bool) -> Encoder:
    return Encoder(show_usage=show_usage)
