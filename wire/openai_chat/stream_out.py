"""Neutral events -> a stream for the caller."""

from __future__ import annotations

from typing import Any

import msgspec

from wire import sse
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
from wire.openai_chat.usage import encode_usage

DONE = b"data: [DONE]\n\n"

Delta = TextDelta | ThinkingDelta | ToolCallStarted | ToolCallDelta


class Encoder:
    """A chunk for each event; the first of each choice tells the role. Usage goes out last, where it is to be shown.

    Signatures and sealed thinking have no place in the dialect.
    """

    def __init__(self, *, show_usage: bool) -> None:
        self._show_usage = show_usage
        self._head: dict[str, Any] = {"id": "", "object": "chat.completion.chunk", "created": 0, "model": ""}
        self._begun: set[int] = set()
        self._usage: Usage | None = None

    def encode(self, event: StreamEvent) -> bytes:
        match event:
            case Started():
                self._head |= {"id": event.id, "created": event.created, "model": event.model}
                return self._begin(0)
            case Finished():
                return self._begin(event.choice) + self._chunk(event.choice, {}, finish=event.finish)
            case Metered():
                self._usage = event.usage
                return b""
            case Settled():  # holds the gateway's own estimate where the provider said nothing
                self._usage = self._usage or event.usage
                return b""
            case _:
                return self._delta(event)

    def close(self) -> bytes:
        if not self._show_usage or self._usage is None:
            return DONE
        chunk = {**self._head, "choices": [], "usage": encode_usage(self._usage)}
        return sse.event(msgspec.json.encode(chunk)) + DONE

    def _delta(self, event: Delta) -> bytes:
        delta = _delta_of(event)
        logprobs = event.logprobs if isinstance(event, TextDelta) else None
        return self._begin(event.choice) + self._chunk(event.choice, delta, logprobs) if delta else b""

    def _begin(self, choice: int) -> bytes:
        if choice in self._begun:
            return b""
        self._begun.add(choice)
        return self._chunk(choice, {"role": "assistant", "content": ""})

    def _chunk(self, choice: int, delta: dict[str, Any], logprobs: Any = None, *, finish: str | None = None) -> bytes:
        choices = [{"index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": finish}]
        return sse.event(msgspec.json.encode({**self._head, "choices": choices}))


def _delta_of(event: Delta) -> dict[str, Any]:
    match event:
        case TextDelta():
            return {"content": event.text}
        case ThinkingDelta():
            return {"reasoning_content": event.text} if event.text else {}
        case ToolCallDelta():
            return {"tool_calls": [{"index": event.call, "function": {"arguments": event.arguments}}]}
        case ToolCallStarted():
            function = {"name": event.name, "arguments": ""}
            return {"tool_calls": [{"index": event.call, "id": event.id, "type": "function", "function": function}]}
