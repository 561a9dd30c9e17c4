"""Answers as they lie outside this process: encrypted, and bound to their key.

AES-256-GCM with a key made from the first of ENCRYPTION_KEYS. The ring's own Fernet costs ten to forty times its CPU
(an answer of 10 kB: 83 us against 2), which every hit would pay; and a ring that was turned needs no second key here,
because an answer that can be read no more is only a miss.
"""

from __future__ import annotations

import hmac
import os
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

_NONCE_BYTES = 12


def seal(content: bytes, *, name: bytes) -> bytes:
    """`content`, readable only under `name`."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + _cipher(settings.ENCRYPTION_KEYS[0]).encrypt(nonce, content, name)


def unseal(sealed: bytes, *, name: bytes) -> bytes | None:
    """None for what was sealed with another key, under another name, or not at all."""
    try:
        return _cipher(settings.ENCRYPTION_KEYS[0]).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name)
    except (InvalidTag, ValueError):
        return None


@lru_cache(maxsize=4)
def _cipher(ring_key: str) -> AESGCM:
    return AESGCM(hmac.digest(ring_key.encode(), b"gateway.cache:content", "sha256"))
