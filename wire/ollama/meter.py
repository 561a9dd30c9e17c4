"""The books' figures out of a provider's stream that goes on to a caller as it came."""

from __future__ import annotations

from wire.body import MALFORMED
from wire.dialect import BadStreamError
from wire.failures import stream_failure
from wire.neutral import Usage
from wire.ollama import answer


class Meter:
    """The last line says that it is, and goes to `closing`.

    Ollama always tells the usage, so that `show_usage` changes nothing.
    """

    def __init__(self, *, show_usage: bool) -> None:
        del show_usage
        self.model = ""
        self.usage: Usage | None = None
        self.finish: str | None = None
        self.finished = False
        self.output_bytes = 0
        self.closing = b""
        self._called = False

    def see(self, event: bytes) -> bytes:
        if event.isspace():
            return event
        line = read_line(event)
        self.model = self.model or line.model or ""
        if line.message is not None:
            self.output_bytes += answer.output_bytes(line.message)
            self._called = self._called or bool(line.message.tool_calls)
        if not line.done:
            return event
        self.usage = answer.usage_of(line)
        self.finish = answer.finish_of(line, calls=self._called)
        self.finished = True
        self.closing = event
        return b""


def read_line(event: bytes) -> answer.Answer:
    try:
        line = answer.ANSWER.decode(event)
    except MALFORMED as error:
        raise BadStreamError(f"a line that is not of Ollama's stream: {error}") from None
    if line.error is not None:
        raise stream_failure(line.error)
    return line
