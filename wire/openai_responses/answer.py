"""What a provider of the Responses API answers, read leniently.

Source: openai-python 3.54.0, `types/responses/response.py`, `response_output_item.py`, `response_*_event.py`.
`reasoning_text` is the thinking of open models (vLLM, llama.cpp), told whole; OpenAI tells summaries of its own.
"""

from __future__ import annotations

from typing import Any

import msgspec

from wire.counts import utf8_bytes
from wire.dialect import BadBodyError
from wire.halves import Decoder
from wire.neutral import FinishReason


class Part(msgspec.Struct, gc=False):
    """Of a message, or of a reasoning item's `summary` or `content`."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    logprobs: Any = None


class Item(msgspec.Struct, gc=False):
    """An output item: whole, or as a stream starts it."""

    type: str = ""
    id: str | None = None
    content: list[Part] | None = None
    summary: list[Part] | None = None
    encrypted_content: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None


class Incomplete(msgspec.Struct, gc=False):
    reason: str | None = None


class Response(msgspec.Struct, gc=False):
    id: str | None = None
    model: str | None = None
    created_at: Any = None
    status: str | None = None
    output: list[Item] | None = None
    incomplete_details: Incomplete | None = None
    error: Any = None
    usage: msgspec.Raw = msgspec.Raw()


class Event(msgspec.Struct, gc=False):
    type: str
    response: Response | None = None
    item: Item | None = None
    delta: Any = None
    logprobs: Any = None
    summary_index: int | None = None
    output_index: int | None = None
    item_id: str | None = None
    error: Any = None
    message: str | None = None
    code: str | None = None


RESPONSE = Decoder[Response](Response)
EVENT = Decoder[Event](Event)

PARAGRAPH = "\n\n"  # between the parts of a thought


def finish_of(response: Response, *, has_called: bool = False) -> FinishReason:
    """What was broken off is so for its length, unless a filter is named.

    `has_called`: calls of tools have come in its stream, whose end some hosts tell without the items.
    """
    if response.status == "incomplete":
        reason = response.incomplete_details and response.incomplete_details.reason
        return "content_filter" if reason == "content_filter" else "length"
    output = response.output or ()
    if has_called or any(item.type == "function_call" for item in output):
        return "tool_calls"
    refused = any(part.type == "refusal" for item in output for part in item.content or ())
    return "content_filter" if refused else "stop"


def created_of(response: Response) -> int:
    return int(response.created_at) if isinstance(response.created_at, int | float) else 0


def thinking_text(item: Item) -> str:
    return PARAGRAPH.join(part.text or "" for part in item.summary or item.content or ())


def output_bytes(item: Item) -> int:
    if item.type == "reasoning":
        return utf8_bytes(thinking_text(item))
    said = sum(utf8_bytes(part.text or part.refusal or "") for part in item.content or ())
    return said + utf8_bytes(item.arguments or "")


def bad_item(kind: str) -> BadBodyError:
    return BadBodyError(f"an output item of type '{kind}', which no other dialect has")
