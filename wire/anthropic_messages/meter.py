"""The books' figures out of a provider's stream that goes on to a caller as it came."""

from __future__ import annotations

import msgspec

from wire.anthropic_messages import answer
from wire.anthropic_messages.usage import decode_usage, merge
from wire.body import MALFORMED
from wire.counts import utf8_bytes
from wire.dialect import BadStreamError
from wire.failures import stream_failure
from wire.neutral import Usage
from wire.sse import data_of, is_done


class Meter:
    """`finished` is True once a stop reason has come: only `message_stop` follows, which goes to `closing`.

    Anthropic always tells the usage, so that `show_usage` changes nothing.
    """

    def __init__(self, *, show_usage: bool) -> None:
        del show_usage
        self.model = ""
        self.usage: Usage | None = None
        self.finish: str | None = None
        self.finished = False
        self.output_bytes = 0
        self.closing = b""
        self._is_told = False

    def see(self, event: bytes) -> bytes:
        data = data_of(event)
        if not data:
            return event
        if is_done(data):
            return b""
        seen = read_event(data)
        if seen.type == "content_block_delta":
            delta = seen.delta
            if delta is not None:
                self.output_bytes += utf8_bytes(delta.text or delta.partial_json or delta.thinking or "")
        elif seen.type == "message_stop":
            self.closing = event
            return b""
        else:
            self._see_frame(seen)
        return event

    def _see_frame(self, seen: answer.Event) -> None:
        """What is around the text; a kind of event that is new to us goes on, as Anthropic asks of its clients."""
        if (block := seen.content_block) is not None:
            self.output_bytes += utf8_bytes(block.text or block.thinking or block.arguments)
        if seen.message is not None:
            self.model = seen.message.model or self.model
            self._add_usage(seen.message.usage)
        if seen.type == "message_delta":
            self._add_usage(seen.usage)
            self._is_told = self._is_told or decode_usage(seen.usage) is not None
            if seen.delta and seen.delta.stop_reason:
                if not self._is_told:
                    self.usage = None  # the start tells the prompt and a token or so: the answer is not in it
                self.finish = answer.finish_of(seen.delta.stop_reason)
                self.finished = True

    def _add_usage(self, raw: msgspec.Raw) -> None:
        self.usage = decode_usage(merge(self.usage.raw if self.usage else b"", raw)) or self.usage


def read_event(data: bytes) -> answer.Event:
    try:
        seen = answer.EVENT.decode(data)
    except MALFORMED as error:
        raise BadStreamError(f"an event that is not of Anthropic's stream: {error}") from None
    if seen.type == "error":
        raise stream_failure(seen.error)
    return seen
