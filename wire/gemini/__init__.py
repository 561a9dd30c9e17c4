"""Google's Gemini API (`POST /v1beta/models/{model}:generateContent`, `:streamGenerateContent`).

One `wire.dialect.Dialect`. Facts are from google-genai 3.4.0's types, and from the places named beside the code.

The model's name, and whether to stream, stand in the URL: see `opening`. Streams are read and written as SSE
(`alt=sse`); `array` turns ours into the JSON array of callers who do not ask for SSE.

Translation (`decode_chat`, `encode_chat`) refuses by name what another dialect cannot say; what it leaves out unasked
is listed in `decoding.DROPPED` and `decoding.HARMLESS_VALUES`. Thoughts are shown to callers whether they asked for
them or not. Signatures of thoughts go with them to callers of all dialects that can hold one, and find their way back
to whoever signed: see `signatures`.
"""

from __future__ import annotations

from wire import sse
from wire.failures import message_of as error_message
from wire.gemini.decoding import decode_chat
from wire.gemini.encoding import encode_chat
from wire.gemini.errors import encode_error
from wire.gemini.meter import Meter
from wire.gemini.opening import open_chat, rewrite_chat
from wire.gemini.response import decode_response, encode_response, read_result
from wire.gemini.stream_in import Decoder
from wire.gemini.stream_out import Encoder

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

name = "gemini"
stream_type = sse.CONTENT_TYPE
splitter = sse.EventSplitter


def meter(*, show_usage: bool) -> Meter:
    return Meter(show_usage=show_usage)


def decoder() -> Decoder:
    return Decoder()


def encoder(*, show_usage: bool) -> Encoder:
    return Encoder(show_usage=show_usage)
