"""Anthropic's Messages (`POST /v1/messages`).

One `wire.dialect.Dialect`. Facts are from anthropic-sdk-python 2.12.0's types, which follow the API of late 2026, and
from the places named beside the code.

Translation (`decode_chat`, `encode_chat`) refuses by name what another dialect cannot say; what it leaves out unasked
is listed in `decoding.DROPPED` and `decoding.HARMLESS_VALUES`. Cache hints are kept as neutral hints, which other
dialects leave out: they change the price of an answer, not the answer.

Thinking: a manual budget becomes `thinking_budget_tokens`; adaptive thinking says nothing beyond
`output_config.effort`, which becomes `reasoning_effort`; disabled thinking becomes the effort "none".
"""

from __future__ import annotations

from wire import sse
from wire.anthropic_messages.decoding import decode_chat
from wire.anthropic_messages.encoding import encode_chat
from wire.anthropic_messages.errors import encode_error
from wire.anthropic_messages.meter import Meter
from wire.anthropic_messages.opening import open_chat, rewrite_chat
from wire.anthropic_messages.response import decode_response, encode_response, read_result
from wire.anthropic_messages.stream_in import Decoder
from wire.anthropic_messages.stream_out import Encoder
from wire.failures import message_of as error_message

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

name = "anthropic_messages"
stream_type = sse.CONTENT_TYPE
splitter = sse.EventSplitter


def meter(*, show_usage: bool) -> Meter:
    return Meter(show_usage=show_usage)


def decoder() -> Decoder:
    return Decoder()


def encoder(*, show_usage: bool) -> Encoder:
    return Encoder(show_usage=show_usage)
