"""Neutral events -> a stream for the caller.

The order of events is OpenAI's own: each item is added, told piece by piece, told whole, and done; the last event
holds the whole answer once more (https://platform.openai.com/docs/api-reference/responses-streaming).
"""

from __future__ import annotations

from typing import Any

import msgspec

from wire import sse
from wire.dialect import BadStreamError
from wire.neutral import (
    Finished,
    FinishReason,
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
from wire.openai_responses.items_out import CallItem, Events, Item, MessageItem, ReasoningItem
from wire.openai_responses.response import ended, frame, item_id


class Encoder:
    """Deltas that follow one another go into one item; an item is done before the next one is added.

    How the answer ended is told with the last item and the usage, so that it waits for `close()`. OpenAI always tells
    the usage, and knows one choice alone here.
    """

    def __init__(self, *, show_usage: bool) -> None:
        del show_usage
        self._frame = frame("", "", 0)
        self._number = 0
        self._open: Item | None = None
        self._done: list[dict[str, Any]] = []
        self._finish: FinishReason = "stop"
        self._usage: Usage | None = None

    def encode(self, event: StreamEvent) -> bytes:
        match event:
            case TextDelta():
                return self._text(event)
            case ThinkingDelta():
                return self._thinking(event)
            case ToolCallStarted():
                return self._enter(CallItem(self._next_id("fc"), event))
            case ToolCallDelta():
                return self._call_delta(event)
            case _:
                return self._about(event)

    def close(self) -> bytes:
        left = self._leave()
        whole = self._frame | ended(self._finish, self._done, self._usage)
        return left + self._event({"type": f"response.{whole['status']}", "response": whole})

    def _about(self, event: Started | Finished | Metered | Settled) -> bytes:
        match event:
            case Started():
                self._frame = frame(event.id, event.model, event.created)
                begun = [{"type": f"response.{state}", "response": self._frame} for state in ("created", "in_progress")]
                return b"".join(map(self._event, begun))
            case Finished():
                self._finish = event.finish
                return self._leave()
            case Metered():
                self._usage = event.usage
            case Settled():  # holds the gateway's own estimate where the provider said nothing
                self._usage = self._usage or event.usage
        return b""

    def _text(self, event: TextDelta) -> bytes:
        entered = b"" if isinstance(self._open, MessageItem) else self._enter(MessageItem(self._next_id("msg")))
        assert isinstance(self._open, MessageItem)
        return entered + self._events(self._open.delta(event.text, (event.logprobs or {}).get("content") or []))

    def _thinking(self, event: ThinkingDelta) -> bytes:
        """The signature is the last of its item; sealed thinking is an item of its own."""
        fresh = event.redacted is not None or not isinstance(self._open, ReasoningItem)
        entered = self._enter(ReasoningItem(self._next_id("rs"))) if fresh else b""
        assert isinstance(self._open, ReasoningItem)
        told = self._events(self._open.delta(event))
        sealed = event.signature is not None or event.redacted is not None
        return entered + told + (self._leave() if sealed else b"")

    def _call_delta(self, event: ToolCallDelta) -> bytes:
        """Providers send one call after the other, and a call that is done cannot go on."""
        if not isinstance(self._open, CallItem) or self._open.number != event.call:
            raise BadStreamError("the arguments of several tool calls came mixed")
        return self._events(self._open.delta(event.arguments))

    def _enter(self, item: Item) -> bytes:
        left = self._leave()
        self._open = item
        return left + self._events(item.opening())

    def _leave(self) -> bytes:
        item, self._open = self._open, None
        if item is None:
            return b""
        closing = self._events(item.closing("incomplete" if self._finish == "length" else "completed"))
        self._done.append(item.whole)
        return closing

    def _next_id(self, prefix: str) -> str:
        return item_id(prefix, self._frame, len(self._done) + (self._open is not None))

    def _events(self, events: Events) -> bytes:
        index = len(self._done)
        return b"".join(self._event({**event, "output_index": index}) for event in events)

    def _event(self, event: dict[str, Any]) -> bytes:
        number, self._number = self._number, self._number + 1
        return sse.event(msgspec.json.encode({**event, "sequence_number": number}), event["type"])
