"""Answers out of the bytes of a connection: httptools parses, and here lie the bounds of what it may be fed."""

from __future__ import annotations

from collections.abc import Callable

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from core.http1.answer import Answer
from core.http1.errors import MalformedAnswerError

MAX_HEADERS = 128
MAX_FRAMING_BYTES = 16 * 1024  # of an answer's headers; of what comes between two parts of its body
_MAX_INTERIM_ANSWERS = 8

Begin = Callable[[int, dict[str, str]], Answer]


class Reader:
    """One answer after the other, each after an `expect`. `begin` makes the answer out of its status and headers.

    `until_eof`: the answer's end is the connection's. `keeps_alive`: another may follow the one that is whole.
    """

    __slots__ = (
        *("_answer", "_begin", "_fields", "_framing_bytes", "_interims", "_is_interim", "_parser"),
        *("is_whole", "keeps_alive", "until_eof"),
    )

    def __init__(self, begin: Begin) -> None:
        self.is_whole = True
        self.keeps_alive = False
        self.until_eof = False
        self._begin = begin
        self._answer: Answer | None = None
        self._fields: list[tuple[bytes, bytes]] = []
        self._framing_bytes = 0
        self._interims = 0
        self._is_interim = False
        self._parser = HttpResponseParser(self)
        # Line ends and chunk sizes as some servers write them: harmless where one answer follows one request.
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True)

    def expect(self) -> None:
        self.is_whole = self.until_eof = False
        self._framing_bytes = self._interims = 0

    def feed(self, data: bytes) -> bool:
        """Whether the answer is whole now. Raises `MalformedAnswerError`, unless it was before what is wrong."""
        self._framing_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self.is_whole:
                reason = error.__context__ if isinstance(error.__context__, MalformedAnswerError) else error
                raise MalformedAnswerError(f"The answer is not HTTP/1.1: {reason}.") from error
            self.keeps_alive = False
        if self._framing_bytes > MAX_FRAMING_BYTES and not self.is_whole:
            raise MalformedAnswerError("The answer has more framing than we accept.")
        return self.is_whole

    def close(self) -> None:
        """Let go of the parser, which holds our methods: else both would wait for the garbage collector."""
        del self._parser, self._begin

    # --- what the parser tells ----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self.is_whole:
            raise MalformedAnswerError("another answer follows")
        self._fields = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Of trailers too, which nobody reads."""
        if len(self._fields) >= MAX_HEADERS:
            raise MalformedAnswerError("it has too many headers")
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        headers = _headers(self._fields)
        self._is_interim = status < 200
        if self._is_interim:
            self._interims += 1
            if status == 101 or self._interims > _MAX_INTERIM_ANSWERS:
                raise MalformedAnswerError("too many interim answers, or one that changes the protocol")
            return
        coding = headers.get("transfer-encoding", "chunked")
        if coding.lower() != "chunked":
            raise MalformedAnswerError("its transfer coding is not 'chunked'")
        is_framed = "transfer-encoding" in headers or "content-length" in headers
        self.until_eof = not is_framed and status not in (204, 304)
        self._answer = self._begin(status, headers)

    def on_body(self, data: bytes) -> None:
        self._framing_bytes = 0
        if self._answer is not None:
            self._answer.add(data)

    def on_message_complete(self) -> None:
        if not self._is_interim:
            self.is_whole = True
            self.keeps_alive = self._parser.should_keep_alive()
            self._answer = None


def _headers(fields: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """By lower-case name; the values of a name that comes again are joined (RFC 9110, section 5.3)."""
    headers: dict[str, str] = {}
    size = 0
    for field, value in fields:
        size += len(field) + len(value)
        name, text = field.decode("latin-1").lower(), value.decode("latin-1")
        headers[name] = f"{headers[name]}, {text}" if name in headers else text
    if size > MAX_FRAMING_BYTES:
        raise MalformedAnswerError("its headers are too large")
    return headers
