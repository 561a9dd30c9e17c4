"""A choice's events with each call's arguments in one piece: this dialect alone may mix those of several calls."""

from __future__ import annotations

from wire.body import json_object
from wire.neutral import StreamEvent, TextDelta, ThinkingDelta, ToolCallDelta, ToolCallStarted

Said = TextDelta | ThinkingDelta | ToolCallStarted | ToolCallDelta


class CallsInOrder:
    """What comes while a call's arguments are no whole object yet is held until they are, or the answer ends.

    Other dialects tell one thing after the other, and cannot go back to a call.
    """

    def __init__(self) -> None:
        self._open: int | None = None
        self._arguments: list[str] = []
        # By call; what is said beside them under None. In the order in which each came first.
        self._held: dict[int | None, list[Said]] = {}

    def put(self, event: Said) -> list[StreamEvent]:
        call = event.call if isinstance(event, ToolCallStarted | ToolCallDelta) else None
        if self._open is not None and call != self._open:
            if not self._is_whole():
                self._held.setdefault(call, []).append(event)
                return []
            self._open = None
        self._see(event)
        return [event, *self._released()] if self._held else [event]

    def end(self) -> list[StreamEvent]:
        held, self._held = self._held, {}
        return [event for events in held.values() for event in events]

    def _released(self) -> list[StreamEvent]:
        told: list[StreamEvent] = []
        while self._held and (self._open is None or self._is_whole()):
            events = self._held.pop(next(iter(self._held)))
            self._open = None
            for event in events:
                self._see(event)
            told += events
        return told

    def _see(self, event: Said) -> None:
        match event:
            case ToolCallStarted():
                self._open, self._arguments = event.call, []
            case ToolCallDelta():
                self._arguments.append(event.arguments)

    def _is_whole(self) -> bool:
        """Looked at closely only where it may be: who has much to say says it in many pieces."""
        if not self._arguments or not self._arguments[-1].rstrip().endswith("}"):
            return False
        return json_object("".join(self._arguments)) is not None
