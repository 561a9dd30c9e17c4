"""The one pooled HTTP client of a process, for every outbound call."""

from __future__ import annotations

from urllib.parse import urlsplit

import aiohttp
from django.core.exceptions import ValidationError

MAX_CONNECTIONS_PER_HOST = 2_000
_KEEPALIVE_S = 30.0
_MAX_HEADER_BYTES = 16 * 1024


def open_session() -> aiohttp.ClientSession:
    """No cookies, no redirects by default at the call, no decompression bombs: providers are asked for plain bytes."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0, limit_per_host=MAX_CONNECTIONS_PER_HOST, keepalive_timeout=_KEEPALIVE_S
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity", "User-Agent": "ai-platform"},
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=True,
        max_line_size=_MAX_HEADER_BYTES,
        max_field_size=_MAX_HEADER_BYTES,
    )


def validate_address(address: str) -> None:
    """A base URL: http or https, a host (any name: `http://ollama:11434` is one), and no secrets or queries in it."""
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise ValidationError(
            "An address starts with https:// or http:// and names a host, for example https://llm.example.com/v1."
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValidationError(
            "An address holds no user name, password, query or fragment: a key goes into the key field."
        )
