"""An HTTP/1.1 client for calls to providers: httptools parses, asyncio carries, and little lies in between.

`Session.post` -> `target` (URL and head) -> `pool` (a connection that rests, or a new one by `dialing`) ->
`connection` (write; `reading` parses) -> `answer` (the body as it comes; `unpacking` where it is compressed).
"""

from __future__ import annotations

from core.http1.answer import Answer
from core.http1.errors import (
    BrokenAnswerError,
    ConnectError,
    ConnectTimeoutError,
    HttpError,
    InvalidHeaderError,
    InvalidUrlError,
    MalformedAnswerError,
    NoSocketError,
    TooLargeError,
    UnsendableError,
)
from core.http1.session import Session
from core.http1.unpacking import UnpackedAnswer

__all__ = [
    "Answer",
    "BrokenAnswerError",
    "ConnectError",
    "ConnectTimeoutError",
    "HttpError",
    "InvalidHeaderError",
    "InvalidUrlError",
    "MalformedAnswerError",
    "NoSocketError",
    "Session",
    "TooLargeError",
    "UnpackedAnswer",
    "UnsendableError",
]
