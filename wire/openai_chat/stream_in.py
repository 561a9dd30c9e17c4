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
from wire.openai_chat import answer
from wire.openai_chat.calls_in_order import CallsInOrder, Said
from wire.openai_chat.meter import read_chunk
from wire.openai_chat.response import call_id, finish_with
from wire.openai_chat.usage import decode_usage
from wire.sse import data_of, is_done


class Decoder:
    def __init__(self) -> None:
        self._id: str | None = None
        self._choices: dict[int, _ChoiceDecoder] = {}

    def decode(self, event: bytes) -> list[StreamEvent]:
        data = data_of(event)
        if not data or is_done(data):
            return []
        chunk = read_chunk(data)
        events = self._start(chunk)
        for choice in chunk.choices or ():
            events += self._choice(choice.index or 0).decode(choice)
        usage = decode_usage(chunk.usage)
        return events if usage is None else [*events, Metered(usage)]

    def _start(self, chunk: answer.Answer) -> list[StreamEvent]:
        """Azure sends an unnamed chunk about the prompt first: the stream starts with the first choice."""
        if self._id is not None or not chunk.choices:
            return []
        self._id = chunk.id or ""
        return [Started(self._id, chunk.model or "", answer.created_of(chunk))]

    def _choice(self, index: int) -> _ChoiceDecoder:
        return self._choices.setdefault(index, _ChoiceDecoder(self._id or "", index))


class _ChoiceDecoder:
    def __init__(self, answer_id: str, index: int) -> None:
        self._answer_id = answer_id
        self._index = index
        # How many there are, and the newest of each index and id; None for any.
        self._calls = 0
        self._newest: dict[tuple[int | None, str | None], int] = {}
        self._order = CallsInOrder()
        self._refused = False
        self._finished = False

    def decode(self, choice: answer.Choice) -> list[StreamEvent]:
        said = self._delta(choice.delta, choice) if choice.delta else []
        events: list[StreamEvent] = [*said]
        if self._calls:  # else there is nothing to be put into order
            events = [event for each in said for event in self._order.put(each)]
        if self._finished:  # some hosts go on, and nothing else will release what is held
            return events + self._order.end()
        if choice.finish_reason:
            self._finished = True
            finish = answer.finish_of(choice.finish_reason)
            finish = finish_with(finish, calls=bool(self._calls), refused=self._refused)
            events += [*self._order.end(), Finished(finish, self._index)]
        return events

    def _delta(self, delta: answer.Said, choice: answer.Choice) -> list[Said]:
        events: list[Said] = []
        self._refused |= bool(delta.refusal)
        thinking, text = answer.thinking_of(delta), answer.text_of(delta)
        if thinking:
            events.append(ThinkingDelta(thinking, choice=self._index))
        if text:
            events.append(TextDelta(text, self._index, believed(choice.logprobs)))
        for call in delta.tool_calls or ():
            events += self._call(call)
        return events

    def _call(self, call: answer.Call) -> list[Said]:
        events: list[Said] = []
        number = self._number(call)
        if number is None:
            number = self._add(call.index, call.id or None)
            name = (call.function and call.function.name) or ""
            id_ = call_id(call.id, self._answer_id, self._index, number)
            events.append(ToolCallStarted(number, id_, name, self._index))
        arguments = answer.arguments_of(call)
        if arguments:
            events.append(ToolCallDelta(number, arguments, self._index))
        return events

    def _number(self, call: answer.Call) -> int | None:
        """Which known call this goes on with; None for a new one.

        Gemini's OpenAI endpoint sends each call whole, all with index 0 or none: there only the id tells them apart.
        """
        return self._newest.get((call.index, call.id or None))

    def _add(self, index: int | None, id_: str | None) -> int:
        number = self._calls
        self._calls += 1
        for key in ((index, id_), (index, None), (None, id_), (None, None)):
            self._newest[key] = number
        return number
