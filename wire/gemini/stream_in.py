"""A provider's stream -> neutral events."""

from __future__ import annotations

from wire.gemini import answer
from wire.gemini.logprobs import decode_logprobs
from wire.gemini.meter import chunk_data, read_chunk
from wire.gemini.response import call_id
from wire.gemini.signatures import decode_signature
from wire.gemini.usage import decode_usage
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


class Decoder:
    def __init__(self) -> None:
        self._id: str | None = None
        self._choices: dict[int, _ChoiceDecoder] = {}

    def decode(self, event: bytes) -> list[StreamEvent]:
        data = chunk_data(event)
        if not data:
            return []
        chunk = read_chunk(data)
        events = self._start(chunk)
        for at, candidate in enumerate(chunk.candidates or ()):
            events += self._choice(at if candidate.index is None else candidate.index).decode(candidate)
        if chunk.is_blocked:
            events.append(Finished("content_filter"))
        usage = decode_usage(chunk.usage_metadata) if _may_be_last(chunk) else None
        return events if usage is None else [*events, Metered(usage)]

    def _start(self, chunk: answer.Answer) -> list[StreamEvent]:
        if self._id is not None:
            return []
        self._id = chunk.response_id or ""
        return [Started(self._id, chunk.model_version or "")]

    def _choice(self, index: int) -> _ChoiceDecoder:
        return self._choices.setdefault(index, _ChoiceDecoder(self._id or "", index))


def _may_be_last(chunk: answer.Answer) -> bool:
    """The usage so far comes with every event; all of it with those at the end."""
    return not chunk.candidates or any(candidate.finish_reason for candidate in chunk.candidates)


class _ChoiceDecoder:
    def __init__(self, answer_id: str, index: int) -> None:
        self._answer_id = answer_id
        self._index = index
        self._calls = 0
        self._finished = False

    def decode(self, candidate: answer.Candidate) -> list[StreamEvent]:
        logprobs = decode_logprobs(candidate.logprobs_result) if len(candidate.logprobs_result) else None
        events = [event for part in candidate.parts for event in self._part(part, logprobs)]
        if candidate.finish_reason and not self._finished:
            self._finished = True
            events.append(Finished(answer.finish_of(candidate.finish_reason, calls=self._calls > 0), self._index))
        return events

    def _part(self, part: answer.Part, logprobs: object) -> list[StreamEvent]:
        answer.require_sayable(part)
        events: list[StreamEvent] = []
        if part.text and part.thought:
            events.append(ThinkingDelta(part.text, choice=self._index))
        elif part.text:
            events.append(TextDelta(part.text, self._index, logprobs))
        if part.thought_signature:
            signed = decode_signature(part.thought_signature)
            events.append(ThinkingDelta("", signed.signature, signed.redacted, self._index))
        if part.function_call is not None:
            events += self._call(part.function_call)
        return events

    def _call(self, call: answer.Call) -> list[StreamEvent]:
        """A call comes whole."""
        number, self._calls = self._calls, self._calls + 1
        id_ = call_id(call.id, self._answer_id, self._index, number)
        arguments = bytes(call.args).decode() or "{}"
        return [
            ToolCallStarted(number, id_, call.name or "", self._index),
            ToolCallDelta(number, arguments, self._index),
        ]
