"""Newline-delimited JSON as a stream: a JSON value a line (https://github.com/ndjson/ndjson-spec)."""

from __future__ import annotations

from typing import Any

import msgspec

from wire.dialect import BadStreamError

CONTENT_TYPE = b"application/x-ndjson"


class LineSplitter:
    r"""Splits a byte stream into lines, each with its \n. Joined together they are the stream, byte for byte.

    A line longer than `max_event_bytes` raises `BadStreamError`.
    """

    def __init__(self, *, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        if not self._buffer and chunk and chunk.find(b"\n") == len(chunk) - 1 and len(chunk) <= self._max_event_bytes:
            return [chunk]  # one line, whole: what Ollama nearly always sends
        self._buffer += chunk
        if b"\n" not in chunk:
            self._require_bound(self._buffer)
            return []
        *lines, rest = bytes(self._buffer).split(b"\n")
        self._buffer[:] = rest
        self._require_bound(self._buffer, *lines)
        return [line + b"\n" for line in lines]

    @property
    def ending(self) -> bytes:
        """The newline that the provider has left out behind its last line."""
        return b"\n" if self._buffer else b""

    def _require_bound(self, *lines: bytes | bytearray) -> None:
        if max(map(len, lines)) >= self._max_event_bytes:
            raise BadStreamError(f"a line of the stream is longer than {self._max_event_bytes} bytes")


def line(value: Any) -> bytes:
    r"""JSON text that came from elsewhere may be spread over lines; inside strings JSON knows no bare \n or \r."""
    encoded = msgspec.json.encode(value)
    return encoded.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n"
