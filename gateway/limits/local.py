"""Limits counted in this process: where there is no Redis, and while it is away. Pure.

Each of n processes enforces its n-th part of every limit, so that together they let no more through than Redis would.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from gateway.limits.definitions import NO_LIMITS, Limit, LimitSet, Share, charged, window_ms_of
from gateway.limits.verdict import CALLER_REFUSED, NO_CANDIDATE, Verdict
from gateway.limits.windows import Window

MOST_TOLD = 1_000  # counters, at a time
MOST_COUNTERS = 100_000  # in this process: end users, of whom there may be any number, have counters of their own
MOST_TIDIED = 500  # of them, in half a millisecond


class Correction(msgspec.Struct, frozen=True, gc=False):
    """`amount` more (or less) was used of `limit` than was counted at `at_ms`."""

    limit: Limit
    amount: int
    at_ms: int


_Windows = dict[str, tuple[Limit, Window]]


class _Room(NamedTuple):
    """What this process may let through of a limit in its window, and what the call in question would take of that."""

    limit: Limit
    window: Window
    most: int
    cost: int


class LocalCounters:
    """What this process has let through, whoever counted it, and the decisions that it makes without Redis.

    `has_redis`: there is one, though it be away, that will want to know what was let through.
    """

    def __init__(self, *, has_redis: bool = True) -> None:
        self.share = Share()
        self._has_redis = has_redis
        self._seen: dict[str, tuple[int, int]] = {}  # used by all processes, and when, as Redis said last
        self._moved: set[str] = set()  # what others should hear of
        self._own: _Windows = {}
        self._unsent: _Windows = {}  # of these, what Redis does not know
        self._windows: _Windows = {}  # by which is decided while there is no Redis

    def take(self, caller: LimitSet, candidates: Sequence[LimitSet], tokens: int, now_ms: int) -> Verdict:
        """The same as `admit.lua`, by this process's share."""
        of_caller = self._rooms(caller, tokens, now_ms)
        wait_ms, culprit = _longest_wait(of_caller, now_ms)
        if culprit is not None:
            return Verdict(CALLER_REFUSED, now_ms, _states(of_caller, now_ms), culprit, wait_ms)
        refusals: list[tuple[int, Limit]] = []
        for number, candidate in enumerate(candidates or (NO_LIMITS,)):
            of_candidate = self._rooms(candidate, tokens, now_ms)
            wait_ms, culprit = _longest_wait(of_candidate, now_ms)
            if culprit is None:
                rooms = of_caller + of_candidate
                self._fill(rooms, now_ms)
                return Verdict(number, now_ms, _states(rooms, now_ms), share=self.share)
            refusals.append((wait_ms, culprit))
        wait_ms, culprit = min(refusals, key=lambda each: each[0])
        return Verdict(NO_CANDIDATE, now_ms, _states(of_caller, now_ms), culprit, wait_ms)

    def correct(self, corrections: Iterable[Correction]) -> None:
        counters = (self._own, self._unsent, self._windows) if self._has_redis else (self._windows,)
        for each in corrections:
            for windows in counters:
                if (known := windows.get(each.limit.key)) is not None:
                    known[1].correct(each.amount, each.at_ms)

    def note(self, wanted: LimitSet, states: Sequence[int], tokens: int, now_ms: int, *, taken: bool) -> None:
        """What Redis has decided and told."""
        for number, limit in enumerate(wanted.limits):
            self._see(limit.key, states[2 * number], now_ms)
            if taken:
                self._moved.add(limit.key)
                _add(self._own, limit, charged(tokens, limit.most) if limit.tokens else 1, now_ms)

    def moved(self) -> list[str]:
        """The counters that this process has moved since it was last asked; some of them, where there are many."""
        chosen = list(islice(self._moved, MOST_TOLD))
        self._moved.difference_update(chosen)
        return chosen

    def hear(self, told: Sequence[Any], now_ms: int) -> None:
        """`told` are counters, each with what all processes have used of it."""
        for key, used in zip(told[::2], told[1::2], strict=True):
            self._see(key.decode(), used, now_ms)

    def unsent(self, now_ms: int) -> list[Correction]:
        """What this process has let through by itself since it was last asked."""
        taken, self._unsent = self._unsent, {}
        return _counted(taken, now_ms)

    def own(self, now_ms: int) -> list[Correction]:
        """All that it has let through lately: what it has to tell a Redis that has lost its memory."""
        self._unsent = {}
        return _counted(self._own, now_ms)

    def clear(self) -> None:
        """Redis counts again."""
        self._windows.clear()

    def tidy(self, now_ms: int) -> Iterator[None]:
        """Let go of counters that count nothing any more. Each step looks at some: calls may come in between."""
        for keys in _parts(self._seen):
            for key in keys:
                if now_ms - self._seen[key][1] > window_ms_of(key):
                    del self._seen[key]
            yield
        for windows in (self._own, self._unsent, self._windows):
            for keys in _parts(windows):
                _let_go(windows, keys, now_ms)
                yield

    def _rooms(self, wanted: LimitSet, tokens: int, now_ms: int) -> list[_Room]:
        rooms = []
        for limit in wanted.limits:
            most = self.share.of(limit.most)
            cost = charged(tokens, most) if limit.tokens else 1
            rooms.append(_Room(limit, self._window(limit, now_ms), most, cost))
        return rooms

    def _fill(self, rooms: Iterable[_Room], now_ms: int) -> None:
        for room in rooms:
            room.window.add(room.cost, now_ms)
            if self._has_redis:
                _add(self._own, room.limit, room.cost, now_ms)
                _add(self._unsent, room.limit, room.cost, now_ms)

    def _window(self, limit: Limit, now_ms: int) -> Window:
        known = self._windows.get(limit.key)
        if known is None:
            known = _put(self._windows, limit, self._begun(limit, now_ms))
        known[1].forget(now_ms)
        return known[1]

    def _see(self, key: str, used: int, now_ms: int) -> None:
        if len(self._seen) < MOST_COUNTERS or key in self._seen:
            self._seen[key] = (used, now_ms)

    def _begun(self, limit: Limit, now_ms: int) -> Window:
        """What counts against this process when Redis has gone: what it used itself, or its part of what all used."""
        _, own = self._own.get(limit.key, (limit, Window(limit.window_s)))
        own.forget(now_ms)
        window = own.copy()
        used, at_ms = self._seen.get(limit.key, (0, 0))
        part = -(-used // self.share.processes)
        if part > own.used and now_ms - at_ms < limit.window_s * 1000:
            window.add(part - own.used, at_ms)
        return window


def _longest_wait(rooms: Iterable[_Room], now_ms: int) -> tuple[int, Limit | None]:
    """And the limit that asks for it; None where all have room. What takes nothing has room everywhere."""
    longest: tuple[int, Limit | None] = (0, None)
    for limit, window, most, cost in rooms:
        if cost and window.used + cost > most and (wait_ms := window.wait_ms(cost, most, now_ms)) > longest[0]:
            longest = (wait_ms, limit)
    return longest


def _states(rooms: Iterable[_Room], now_ms: int) -> list[int]:
    states: list[int] = []
    for limit, window, most, _ in rooms:
        states += (limit.most - most + window.used, window.reset_ms(now_ms))
    return states


def _add(windows: _Windows, limit: Limit, amount: int, now_ms: int) -> None:
    known = windows.get(limit.key)
    if known is None:
        known = _put(windows, limit, Window(limit.window_s))
    known[1].forget(now_ms)
    known[1].add(amount, now_ms)


def _put(windows: _Windows, limit: Limit, window: Window) -> tuple[Limit, Window]:
    """A counter more. Where there are too many, the oldest goes: that caller's count begins anew."""
    if len(windows) >= MOST_COUNTERS:
        del windows[next(iter(windows))]
    windows[limit.key] = (limit, window)
    return windows[limit.key]


def _parts(counters: Iterable[str]) -> Iterator[list[str]]:
    keys = list(counters)
    for start in range(0, len(keys), MOST_TIDIED):
        yield keys[start : start + MOST_TIDIED]


def _let_go(windows: _Windows, keys: Iterable[str], now_ms: int) -> None:
    """Of those among `keys` that count nothing. Some may be gone meanwhile."""
    for key in keys:
        if (known := windows.get(key)) is not None:
            known[1].forget(now_ms)
            if not known[1].used:
                del windows[key]


def _counted(windows: _Windows, now_ms: int) -> list[Correction]:
    counted = []
    for limit, window in windows.values():
        window.forget(now_ms)
        counted += [Correction(limit, count, at_ms) for at_ms, count in window.counts()]
    return counted
