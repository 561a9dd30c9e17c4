"""Which call the running code works for: known to whatever logs, and to what is written when the call has ended.

Kept in the context, which tasks and threads made by the call inherit; setting it is all that a call pays.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import NamedTuple


class Calling(NamedTuple):
    """`traceparent` is the header of W3C Trace Context as the caller sent it, unchecked; '' where it sent none."""

    request_id: str
    traceparent: str


_current: ContextVar[Calling | None] = ContextVar("calling", default=None)


def begin(request_id: str, traceparent: str) -> None:
    """From here on, this task and those that it makes work for that call."""
    _current.set(Calling(request_id, traceparent))


def current() -> Calling | None:
    return _current.get()
