"""Callers who bring a JSON Web Token, or nothing at all where that is allowed."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from accounts import tokens
from accounts.tokens import Claims, TokenError
from gateway.catalogue import Caller, Snapshot
from gateway.limits.definitions import CallerLimits, caller_limits
from wire.errors import ApiError, Code

# Of their own: strangers' tokens wait for a signer who does not answer, and nothing else shall wait with them.
_THREADS = ThreadPoolExecutor(2, thread_name_prefix="tokens")
TOKEN_PREFIX = "token"  # noqa: S105 - what usage rows say in place of a key's beginning


async def caller(snapshot: Snapshot, token: str) -> Caller:
    """Whom the token's signer names. Raises `ApiError` UNAUTHENTICATED.

    A token that was seen before costs a look-up; a new one is checked in a thread, as its signer's keys may have to be
    read over the network.
    """
    verifier = tokens.verifier()
    if verifier is None:
        raise ApiError(Code.UNAUTHENTICATED, "This API key is unknown or inactive.")
    claims = verifier.known(token, now=time.time())
    if claims is None:
        try:
            claims = await asyncio.get_running_loop().run_in_executor(_THREADS, verifier.verify, token)
        except TokenError as error:
            raise ApiError(Code.UNAUTHENTICATED, str(error)) from error
    return _caller(snapshot, claims)


def anonymous(snapshot: Snapshot, client: str) -> Caller:
    """The client that calls without a key count as. Raises `ApiError` UNAUTHENTICATED where it is not there."""
    return _caller(snapshot, Claims(client=client, end_user="", tier="", scope="call", expires_at=0.0), prefix="")


def _caller(snapshot: Snapshot, claims: Claims, prefix: str = TOKEN_PREFIX) -> Caller:
    known = snapshot.keyless.clients.get(claims.client)
    if known is None:
        raise ApiError(Code.UNAUTHENTICATED, f"There is no active client '{claims.client}'.")
    client_id, _ = known
    return Caller(
        client_id=client_id,
        client=claims.client,
        key_id=None,
        key_prefix=prefix,
        scope=claims.scope,
        expires_at=claims.expires_at or None,
        limits=_limits(snapshot, claims),
        end_user=claims.end_user,
        allowed=(names,) if (names := snapshot.keyless.allowed.get(claims.client)) else (),
    )


def _limits(snapshot: Snapshot, claims: Claims) -> CallerLimits:
    """Its client's, and its tier's, which counts by end user. Raises `ApiError` for a tier that there is not."""
    client_id, limits = snapshot.keyless.clients[claims.client]
    if not claims.tier:
        return caller_limits(limits, {})
    tier = snapshot.keyless.tiers.get(claims.tier)
    if tier is None:
        raise ApiError(Code.UNAUTHENTICATED, f"The token names the tier '{claims.tier}', which there is not.")
    everywhere, by_endpoint = tier.of(f"user:{client_id}:{claims.end_user}")
    return caller_limits([*limits, *everywhere], by_endpoint)
