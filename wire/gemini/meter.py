"""The books' figures out of a provider's stream that goes on to a caller as it came."""

from __future__ import annotations

import msgspec

from wire.body import MALFORMED
from wire.dialect import BadStreamError
from wire.failures import stream_failure
from wire.gemini import answer
from wire.gemini.usage import decode_usage
from wire.neutral import Usage
from wire.sse import data_of


class Meter:
    """Each event is a whole answer, with the usage so far; nothing but the last one's finish reasons tells the end.

    `finished` is True once every candidate that has begun has its finish reason. The event that says so goes to
    `closing`; should another one follow, that one is the last. Usage that came before the end, and not with it, does
    not count what came after: it is believed of a stream without an end alone. Gemini always tells the usage, so that
    `show_usage` changes nothing.
    """

    def __init__(self, *, show_usage: bool) -> None:
        del show_usage
        self.model = ""
        self.finish: str | None = None
        self.finished = False
        self.output_bytes = 0
        self.closing = b""
        self._begun: set[int] = set()
        self._ended: set[int] = set()
        self._with_calls: set[int] = set()
        self._so_far = msgspec.Raw()
        self._usage: Usage | None = None

    @property
    def usage(self) -> Usage | None:
        return self._usage if self.finished else decode_usage(self._so_far)

    def see(self, event: bytes) -> bytes:
        data = chunk_data(event)
        if not data:
            return event
        chunk = read_chunk(data)
        was_finished = self.finished
        self.model = chunk.model_version or self.model
        if chunk.is_blocked:
            self.finish, self.finished = "content_filter", True
        for at, candidate in enumerate(chunk.candidates or ()):
            self._count(candidate, at if candidate.index is None else candidate.index)
        held, self.closing = self.closing, b""
        if not self.finished:
            self._so_far = chunk.usage_metadata or self._so_far
            return held + event
        self._add_usage(chunk, was_finished=was_finished)
        self.closing = event
        return held

    def _count(self, candidate: answer.Candidate, index: int) -> None:
        self.output_bytes += answer.output_bytes(candidate)
        if answer.calls_in(candidate):
            self._with_calls.add(index)
        if candidate.finish_reason:
            self._begun.add(index)
            self._ended.add(index)
            self.finish = answer.finish_of(candidate.finish_reason, calls=index in self._with_calls)
            self.finished = self._begun == self._ended
        elif index not in self._begun:
            self._begun.add(index)
            self.finished = False

    def _add_usage(self, chunk: answer.Answer, *, was_finished: bool) -> None:
        usage = decode_usage(chunk.usage_metadata) if len(chunk.usage_metadata) else None
        if usage is not None or not was_finished:
            self._usage = usage


def chunk_data(event: bytes) -> bytes:
    """Google sends an error in mid-stream as bare JSON, too (google-genai 3.4.0, `_api_client.py`)."""
    return data_of(event) or (event if event.startswith(b"{") else b"")


def read_chunk(data: bytes) -> answer.Answer:
    try:
        chunk = answer.ANSWER.decode(data)
    except MALFORMED as error:
        raise BadStreamError(f"an event that is no answer of Gemini's: {error}") from None
    if chunk.error is not None:
        raise stream_failure(chunk.error)
    if chunk.candidates is None and not chunk.is_blocked and not (len(chunk.usage_metadata) or chunk.response_id):
        raise BadStreamError("an event that is no answer of Gemini's: it has no candidates")
    return chunk
