"""Answers as streams, and back: what a gateway does with a dialect's codecs, in a few lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from wire.dialect import Dialect
from wire.neutral import (
    ChatResponse,
    Choice,
    Finished,
    Metered,
    Part,
    Started,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
)

MAX_EVENT_BYTES = 1 << 20


def events_of(response: ChatResponse, *, piece_chars: int = 3) -> Iterator[StreamEvent]:
    yield Started(response.id, response.model, response.created)
    for choice in response.choices:
        number = 0
        for part in choice.parts:
            yield from _part_events(part, choice.index, number, piece_chars)
            number += isinstance(part, ToolCall)
        yield Finished(choice.finish, choice.index, choice.stop_sequence)
    if response.usage is not None:
        yield Metered(response.usage)


def encoded(dialect: Dialect, events: Iterable[StreamEvent], *, show_usage: bool = True) -> bytes:
    encoder = dialect.encoder(show_usage=show_usage)
    return b"".join([*map(encoder.encode, events), encoder.close()])


def split(dialect: Dialect, stream: bytes, cuts: Iterable[int] = ()) -> list[bytes]:
    """The stream's events, when it comes in chunks that end at `cuts`."""
    splitter = dialect.splitter(max_event_bytes=MAX_EVENT_BYTES)
    ends = [*sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    events: list[bytes] = []
    start = 0
    for end in ends:
        events += splitter.feed(stream[start:end])
        start = end
    assert splitter.ending == b""
    return events


def decoded(dialect: Dialect, events: Iterable[bytes]) -> list[StreamEvent]:
    decoder = dialect.decoder()
    return [neutral for event in events for neutral in decoder.decode(event)]


def assembled(events: Sequence[StreamEvent]) -> ChatResponse:
    """The answer that a stream tells, with the usage that was told last."""
    started = next(event for event in events if isinstance(event, Started))
    metered = [event.usage for event in events if isinstance(event, Metered)]
    finished = [event for event in events if isinstance(event, Finished)]
    choices = [
        Choice(end.choice, tuple(_parts(events, end.choice)), end.finish, end.stop_sequence)
        for end in sorted(finished, key=lambda end: end.choice)
    ]
    usage = without_raw(metered[-1]) if metered else None
    return ChatResponse(started.id, started.model, tuple(choices), usage, started.created)


def without_raw(usage: Usage) -> Usage:
    return msgspec.structs.replace(usage, raw=b"")


def output_bytes(response: ChatResponse) -> int:
    """Of the generated text, as UTF-8."""
    texts = [
        part.arguments if isinstance(part, ToolCall) else part.text
        for choice in response.choices
        for part in choice.parts
        if isinstance(part, Text | Thinking | ToolCall)
    ]
    return sum(len(text.encode()) for text in texts)


def _part_events(part: Part, choice: int, call: int, piece_chars: int) -> Iterator[StreamEvent]:
    match part:
        case Text():
            yield from (TextDelta(piece, choice) for piece in _pieces(part.text, piece_chars))
        case Thinking(redacted=None):
            yield from (ThinkingDelta(piece, choice=choice) for piece in _pieces(part.text, piece_chars))
            if part.signature:
                yield ThinkingDelta(signature=part.signature, choice=choice)
        case Thinking():
            yield ThinkingDelta(redacted=part.redacted, choice=choice)
        case ToolCall():
            yield ToolCallStarted(call, part.id, part.name, choice)
            yield from (ToolCallDelta(call, piece, choice) for piece in _pieces(part.arguments, piece_chars))


def _pieces(text: str, chars: int) -> list[str]:
    return [text[at : at + chars] for at in range(0, len(text), chars)]


def _parts(events: Sequence[StreamEvent], choice: int) -> list[Part]:
    """Deltas of one kind that follow one another are one part; a signature ends it."""
    parts: list[Part] = []
    for event in events:
        if isinstance(event, TextDelta | ThinkingDelta | ToolCallStarted | ToolCallDelta) and event.choice == choice:
            grown = _grown(parts[-1] if parts else None, event)
            if grown is None:
                parts.append(_begun(event))
            else:
                parts[-1] = grown
    return parts


def _grown(part: Part | None, event: StreamEvent) -> Part | None:
    match part, event:
        case Text(), TextDelta():
            return Text(part.text + event.text)
        case Thinking(signature=None, redacted=None), ThinkingDelta(redacted=None):
            return Thinking(part.text + event.text, event.signature)
        case ToolCall(), ToolCallDelta():
            return ToolCall(part.id, part.name, part.arguments + event.arguments)
        case _:
            return None


def _begun(event: StreamEvent) -> Part:
    match event:
        case TextDelta():
            return Text(event.text)
        case ThinkingDelta():
            return Thinking(event.text, event.signature, event.redacted)
        case ToolCallStarted():
            return ToolCall(event.id, event.name, "")
        case _:
            raise AssertionError(f"{event} begins nothing")


def name_of(event: bytes) -> str:
    """An SSE event's name; "" where it has none."""
    names = [line.partition(b":")[2].strip() for line in event.splitlines() if line.startswith(b"event:")]
    return names[-1].decode() if names else ""
