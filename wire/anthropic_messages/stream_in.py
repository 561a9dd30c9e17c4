"""A provider's stream -> neutral events."""

from __future__ import annotations

from wire.anthropic_messages import answer
from wire.anthropic_messages.meter import read_event
from wire.anthropic_messages.response import bad_block
from wire.anthropic_messages.usage import decode_usage, merge
from wire.dialect import BadStreamError
from wire.neutral import (
    Finished,
    Metered,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from wire.sse import data_of, is_done


class Decoder:
    def __init__(self) -> None:
        self._usage = b""
        self._calls = 0
        # The number of the call whose input is coming, and whether any of it has.
        self._call: int | None = None
        self._call_said = False

    def decode(self, event: bytes) -> list[StreamEvent]:
        data = data_of(event)
        if not data or is_done(data):
            return []
        seen = read_event(data)
        match seen.type:
            case "content_block_delta":
                return self._delta(seen.delta or answer.Delta())
            case "content_block_start":
                return self._start_block(seen.content_block or answer.Block())
            case "content_block_stop":
                return self._stop_block()
            case _:
                return self._frame(seen)

    def _frame(self, seen: answer.Event) -> list[StreamEvent]:
        """Clients are to pass over kinds of events that are new to them, as over `ping` and `message_stop`."""
        if seen.type == "message_start":
            return self._start(seen.message or answer.Message())
        return self._end(seen) if seen.type == "message_delta" else []

    def _start(self, message: answer.Message) -> list[StreamEvent]:
        self._usage = merge(b"", message.usage)
        return [Started(message.id or "", message.model or "")]

    def _start_block(self, block: answer.Block) -> list[StreamEvent]:
        match block.type:
            case "text":
                return [TextDelta(block.text)] if block.text else []
            case "thinking":
                delta = ThinkingDelta(block.thinking or "", block.signature or None)
                return [delta] if delta.text or delta.signature else []
            case "redacted_thinking":
                return [ThinkingDelta(redacted=block.data or "")]
            case "tool_use":
                return self._start_call(block)
            case kind:
                raise BadStreamError(str(bad_block(kind)))

    def _start_call(self, block: answer.Block) -> list[StreamEvent]:
        """The input follows in deltas; some compatible hosts send it at once."""
        self._call, self._calls = self._calls, self._calls + 1
        self._call_said = bool(block.arguments)
        started = ToolCallStarted(self._call, block.id or "", block.name or "")
        return [started, ToolCallDelta(self._call, block.arguments)] if self._call_said else [started]

    def _stop_block(self) -> list[StreamEvent]:
        """A call without input has sent none; elsewhere its arguments must be JSON nevertheless."""
        call, self._call = self._call, None
        return [ToolCallDelta(call, "{}")] if call is not None and not self._call_said else []

    def _delta(self, delta: answer.Delta) -> list[StreamEvent]:
        if delta.text:
            return [TextDelta(delta.text)]
        if delta.partial_json and self._call is not None:
            self._call_said = True
            return [ToolCallDelta(self._call, delta.partial_json)]
        if delta.thinking or delta.signature:
            return [ThinkingDelta(delta.thinking or "", delta.signature or None)]
        return []

    def _end(self, seen: answer.Event) -> list[StreamEvent]:
        """Without usage here the start's alone is none: it tells the prompt and a token or so, and no answer."""
        is_told = decode_usage(seen.usage) is not None
        self._usage = merge(self._usage, seen.usage)
        events: list[StreamEvent] = []
        if seen.delta and seen.delta.stop_reason:
            finish = answer.finish_of(seen.delta.stop_reason)
            events.append(Finished(finish, stop_sequence=seen.delta.stop_sequence))
        usage = decode_usage(self._usage) if is_told else None
        return events if usage is None else [*events, Metered(usage)]
