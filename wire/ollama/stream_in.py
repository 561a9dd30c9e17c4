"""A provider's stream -> neutral events."""

from __future__ import annotations

from wire.logprobs import believed
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
from wire.ollama import answer
from wire.ollama.meter import read_line
from wire.ollama.response import decode_call


class Decoder:
    def __init__(self) -> None:
        self._id: str | None = None
        self._calls = 0

    def decode(self, event: bytes) -> list[StreamEvent]:
        if event.isspace():
            return []
        line = read_line(event)
        events: list[StreamEvent] = []
        if self._id is None:
            self._id = answer.id_of(line)
            events.append(Started(self._id, line.model or "", answer.created_of(line)))
        if line.message is not None:
            events += self._said(line.message, line, self._id)
        return [*events, *self._end(line)] if line.done else events

    def _said(self, said: answer.Said, line: answer.Answer, answer_id: str) -> list[StreamEvent]:
        """Calls come whole."""
        events: list[StreamEvent] = []
        if said.thinking:
            events.append(ThinkingDelta(said.thinking))
        if said.content:
            logprobs = believed({"content": line.logprobs}) if line.logprobs else None
            events.append(TextDelta(said.content, logprobs=logprobs))
        for call in said.tool_calls or ():
            whole = decode_call(call, answer_id, self._calls)
            events += [ToolCallStarted(self._calls, whole.id, whole.name), ToolCallDelta(self._calls, whole.arguments)]
            self._calls += 1
        return events

    def _end(self, line: answer.Answer) -> list[StreamEvent]:
        finished = Finished(answer.finish_of(line, calls=self._calls > 0))
        usage = answer.usage_of(line)
        return [finished] if usage is None else [finished, Metered(usage)]
