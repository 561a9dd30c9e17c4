"""A provider whose address is the platform's own would be asked by itself, by itself, until the time is over."""

from __future__ import annotations

import hashlib
from functools import cache

from django.conf import settings

HEADER = "x-platform-loop"  # as RFC 8586's CDN-Loop, which networks on the way may act upon


@cache
def mark() -> str:
    """What tells this installation, on all of its hosts, from others; it tells nothing else."""
    return hashlib.blake2b(
        b"loop", key=hashlib.sha256(settings.SECRET_KEY.encode()).digest(), digest_size=8
    ).hexdigest()
