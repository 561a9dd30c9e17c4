"""What Redis is asked, packed as its protocol has it: our scripts, and how they are called."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import msgspec

from gateway.limits.definitions import LimitSet, pack
from gateway.limits.local import Correction
from gateway.limits.windows import BUCKETS


class Script:
    def __init__(self, name: str) -> None:
        self.source = (Path(__file__).parent / name).read_bytes()
        sha = hashlib.sha1(self.source, usedforsecurity=False).hexdigest().encode()
        self.call = b"$7\r\nEVALSHA\r\n$40\r\n%b\r\n" % sha


ADMIT, CORRECT, HEAR = Script("admit.lua"), Script("correct.lua"), Script("hear.lua")
_MOVED = "{aip:limits}:moved"


class Wanted(msgspec.Struct, frozen=True, gc=False):
    """A call's part of a command: the limits of its caller and its candidates, and the tokens that it will use."""

    sets: tuple[LimitSet, ...]
    tokens: int


def admit(calls: Sequence[Wanted]) -> bytes:
    keys: list[bytes] = []
    terms: list[bytes] = []
    words = 3
    for each in calls:
        sizes = _sizes(tuple([len(limits.limits) for limits in each.sets]))
        keys += [limits.keys for limits in each.sets]
        tokens = b"%d" % each.tokens
        terms += (b"$%d\r\n%b\r\n" % (len(tokens), tokens), sizes.packed, *[limits.terms for limits in each.sets])
        words += sizes.words
    number_of_keys = sum(len(limits.limits) for each in calls for limits in each.sets)
    return b"".join((b"*%d\r\n" % words, ADMIT.call, pack((number_of_keys,)), *keys, *terms))


class _Sizes(msgspec.Struct, frozen=True, gc=False):
    """How many groups a call has and how large they are, packed; and of how many `words` its part is."""

    packed: bytes
    words: int


@lru_cache(1024)
def _sizes(sizes: tuple[int, ...]) -> _Sizes:
    return _Sizes(pack((len(sizes), *sizes)), 2 + len(sizes) + 4 * sum(sizes))


def correct(corrections: Sequence[Correction]) -> bytes:
    """What many calls of one caller change in the same moment is changed at once."""
    amounts: dict[tuple[str, int, int], int] = {}
    for each in corrections:
        window_ms = each.limit.window_s * 1000
        place = each.limit.key, window_ms, each.at_ms - each.at_ms % (window_ms // BUCKETS)
        amounts[place] = amounts.get(place, 0) + each.amount
    keys = [key for key, _, _ in amounts]
    terms = [term for (_, window_ms, at_ms), amount in amounts.items() for term in (window_ms, at_ms, amount)]
    return b"*%d\r\n" % (3 + len(keys) + len(terms)) + CORRECT.call + pack((len(keys), *keys, *terms))


def hear(since_ms: int, moved: Sequence[str]) -> bytes:
    return b"*%d\r\n" % (5 + len(moved)) + HEAR.call + pack((1, _MOVED, since_ms, *moved))
