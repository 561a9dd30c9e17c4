"""Neutral events -> a stream for the caller."""

from __future__ import annotations

from typing import Any

import msgspec

from wire import sse
from wire.anthropic_messages.answer import stop_reason_of
from wire.anthropic_messages.usage import encode_usage
from wire.dialect import BadStreamError
from wire.neutral import (
    Finished,
    Metered,
    Settled,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
)

MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


class Encoder:
    """Deltas that follow one another go into one content block; a block is closed before the next one opens.

    `message_delta` tells the stop reason and the usage together, so that it waits for `close()`. Anthropic always
    tells the usage, and knows one choice alone.
    """

    def __init__(self, *, show_usage: bool) -> None:
        del show_usage
        self._index = -1
        self._open: str | int | None = None  # "text", "thinking", or the number of a call
        self._finished: Finished | None = None
        self._usage: Usage | None = None

    def encode(self, event: StreamEvent) -> bytes:
        match event:
            case TextDelta():
                return self._enter_text() + self._delta({"type": "text_delta", "text": event.text})
            case ThinkingDelta():
                return self._thinking(event)
            case ToolCallStarted():
                block = {"type": "tool_use", "id": event.id, "name": event.name, "input": {}}
                return self._enter(event.call, block)
            case ToolCallDelta():
                return self._call_delta(event)
            case _:
                return self._frame(event)

    def close(self) -> bytes:
        finished = self._finished or Finished("stop")
        delta = {
            "stop_reason": stop_reason_of(finished.finish, finished.stop_sequence),
            "stop_sequence": finished.stop_sequence,
        }
        ended = _event("message_delta", delta=delta, usage=encode_usage(self._usage))
        return self._leave() + ended + MESSAGE_STOP

    def _frame(self, event: Started | Finished | Metered | Settled) -> bytes:
        match event:
            case Started():
                return _message_start(event)
            case Finished():
                self._finished = event
                return self._leave()
            case Metered():
                self._usage = event.usage
            case Settled():  # holds the gateway's own estimate where the provider said nothing
                self._usage = self._usage or event.usage
        return b""

    def _enter_text(self) -> bytes:
        return b"" if self._open == "text" else self._enter("text", {"type": "text", "text": ""})

    def _thinking(self, event: ThinkingDelta) -> bytes:
        """The signature is the last of its block; sealed thinking is a block of its own."""
        if event.redacted is not None:
            return self._enter("sealed", {"type": "redacted_thinking", "data": event.redacted}) + self._leave()
        encoded = b""
        if self._open != "thinking":
            encoded = self._enter("thinking", {"type": "thinking", "thinking": "", "signature": ""})
        if event.text:
            encoded += self._delta({"type": "thinking_delta", "thinking": event.text})
        if event.signature:
            encoded += self._delta({"type": "signature_delta", "signature": event.signature}) + self._leave()
        return encoded

    def _call_delta(self, event: ToolCallDelta) -> bytes:
        """Providers send one call after the other, and a closed block cannot be opened again."""
        if self._open != event.call:
            raise BadStreamError("the arguments of several tool calls came mixed")
        return self._delta({"type": "input_json_delta", "partial_json": event.arguments})

    def _enter(self, kind: str | int, block: dict[str, Any]) -> bytes:
        left = self._leave()
        self._open = kind
        self._index += 1
        return left + _event("content_block_start", index=self._index, content_block=block)

    def _leave(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return _event("content_block_stop", index=self._index)

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _event("content_block_delta", index=self._index, delta=delta)


def _message_start(started: Started) -> bytes:
    message: dict[str, Any] = {
        "id": started.id,
        "type": "message",
        "role": "assistant",
        "model": started.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": encode_usage(None),  # told at the end
    }
    return _event("message_start", message=message)


def _event(kind: str, **members: Any) -> bytes:
    return sse.event(msgspec.json.encode({"type": kind, **members}), kind)
