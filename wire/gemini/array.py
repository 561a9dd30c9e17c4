"""A stream as Google sends it without `alt=sse`: the same answers, as the elements of one JSON array."""

from __future__ import annotations

from wire.sse import EventSplitter, data_of

CONTENT_TYPE = b"application/json; charset=utf-8"


class ArrayFraming:
    """SSE events, whole or in pieces -> the array, element by element."""

    def __init__(self, *, max_event_bytes: int) -> None:
        self._splitter = EventSplitter(max_event_bytes=max_event_bytes)
        self._begun = False

    def feed(self, chunk: bytes) -> bytes:
        return b"".join(self._element(data) for data in map(data_of, self._splitter.feed(chunk)) if data)

    def close(self) -> bytes:
        return b"\n]\n" if self._begun else b"[]\n"

    def _element(self, data: bytes) -> bytes:
        before = b",\r\n" if self._begun else b"["
        self._begun = True
        return before + data
