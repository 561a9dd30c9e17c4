"""Who calls, from memory: the key's digest is looked up in the snapshot."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import parse_qs

from django.conf import settings

from accounts import keys, tokens
from gateway import token_callers
from gateway.catalogue import Caller, Snapshot
from gateway.http import Exchange, Scope
from wire.errors import ApiError, Code


async def authenticate(snapshot: Snapshot, secret: str) -> Caller:
    """Whose key or token it is: the one chokepoint of all data-plane doors. Raises `ApiError` UNAUTHENTICATED."""
    if tokens.is_token(secret):
        return await token_callers.caller(snapshot, secret)
    if not secret:
        if settings.ANONYMOUS_CLIENT:
            return token_callers.anonymous(snapshot, settings.ANONYMOUS_CLIENT)
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
    return presented_in(exchange.header) or _in_query(exchange.scope)


def presented_in(header: Callable[[bytes], str]) -> str:
    """The key among headers, or the metadata of a gRPC call."""
    return keys.presented(header(b"authorization"), header(b"x-api-key"), header(b"x-goog-api-key"))


def carries_key(scope: Scope) -> bool:
    """Whether any key came with the request, right or wrong: no other parameter, nor a proxy's own sign-in."""
    given: dict[bytes, bytes] = dict(scope["headers"])
    return bool(presented_in(lambda name: given.get(name, b"").decode("latin-1")) or _in_query(scope))


def _in_query(scope: Scope) -> str:
    query: bytes = scope["query_string"]
    return parse_qs(query.decode("latin-1")).get("key", [""])[0] if query else ""
