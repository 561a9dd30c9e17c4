"""The books' figures out of a provider's stream that goes on to a caller as it came."""

from __future__ import annotations

from typing import Any

from wire.body import MALFORMED
from wire.dialect import BadStreamError
from wire.failures import stream_failure
from wire.halves import Decoder
from wire.neutral import Usage
from wire.openai_chat import answer
from wire.openai_chat.usage import decode_usage
from wire.sse import data_of, is_done

_EVENT = Decoder[dict[str, Any]](dict[str, Any])


class Meter:
    """`finished` is True once every choice that has begun has its finish_reason: a stream without one was cut, and
    `[DONE]` alone does not mend it (proxies send it behind what broke off). The usage comes after that, so a reader
    goes on until `closing` holds something or the stream ends; some hosts never send `[DONE]`.
    """

    def __init__(self, *, show_usage: bool) -> None:
        self.model = ""
        self.usage: Usage | None = None
        self.finish: str | None = None
        self.finished = False
        self.output_bytes = 0
        self.closing = b""
        self._show_usage = show_usage
        self._begun: set[int] = set()
        self._ended: set[int] = set()

    def see(self, event: bytes) -> bytes:
        """Withholds the chunk that holds usage alone where the caller did not ask for it: we did."""
        data = data_of(event)
        if not data:
            return event
        if is_done(data):
            self.closing = event
            return b""
        chunk = read_chunk(data)
        self.model = self.model or chunk.model or ""
        for choice in chunk.choices or ():
            self._count(choice)
        usage = decode_usage(chunk.usage)
        if usage is None:
            return event
        self.usage = usage
        return event if chunk.choices or self._show_usage else b""

    def _count(self, choice: answer.Choice) -> None:
        if choice.delta:
            self.output_bytes += answer.output_bytes(choice.delta)
        index = choice.index or 0
        if choice.finish_reason:
            self.finish = answer.finish_of(choice.finish_reason)
            self._ended.add(index)
            self._begun.add(index)
            self.finished = self._begun == self._ended
        elif index not in self._begun:
            self._begun.add(index)
            self.finished = False


def read_chunk(data: bytes) -> answer.Answer:
    try:
        chunk = answer.ANSWER.decode(data)
    except MALFORMED as error:
        raise BadStreamError(f"an event that is no chat completion chunk: {error}") from None
    if chunk.error is not None:
        raise stream_failure(chunk.error)
    if chunk.choices is None and not len(chunk.usage):
        raise _unlike_a_chunk(data)
    return chunk


def _unlike_a_chunk(data: bytes) -> Exception:
    """Some versions of vLLM sent its errors without an `error` around them."""
    error = _EVENT.decode(data)
    if error.get("object") == "error":
        return stream_failure(error)
    return BadStreamError("an event that is no chat completion chunk: it has no choices")
