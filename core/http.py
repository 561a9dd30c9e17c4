"""Outbound HTTP: the one pooled client of a process for calls (`core.http1`), and a client for code that may block.

What they may connect to is `core.egress`'s to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.core.exceptions import ValidationError

from core import egress
from core.egress import EgressRefusedError, Policy
from core.http1 import Session
from core.http1.names import Lookup, system_lookup

if TYPE_CHECKING:
    import httpx2

log = structlog.get_logger(__name__)


def open_session(*, policy: Policy | None = None, lookup: Lookup = system_lookup) -> Session:
    """No cookies, no redirects, no proxy, and no connection to what `policy` refuses: that ends in a `ConnectError`
    whose `cause` is an `EgressRefusedError`.

    Unless given, `policy` is the settings', and names are looked up as the system does. Called on a running loop.
    """
    policy = policy or settings.EGRESS
    if policy.networks:
        log.info("calls may go to these networks besides public addresses", networks=str(policy))
    return Session(policy, lookup)


class UnacceptableAnswerError(Exception):
    """To `open_client`'s client: an answer that is too large, or compressed although plain bytes were asked for.

    Its `status` has come all the same.
    """

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


def open_client(
    *, timeout_s: float = 10.0, connect_timeout_s: float = 5.0, policy: Policy | None = None
) -> httpx2.Client:
    """For the providers' SDKs, webhooks and the like: to be closed after use.

    As `open_session`: no redirects, no proxy, no cookies to speak of, and an `EgressRefusedError` (whatever wraps it)
    where `policy` allows no connection. Bodies are bounded: `UnacceptableAnswerError`.
    """
    from core import blocking_http  # noqa: PLC0415 -- httpx2 takes long to import, and few processes need it

    return blocking_http.client(policy or settings.EGRESS, timeout_s=timeout_s, connect_timeout_s=connect_timeout_s)


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
