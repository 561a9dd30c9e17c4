"""Outbound HTTP: the one pooled client of a process for calls, and a client for code that may block.

What they may connect to is `core.egress`'s to say.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver
from aiohttp.connector import AddrInfoType
from django.conf import settings
from django.core.exceptions import ValidationError

from core import egress
from core.egress import EgressRefusedError, Policy

if TYPE_CHECKING:
    import httpx2

log = structlog.get_logger(__name__)

MAX_CONNECTIONS_PER_HOST = 2_000
MAX_HEADERS = 128
_KEEPALIVE_S = 30.0
_MAX_HEADER_BYTES = 16 * 1024


def open_session(*, policy: Policy | None = None, resolver: AbstractResolver | None = None) -> aiohttp.ClientSession:
    """No cookies, no redirects by default at the call, no decompression bombs: providers are asked for plain bytes.

    No proxy either, and no connection to what `policy` refuses: that ends in a `ClientConnectorError` whose
    `os_error` is an `EgressRefusedError`. Unless given, `policy` is the settings', and names are looked up as the
    system does.
    """
    policy = policy or settings.EGRESS
    if policy.networks:
        log.info("calls may go to these networks besides public addresses", networks=str(policy))
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0,
            limit_per_host=MAX_CONNECTIONS_PER_HOST,
            keepalive_timeout=_KEEPALIVE_S,
            resolver=resolver,
            socket_factory=_guarded(policy),
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity", "User-Agent": "ai-platform"},
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=True,
        trust_env=False,
        max_line_size=_MAX_HEADER_BYTES,
        max_field_size=_MAX_HEADER_BYTES,
        max_headers=MAX_HEADERS,
    )


class UnacceptableAnswerError(Exception):
    """To `open_client`'s client: an answer that is too large, or compressed although plain bytes were asked for."""


def open_client(
    *, timeout_s: float = 10.0, connect_timeout_s: float = 5.0, policy: Policy | None = None
) -> httpx2.Client:
    """For the providers' SDKs, webhooks and the like: to be closed after use.

    As `open_session`: no redirects, no proxy, no cookies to speak of, and an `EgressRefusedError` (whatever wraps it)
    where `policy` allows no connection. Bodies are bounded: `UnacceptableAnswerError`.
    """
    from core import blocking_http  # noqa: PLC0415 -- httpx2 takes long to import, and few processes need it

    return blocking_http.client(policy or settings.EGRESS, timeout_s=timeout_s, connect_timeout_s=connect_timeout_s)


def _guarded(policy: Policy) -> Callable[[AddrInfoType], socket.socket]:
    """Makes the socket of each attempt to connect: by then the name has been looked up, and is not looked up again."""

    def open_socket(target: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, place = target
        egress.check(ip_address(place[0]), place[1], policy)
        return socket.socket(family=family, type=kind, proto=protocol)

    return open_socket


def validate_address(address: str, *, may_have_query: bool = False) -> None:
    """A URL: http or https, a host (any name: `http://ollama:11434` is one), and no secrets in it; a base URL, which
    others are made from, has no query either.

    What names resolve to is checked when they are called; an address given as a number is refused here already.
    """
    try:
        parts = urlsplit(address)
        usable = parts.scheme in egress.SCHEMES and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise ValidationError(
            "An address starts with https:// or http:// and names a host, for example https://llm.example.com/v1."
        )
    if parts.username or parts.password or parts.fragment:
        raise ValidationError("An address holds no user name, password or fragment: a key goes into the key field.")
    if parts.query and not may_have_query:
        raise ValidationError("This address holds no query: a key goes into the key field.")
    try:
        egress.check_port(parts.port or (443 if parts.scheme == "https" else 80), settings.EGRESS)
        egress.check_host(parts.hostname or "", settings.EGRESS)
    except EgressRefusedError as error:
        raise ValidationError(str(error)) from error
