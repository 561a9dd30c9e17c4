"""The books' figures out of a provider's stream that goes on to a caller as it came."""

from __future__ import annotations

from wire.body import MALFORMED
from wire.counts import utf8_bytes
from wire.dialect import BadStreamError
from wire.failures import stream_failure
from wire.neutral import Usage
from wire.openai_responses import answer
from wire.openai_responses.usage import decode_usage
from wire.sse import data_of, is_done

ENDS = frozenset({"response.completed", "response.incomplete"})
GENERATED = frozenset({
    "response.output_text.delta", "response.refusal.delta", "response.function_call_arguments.delta",
    "response.reasoning_summary_text.delta", "response.reasoning_text.delta", "response.custom_tool_call_input.delta",
})  # fmt: skip


class Meter:
    """The last event tells everything at once; it goes to `closing`.

    OpenAI always tells the usage, so that `show_usage` changes nothing.
    """

    def __init__(self, *, show_usage: bool) -> None:
        del show_usage
        self.model = ""
        self.usage: Usage | None = None
        self.finish: str | None = None
        self.finished = False
        self.output_bytes = 0
        self.closing = b""
        self._has_called = False

    def see(self, event: bytes) -> bytes:
        data = data_of(event)
        if not data:
            return event
        if is_done(data):
            return b""
        seen = read_event(data)
        if seen.type in GENERATED and isinstance(seen.delta, str):
            self.output_bytes += utf8_bytes(seen.delta)
        elif seen.item is not None:
            self._has_called = self._has_called or seen.item.type == "function_call"
        elif seen.response is not None:
            self.model = self.model or seen.response.model or ""
            if seen.type in ENDS:
                self._end(seen.response)
                self.closing = event
                return b""
        return event

    def _end(self, response: answer.Response) -> None:
        self.usage = decode_usage(response.usage)
        self.finish = answer.finish_of(response, has_called=self._has_called)
        self.finished = True


def read_event(data: bytes) -> answer.Event:
    try:
        seen = answer.EVENT.decode(data)
    except MALFORMED as error:
        raise BadStreamError(f"an event that is not of the Responses API's stream: {error}") from None
    if seen.type == "error":
        raise stream_failure(seen.error or {"message": seen.message, "code": seen.code})
    if seen.type == "response.failed":
        raise stream_failure(seen.response and seen.response.error)
    return seen
