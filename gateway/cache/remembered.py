"""Answers under an idempotency key, as they lie in the database: encrypted with the vault's ring.

They are as long to be read as the ring's older keys are there, so that a turned key makes nobody's call twice.
"""

from __future__ import annotations

from cryptography.fernet import InvalidToken

from core import vault
from gateway.cache import stored
from gateway.cache.stored import Stored
from usage.idempotency import Answer, Claim


def sealed(claim: Claim | None, answer: Stored | None) -> Answer | None:
    """What the ledger keeps with the record of the call."""
    if claim is None or answer is None:
        return None
    return Answer(claim.id, vault.ring().encrypt(stored.encode(answer)))


def opened(content: bytes) -> Stored | None:
    """None where it can be read no more."""
    try:
        return stored.decode(vault.ring().decrypt(content))
    except InvalidToken:
        return None
