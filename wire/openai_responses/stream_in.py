"""A provider's stream -> neutral events."""

from __future__ import annotations

from wire.dialect import BadStreamError
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
from wire.openai_responses import answer
from wire.openai_responses.meter import ENDS, read_event
from wire.openai_responses.reasoning import thinking_of
from wire.openai_responses.usage import decode_usage
from wire.sse import data_of, is_done

Place = str | int | None

_ITEMS = frozenset({"message", "reasoning", "function_call"})


class Decoder:
    def __init__(self) -> None:
        self._started = False
        # The numbers of the calls, and those whose arguments have begun.
        self._calls: dict[Place, int] = {}
        self._said: set[Place] = set()

    def decode(self, event: bytes) -> list[StreamEvent]:
        """Clients are to pass over kinds of events that are new to them."""
        data = data_of(event)
        if not data or is_done(data):
            return []
        seen = read_event(data)
        match seen.type:
            case "response.output_text.delta" | "response.refusal.delta":
                logprobs = believed({"content": seen.logprobs}) if seen.logprobs else None
                return [TextDelta(_text(seen), logprobs=logprobs)]
            case "response.function_call_arguments.delta":
                return self._arguments(_place(seen, seen.item_id), _text(seen))
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                return [ThinkingDelta(_text(seen))]
            case "response.reasoning_summary_part.added":
                return [ThinkingDelta(answer.PARAGRAPH)] if seen.summary_index else []
            case _:
                return self._frame(seen)

    def _frame(self, seen: answer.Event) -> list[StreamEvent]:
        if seen.item is not None:
            is_new = seen.type == "response.output_item.added"
            return self._begin(seen, seen.item) if is_new else self._finish(seen, seen.item)
        if seen.response is None:
            return []
        events = self._start(seen.response)
        return [*events, *self._end(seen.response)] if seen.type in ENDS else events

    def _start(self, response: answer.Response) -> list[StreamEvent]:
        if self._started:
            return []
        self._started = True
        return [Started(response.id or "", response.model or "", answer.created_of(response))]

    def _begin(self, seen: answer.Event, item: answer.Item) -> list[StreamEvent]:
        if item.type not in _ITEMS:
            raise BadStreamError(str(answer.bad_item(item.type)))
        if item.type != "function_call":
            return []
        number = self._calls.setdefault(_place(seen, item.id), len(self._calls))
        return [ToolCallStarted(number, item.call_id or "", item.name or "")]

    def _finish(self, seen: answer.Event, item: answer.Item) -> list[StreamEvent]:
        """Some hosts tell a call's arguments only here; what is sealed is told only here."""
        place = _place(seen, item.id)
        if item.type == "function_call" and place not in self._said and item.arguments:
            return self._arguments(place, item.arguments)
        thinking = thinking_of("", item.encrypted_content) if item.type == "reasoning" else None
        if thinking is None:
            return []
        return [ThinkingDelta(signature=thinking.signature, redacted=thinking.redacted)]

    def _arguments(self, place: Place, delta: str) -> list[StreamEvent]:
        if place not in self._calls:
            raise BadStreamError("arguments of a call that has not begun")
        self._said.add(place)
        return [ToolCallDelta(self._calls[place], delta)] if delta else []

    def _end(self, response: answer.Response) -> list[StreamEvent]:
        finished = Finished(answer.finish_of(response, has_called=bool(self._calls)))
        usage = decode_usage(response.usage)
        return [finished] if usage is None else [finished, Metered(usage)]


def _place(seen: answer.Event, item_id: str | None) -> Place:
    """llama.cpp numbers no items, and other hosts give them no ids."""
    return item_id or seen.output_index


def _text(seen: answer.Event) -> str:
    if not isinstance(seen.delta, str):
        raise BadStreamError("a delta that is no text")
    return seen.delta
