"""What can go wrong between us and another host.

HttpError
├── UnsendableError         nothing was sent: the call itself is not one
│   ├── InvalidUrlError         no URL that can be called
│   └── InvalidHeaderError      a header that would end its line
├── ConnectError            no connection; nothing was sent. `cause` says why, `EgressRefusedError` among others
│   ├── ConnectTimeoutError     not within the time that there was
│   └── NoSocketError           this process, or its machine, can open no more sockets: the host is not at fault
├── BrokenAnswerError       the connection ended before the answer did
├── MalformedAnswerError    what came is no answer of HTTP/1.1, or larger in its framing than we accept
└── TooLargeError           the body is larger than its reader accepts
"""

from __future__ import annotations


class HttpError(Exception):
    """Its text never repeats what was sent, or what came."""


class UnsendableError(HttpError):
    pass


class InvalidUrlError(UnsendableError):
    pass


class InvalidHeaderError(UnsendableError):
    pass


class ConnectError(HttpError):
    def __init__(self, message: str, cause: BaseException | None = None) -> None:
        super().__init__(message)
        self.cause = cause


class ConnectTimeoutError(ConnectError):
    pass


class NoSocketError(ConnectError):
    pass


class BrokenAnswerError(HttpError):
    pass


class MalformedAnswerError(HttpError):
    pass


class TooLargeError(HttpError):
    pass
