"""OpenAI's Chat Completions (`POST /v1/chat/completions`), as its many compatible hosts speak it too.

One `wire.dialect.Dialect`. Facts are from openai-python 3.54.0's types and, where hosts differ from it, from the places
named beside the code.

Translation (`decode_chat`, `encode_chat`) refuses by name what another dialect cannot say; what it leaves out unasked
is listed in `decoding.DROPPED` and `decoding.HARMLESS_VALUES`. An image's `detail` and the name of a JSON schema go
no further than OpenAI: both are labels or hints. A system or developer message stays where it stands.
"""

from __future__ import annotations

from wire import sse
from wire.failures import message_of as error_message
from wire.openai_chat.decoding import decode_chat
from wire.openai_chat.encoding import encode_chat
from wire.openai_chat.errors import encode_error
from wire.openai_chat.meter import Meter
from wire.openai_chat.opening import open_chat, rewrite_chat
from wire.openai_chat.response import decode_response, encode_response, read_result
from wire.openai_chat.stream_in import Decoder
from wire.openai_chat.stream_out import Encoder

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

name = "openai_chat"
stream_type = sse.CONTENT_TYPE
splitter = sse.EventSplitter


def meter(*, show_usage: bool) -> Meter:
    return Meter(show_usage=show_usage)


def decoder() -> Decoder:
    return Decoder()


def encoder(*, show_usage: bool) -> Encoder:
    return Encoder(show_usage=show_usage)
