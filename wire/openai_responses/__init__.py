"""OpenAI's Responses (`POST /v1/responses`), stateless but for the items of answers, which the door keeps for a while.

One `wire.dialect.Dialect`. Facts are from openai-python 3.54.0's types, and from the places named beside the code.

What would need a memory, or work whose cost no caller can bound, is refused by name at every provider: see `opening`.
No response is stored: `store` is answered with false, and sent as false to a provider of the dialect. Items that a
caller names must be put in before a body is decoded or rewritten: see `references`.

Translation (`decode_chat`, `encode_chat`) refuses by name what another dialect cannot say; what it leaves out unasked
is listed in `decoding.DROPPED` and `decoding.HARMLESS_VALUES`. An image's `detail`, the name of a JSON schema, the
wish for a summary of the reasoning, and what only bears on hosted tools go no further than OpenAI.

A function's `strict` is true by default here and false elsewhere: where the caller of another dialect says nothing,
false is said. Answers do not repeat the request's own fields.
"""

from __future__ import annotations

from wire import sse
from wire.failures import message_of as error_message
from wire.openai_responses.decoding import decode_chat
from wire.openai_responses.encoding import encode_chat
from wire.openai_responses.errors import encode_error
from wire.openai_responses.meter import Meter
from wire.openai_responses.opening import open_chat, rewrite_chat
from wire.openai_responses.references import items_of, items_of_end, references, resolved, wants_storing
from wire.openai_responses.response import decode_response, encode_response, read_result
from wire.openai_responses.stream_in import Decoder
from wire.openai_responses.stream_out import Encoder

__all__ = [
    "decode_chat",
    "decode_response",
    "decoder",
    "encode_chat",
    "encode_error",
    "encode_response",
    "encoder",
    "error_message",
    "items_of",
    "items_of_end",
    "meter",
    "name",
    "open_chat",
    "read_result",
    "references",
    "resolved",
    "rewrite_chat",
    "splitter",
    "stream_type",
    "wants_storing",
]

name = "openai_responses"
stream_type = sse.CONTENT_TYPE
splitter = sse.EventSplitter


def meter(*, show_usage: bool) -> Meter:
    return Meter(show_usage=show_usage)


def decoder() -> Decoder:
    return Decoder()


def encoder(*, show_usage: bool) -> Encoder:
    return Encoder(show_usage=show_usage)
