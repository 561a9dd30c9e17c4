"""Who calls, from memory: the key's digest is looked up in the snapshot."""

from __future__ import annotations

import time
from urllib.parse import parse_qs

from accounts import keys
from accounts.rest import presented_key
from gateway.catalogue import Caller, Snapshot
from gateway.http import Exchange, Scope
from wire.errors import ApiError, Code


def authenticate(snapshot: Snapshot, exchange: Exchange) -> Caller:
    """The caller of a data-plane door. Raises `ApiError` UNAUTHENTICATED."""
    secret = presented(exchange)
    if not secret:
        raise ApiError(
            Code.UNAUTHENTICATED,
            "No API key was given. Send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'.",
        )
    for digest in keys.digests(secret):
        caller = snapshot.callers.get(digest)
        if caller is not None:
            if caller.expires_at is not None and caller.expires_at <= time.time():
                raise ApiError(Code.UNAUTHENTICATED, "This API key has expired.")
            return caller
    raise ApiError(Code.UNAUTHENTICATED, "This API key is unknown or inactive.")


def presented(exchange: Exchange) -> str:
    """The key in any of the places where SDKs put it."""
    return (
        presented_key(exchange.header(b"authorization"), exchange.header(b"x-api-key"))
        or exchange.header(b"x-goog-api-key")
        or _in_query(exchange)
    )


def carries_key(scope: Scope) -> bool:
    """Whether any key came with the request, right or wrong."""
    return b"key=" in scope["query_string"] or any(name in _HEADERS for name, _ in scope["headers"])


_HEADERS = frozenset({b"authorization", b"x-api-key", b"x-goog-api-key"})


def _in_query(exchange: Exchange) -> str:
    query: bytes = exchange.scope["query_string"]
    return parse_qs(query.decode("latin-1")).get("key", [""])[0] if query else ""
