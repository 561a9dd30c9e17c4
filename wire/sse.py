"""Server-sent events as bytes: splitting a stream into events, reading one, writing one.

The format: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

import re
from itertools import pairwise

from wire.dialect import BadStreamError

CONTENT_TYPE = b"text/event-stream; charset=utf-8"

_BLANK_LINE = re.compile(rb"\n\r?\n")
_BLANK_LINE_IN_CR = re.compile(rb"\r\r")


class EventSplitter:
    r"""Splits an SSE byte stream into events, each with the blank line that ends it, as it came.

    Lines end in \n or \r\n, or else all of them in \r. Joined together, the events and `rest` are the stream, byte for
    byte, however it was cut into chunks. An event longer than `max_event_bytes` raises `BadStreamError`.
    """

    def __init__(self, *, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._buffer = bytearray()
        self._searched = 0
        self._blank_line = _BLANK_LINE_IN_CR

    def feed(self, chunk: bytes) -> list[bytes]:
        if not self._buffer and len(chunk) <= self._max_event_bytes and _is_one_event(chunk):
            return [chunk]
        if b"\n" in chunk:
            self._blank_line = _BLANK_LINE
        self._buffer += chunk
        return self._take_events()

    @property
    def rest(self) -> bytes:
        """The beginning of an event whose blank line has not come."""
        return bytes(self._buffer)

    @property
    def ending(self) -> bytes:
        """The blank line that the provider has left out behind `rest`."""
        return b"\n\n" if self._buffer else b""

    def _take_events(self) -> list[bytes]:
        buffer = self._buffer
        ends = [0, *(blank.end() for blank in self._blank_line.finditer(buffer, self._searched))]
        whole = bytes(buffer[: ends[-1]])
        del buffer[: ends[-1]]
        # A blank line takes at most three bytes, of which two may have come.
        self._searched = max(0, len(buffer) - 2)
        events = [whole[start:end] for start, end in pairwise(ends)]
        if max(map(len, [buffer, *events])) > self._max_event_bytes:
            raise BadStreamError(f"an event of the stream is longer than {self._max_event_bytes} bytes")
        return events


def _is_one_event(chunk: bytes) -> bool:
    """Whether it is an event of one line or two, whole: what providers nearly always send."""
    last = len(chunk) - 2
    if not chunk.endswith(b"\n\n"):
        return False
    first = chunk.find(b"\n")
    return first == last or (first + 1 < last and chunk.find(b"\n", first + 1) == last)


def data_of(event: bytes) -> bytes:
    """The event's data lines, joined by newlines; b"" for a comment or keep-alive."""
    at = event.find(b"data:")
    end = event.find(b"\n", at)
    # One data line, the last of its event: all that today's providers send.
    if end == len(event) - 2 and (at == 0 or (at > 0 and event[at - 1] == 0x0A)) and event[end - 1] != 0x0D:
        return event[at + 6 if event[at + 5] == 0x20 else at + 5 : end]
    return b"\n".join(_data_lines(event))


def is_comment(event: bytes) -> bool:
    """Whether it is nothing else: by such a host keeps a stream open while a call queues, or its model thinks."""
    return event.startswith(b":") and not data_of(event)


def is_done(data: bytes) -> bool:
    """OpenAI's mark behind the last chunk of a chat, which some hosts send behind streams of other dialects too."""
    return data.startswith(b"[DONE]")


def event(data: bytes, name: str | None = None) -> bytes:
    head = f"event: {name}\n".encode() if name else b""
    return b"%sdata: %s\n\n" % (head, data.replace(b"\n", b"\ndata: "))


def _data_lines(event: bytes) -> list[bytes]:
    return [
        value.removeprefix(b" ")
        for line in event.splitlines()
        for name, _, value in [line.partition(b":")]
        if name == b"data"
    ]
