"""What Redis is asked, packed as its protocol has it: our scripts, and how they are called."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from gateway.limits.definitions import LimitSet, pack
from gateway.limits.local import Correction


class Script:
    def __init__(self, name: str) -> None:
        self.source = (Path(__file__).parent / name).read_bytes()
        sha = hashlib.sha1(self.source, usedforsecurity=False).hexdigest().encode()
        self.call = b"$7\r\nEVALSHA\r\n$40\r\n%b\r\n" % sha


ADMIT, CORRECT, HEAR = Script("admit.lua"), Script("correct.lua"), Script("hear.lua")
_MOVED = "{aip:limits}:moved"


def admit(sets: Sequence[LimitSet], tokens: int) -> bytes:
    opening, sizes = _frame(tuple([len(each.limits) for each in sets]))
    wanted = b"%d" % tokens
    return b"".join((
        opening,
        *[each.keys for each in sets],
        b"$%d\r\n%b\r\n" % (len(wanted), wanted),
        sizes,
        *[each.terms for each in sets],
    ))  # fmt: skip


@lru_cache(1024)
def _frame(sizes: tuple[int, ...]) -> tuple[bytes, bytes]:
    """What depends on the sizes of the sets alone: the command's opening, and the words that tell of them."""
    words = 4 + (1 + len(sizes)) + 4 * sum(sizes)
    return b"*%d\r\n" % words + ADMIT.call + pack((sum(sizes),)), pack((len(sizes), *sizes))


def correct(corrections: Sequence[Correction]) -> bytes:
    keys = [each.limit.key for each in corrections]
    terms = [term for each in corrections for term in (each.limit.window_s * 1000, each.at_ms, each.amount)]
    return b"*%d\r\n" % (3 + len(keys) + len(terms)) + CORRECT.call + pack((len(keys), *keys, *terms))


def hear(since_ms: int, moved: Sequence[str]) -> bytes:
    return b"*%d\r\n" % (5 + len(moved)) + HEAR.call + pack((1, _MOVED, since_ms, *moved))
