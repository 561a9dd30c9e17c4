"""JSON Web Tokens as keys: who signs them names the client, the end user and the tier (API.md, section 1)."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import msgspec
from django.conf import settings

if TYPE_CHECKING:
    from accounts.verifier import Verifier


class TokenError(Exception):
    """The token is no key; the message says why, in words that give nothing away."""


class Claims(msgspec.Struct, frozen=True):
    """What a valid token says. `expires_at` is in Unix seconds; `tier` is "" where it names none."""

    client: str
    end_user: str
    tier: str
    scope: str
    expires_at: float

    def __str__(self) -> str:
        return f"{self.client} · {self.end_user or 'token'}"


def is_token(secret: str) -> bool:
    """Whether it looks like one: our own keys hold no dot."""
    return secret.count(".") == 2 and secret.startswith("ey")


@functools.cache
def verifier() -> Verifier | None:
    """By the settings; None where tokens are not in use."""
    accepted = settings.TOKENS
    if accepted is None:
        return None
    from accounts.verifier import Verifier  # noqa: PLC0415 - PyJWT is loaded where tokens are in use

    return Verifier(
        secret=accepted.secret, jwks_url=accepted.jwks_url, audience=accepted.audience, issuer=accepted.issuer
    )
