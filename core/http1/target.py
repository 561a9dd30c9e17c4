"""Where a URL leads, and the head of a request there."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from yarl import URL

from core.http1.errors import InvalidHeaderError, InvalidUrlError

_MAX_KNOWN_URLS = 1_024
_ENDS_A_LINE = re.compile(r"[\r\n\0]")
_PRINTABLE = re.compile(r"[!-~]+")


class Origin(NamedTuple):
    """Connections to one are as good as each other. `host` is a name in ASCII, or an address without brackets."""

    scheme: str
    host: str
    port: int


class Target(msgspec.Struct, frozen=True):
    """`opening` is what the heads of all requests to a URL begin with."""

    origin: Origin
    opening: bytes

    def head(self, headers: Mapping[str, str], body_bytes: int) -> bytes:
        """Raises `InvalidHeaderError`: a value may come from a caller, and must not begin a line of its own."""
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        if not lines.count("\r") == lines.count("\n") == len(headers) or "\0" in lines:
            raise InvalidHeaderError("A header holds a line break or a NUL.")
        return b"%b%bContent-Length: %d\r\n\r\n" % (self.opening, lines.encode(), body_bytes)


@functools.lru_cache(_MAX_KNOWN_URLS)
def target_of(url: str) -> Target:
    """Raises `InvalidUrlError`. Paths and queries are percent-encoded where they are not, names brought into ASCII."""
    if _ENDS_A_LINE.search(url):
        raise InvalidUrlError("The URL holds a line break or a NUL.")
    try:
        read = URL(url)
        host, place, port = read.raw_host, read.host_port_subcomponent, read.port
    except ValueError as error:
        raise InvalidUrlError("The URL cannot be read.") from error
    if read.scheme not in ("http", "https") or not host or not place or not port:
        raise InvalidUrlError("The URL is not http://HOST/ or https://HOST/.")
    if read.user or read.password:
        raise InvalidUrlError("The URL holds a user name or a password.")
    if not (_PRINTABLE.fullmatch(place) and _PRINTABLE.fullmatch(read.raw_path_qs)):
        raise InvalidUrlError("The URL holds what no URL may.")
    return Target(Origin(read.scheme, host, port), _opening(read.raw_path_qs, place))


def _opening(path: str, place: str) -> bytes:
    """Plain bytes are asked for: a provider's answer is read as it comes."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: {place}\r\nAccept: */*\r\n"
        "Accept-Encoding: identity\r\nUser-Agent: ai-platform\r\n"
    ).encode("ascii")
