"""API keys: what they look like and how they are recognised. Only a keyed hash of a key is ever stored."""

from __future__ import annotations

import hashlib
import secrets
from functools import lru_cache

from django.conf import settings

PREFIX = "aip_"
_PUBLIC_CHARS = 8
_SECRET_CHARS = 40


def new_secret() -> str:
    """`aip_` + 8 public characters + `_` + 40 secret ones (240 bits)."""
    return f"{PREFIX}{secrets.token_hex(_PUBLIC_CHARS // 2)}_{secrets.token_urlsafe(_SECRET_CHARS * 3 // 4)}"


def presented(authorization: str, x_api_key: str, x_goog_api_key: str) -> str:
    """The key in a request's headers of these names; "" where they hold none."""
    scheme, _, value = authorization.partition(" ")
    return (value if scheme.lower() == "bearer" else x_api_key).strip() or x_goog_api_key.strip()


def public_prefix(secret: str) -> str:
    """The part that may be shown: it names the key without giving it away."""
    return secret[: len(PREFIX) + _PUBLIC_CHARS]


def digest(secret: str) -> str:
    """BLAKE2b keyed with SECRET_KEY, in hex: what is stored and looked up."""
    return digests(secret)[0]


def digests(secret: str) -> list[str]:
    """The digest under SECRET_KEY, then under each of SECRET_KEY_FALLBACKS (so that SECRET_KEY can be rotated)."""
    data = secret.encode("utf-8", "surrogateescape")
    return [hashlib.blake2b(data, key=pepper, digest_size=32).hexdigest() for pepper in _peppers()]


@lru_cache(maxsize=1)
def _peppers() -> tuple[bytes, ...]:
    ring = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return tuple(hashlib.sha256(b"accounts.keys:" + str(key).encode()).digest() for key in ring)
