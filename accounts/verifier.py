"""Whether a JSON Web Token is one of those that count as keys.

The algorithm is fixed by the settings, never by the token: a secret means HS256, a JWKS address RS256, so that neither
`none` nor a public key taken for a secret can pass (RFC 8725, sections 3.1 and 3.2).
"""

from __future__ import annotations

import time
from typing import Any

import jwt

from accounts.tokens import Claims, TokenError
from core.vault import Secret

MAX_TOKEN_CHARS = 8_192
_MOST_CHARS = 128  # of a name; so many the books keep of an end user
_LEEWAY_S = 10
_REQUIRED = ["exp", "aud", "iss"]
_JWKS_TIMEOUT_S = 5
_JWKS_KEPT_S = 300  # so long a key that was withdrawn from the set is in it here, and a token is believed unasked
_JWKS_STALE_S = 3_600.0  # so long the last set serves while none can be read
_JWKS_PAUSE_S = 10.0  # after it could not be read: tokens of nobody known would have it asked for each of them
_VERIFIED = 4_096  # tokens remembered, each until it expires or its signer's keys are to be looked at again


class Verifier:
    """Checks tokens. May be used from several threads. `key_of` blocks on the network when a JWKS must be read."""

    def __init__(self, *, secret: Secret | None, jwks_url: str, audience: str, issuer: str) -> None:
        self._secret = secret
        self._keys = _KeySet(jwks_url, timeout=_JWKS_TIMEOUT_S, lifespan=_JWKS_KEPT_S) if jwks_url else None
        self._audience = audience
        self._issuer = issuer
        self._verified: dict[str, tuple[Claims, float]] = {}  # and until when, in Unix seconds

    def known(self, token: str, *, now: float) -> Claims | None:
        """What a token says that was checked before (of late, where a signer may withdraw keys) and is valid still."""
        found = self._verified.get(token)
        return found[0] if found is not None and found[1] > now else None

    def verify(self, token: str) -> Claims:
        """Raises `TokenError`. May read the JWKS over the network, for `_JWKS_TIMEOUT_S` at most."""
        if len(token) > MAX_TOKEN_CHARS:
            raise TokenError(f"The token is longer than {MAX_TOKEN_CHARS} characters.")
        key, algorithm = self._key(token)
        try:
            said = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=_LEEWAY_S,
                options={"require": _REQUIRED},
            )
        except jwt.InvalidTokenError as error:
            raise TokenError(f"The token is not valid: {_reason(error)}.") from error
        claims = _claims(said)
        if len(self._verified) >= _VERIFIED:
            self._verified.clear()
        until = claims.expires_at if self._keys is None else min(claims.expires_at, time.time() + _JWKS_KEPT_S)
        self._verified[token] = (claims, until)
        return claims

    def _key(self, token: str) -> tuple[Any, str]:
        if self._secret is not None:
            return self._secret.reveal(), "HS256"
        assert self._keys is not None, "one of the two is set"
        try:
            return self._keys.get_signing_key_from_jwt(token), "RS256"
        except jwt.InvalidTokenError as error:
            raise TokenError("The token is not valid: it is malformed.") from error
        except jwt.PyJWKClientError as error:
            raise TokenError("The token is not valid: its signer's key is not known.") from error


class _KeySet(jwt.PyJWKClient):
    """The signer's keys. After a failure to read them those that are known still serve, and it is not asked at once."""

    _paused_until = 0.0
    _last: tuple[Any, float] | None = None  # the set, and when it was read

    def fetch_data(self) -> Any:
        """Raises `jwt.PyJWKClientError`, also for what PyJWT lets out: an answer that is no set, or breaks off."""
        failure: Exception | None = None
        if time.monotonic() >= self._paused_until:
            try:
                self._last = super().fetch_data(), time.monotonic()
            except (jwt.PyJWTError, ValueError, OSError) as error:
                failure = error
                self._paused_until = time.monotonic() + _JWKS_PAUSE_S
        if self._last is None or time.monotonic() - self._last[1] > _JWKS_STALE_S:
            raise jwt.PyJWKClientConnectionError("The set cannot be read.") from failure
        return self._last[0]


_REASONS: list[tuple[type[jwt.InvalidTokenError], str]] = [
    (jwt.ExpiredSignatureError, "it has expired"),
    (jwt.ImmatureSignatureError, "it is not valid yet"),
    (jwt.InvalidAudienceError, "it is for another audience"),
    (jwt.InvalidIssuerError, "it is by another issuer"),
    (jwt.MissingRequiredClaimError, "it lacks exp, aud or iss"),
    (jwt.InvalidAlgorithmError, "its algorithm is not the one in use here"),
]


def _reason(error: jwt.InvalidTokenError) -> str:
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), "its signature or form is wrong")


def _claims(said: dict[str, Any]) -> Claims:
    if not isinstance(said.get("client"), str) or not (client := _text(said, "client")):
        raise TokenError("The token names no client: it needs a 'client' claim.")
    scopes = str(said.get("scope") or "").split()
    try:
        expires_at = float(said["exp"]) + _LEEWAY_S
    except OverflowError as error:
        raise TokenError("The token is not valid: its 'exp' is beyond all times.") from error
    return Claims(
        client=client,
        end_user=_text(said, "sub"),
        tier=_text(said, "tier"),
        scope="manage" if "manage" in scopes else "call",
        expires_at=expires_at,
    )


def _text(said: dict[str, Any], claim: str) -> str:
    """JSON can say what no row of the books, and no answer, can hold: a NUL, and half of a pair of surrogates."""
    text = str(said.get(claim) or "")
    if len(text) > _MOST_CHARS:  # cut off, it could be another's
        raise TokenError(f"The token is not valid: its '{claim}' has more than {_MOST_CHARS} characters.")
    if not text.isprintable():
        raise TokenError(f"The token is not valid: its '{claim}' holds characters that cannot be printed.")
    return text
