"""What an Anthropic-compatible provider answers, read leniently.

Source: anthropic-sdk-python 2.12.0, `types/message.py`, `raw_*_event.py`, `stop_reason.py`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from wire.counts import utf8_bytes
from wire.halves import Decoder
from wire.neutral import FinishReason

_FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",  # of hosted tools, which never reach here from another dialect
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def finish_of(reason: str) -> FinishReason:
    """A reason that we do not know is a stop: the answer came whole, and the caller has paid for it."""
    return _FINISH.get(reason, "stop")


def stop_reason_of(finish: FinishReason, stop_sequence: str | None) -> str:
    if finish == "stop":
        return "end_turn" if stop_sequence is None else "stop_sequence"
    return {"length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}[finish]


class Block(msgspec.Struct, gc=False):
    """A content block: whole, or as a stream starts it."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw()

    @property
    def arguments(self) -> str:
        """Those of a call that is said whole; most streams begin one with {}, and say them in deltas."""
        said = bytes(self.input).decode()
        return "" if said in ("{}", "null") else said


class Message(msgspec.Struct, gc=False):
    id: str | None = None
    model: str | None = None
    type: str | None = None
    content: list[Block] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: msgspec.Raw = msgspec.Raw()


class Delta(msgspec.Struct, gc=False):
    """Of a block (`content_block_delta`), or of the message (`message_delta`)."""

    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class Event(msgspec.Struct, gc=False):
    type: str
    index: int | None = 0
    delta: Delta | None = None
    content_block: Block | None = None
    message: Message | None = None
    usage: msgspec.Raw = msgspec.Raw()
    error: Any = None


MESSAGE = Decoder[Message](Message)
EVENT = Decoder[Event](Event)


def output_bytes(block: Block) -> int:
    return utf8_bytes(block.text or block.thinking or "") + len(block.input)
