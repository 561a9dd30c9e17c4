"""Provider bytes in, caller bytes out: what lies between the two ends of a stream."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol, TypeVar

import msgspec

from providers.adapters.http import MAX_ANSWER_BYTES
from wire.dialect import CallerDialect, Dialect, StreamMeter
from wire.neutral import ChatResponse, Settled, Started
from wire.sse import is_comment

T = TypeVar("T")
_TIMED = (Started, ChatResponse)

MAX_EVENT_BYTES = MAX_ANSWER_BYTES  # one event of Gemini's holds a whole picture


class Relay(Protocol):
    """Provider bytes in, caller bytes out. `meter` reads the books' figures on the way.

    `is_silent`: what was fed last was comments alone, which are no words.
    """

    meter: StreamMeter
    is_silent: bool

    def feed(self, chunk: bytes) -> bytes: ...

    def unended(self) -> bytes:
        """What ends an event that the provider left without its end; b"" where there is none."""

    def close(self, settled: Settled) -> bytes: ...


class PassThrough:
    """Caller and provider speak the same dialect: events go through as they came."""

    def __init__(self, dialect: Dialect, *, show_usage: bool) -> None:
        self.meter = dialect.meter(show_usage=show_usage)
        self.is_silent = False
        self._splitter = dialect.splitter(max_event_bytes=MAX_EVENT_BYTES)

    def feed(self, chunk: bytes) -> bytes:
        see = self.meter.see
        events = self._splitter.feed(chunk)
        self.is_silent = _are_comments(events)
        return see(events[0]) if len(events) == 1 else b"".join([see(event) for event in events])

    def unended(self) -> bytes:
        return self._splitter.ending

    def close(self, settled: Settled) -> bytes:
        del settled
        return self.meter.closing


class Translation:
    """The provider's events are decoded into neutral ones and encoded in the caller's dialect."""

    def __init__(self, provider: Dialect, caller: CallerDialect, *, show_usage: bool, made_at: datetime) -> None:
        self.meter = provider.meter(show_usage=True)
        self.is_silent = False
        self._decoder = provider.decoder()
        self._encoder = caller.encoder(show_usage=show_usage)
        self._splitter = provider.splitter(max_event_bytes=MAX_EVENT_BYTES)
        self._made_at = made_at

    def feed(self, chunk: bytes) -> bytes:
        out: list[bytes] = []
        events = self._splitter.feed(chunk)
        self.is_silent = _are_comments(events)
        for event in events:
            self.meter.see(event)
            out += [self._encoder.encode(dated(neutral, self._made_at)) for neutral in self._decoder.decode(event)]
        return b"".join(out)

    def unended(self) -> bytes:
        return self._splitter.ending

    def close(self, settled: Settled) -> bytes:
        return self._encoder.encode(settled) + self._encoder.close()


def _are_comments(events: list[bytes]) -> bool:
    return bool(events) and events[0].startswith(b":") and all(map(is_comment, events))


def relay_between(provider: Dialect, caller: CallerDialect, *, show_usage: bool, made_at: datetime) -> Relay:
    """`made_at`: when the answer was asked for."""
    if provider is caller:
        return PassThrough(provider, show_usage=show_usage)
    return Translation(provider, caller, show_usage=show_usage, made_at=made_at)


def dated(told: T, made_at: datetime) -> T:
    """With a time where its provider tells none (Anthropic, Google), for callers who are always told one."""
    if isinstance(told, _TIMED) and not told.created:
        return msgspec.structs.replace(told, created=int(made_at.timestamp()))
    return told
