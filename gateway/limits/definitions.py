"""What is limited, precomputed when the configuration is read, so that a call costs a look-up or two. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

_TAG = "{aip:limits}"  # one hash slot: a call's limits are decided together, also on a Redis cluster
_MINUTE_S, _HOUR_S = 60, 3600
# What a row's columns limit: whether tokens, and in which window.
COLUMNS = {
    "requests_per_minute": (False, _MINUTE_S),
    "requests_per_hour": (False, _HOUR_S),
    "tokens_per_minute": (True, _MINUTE_S),
    "tokens_per_hour": (True, _HOUR_S),
}
_PERIODS = {1: "a second", _MINUTE_S: "a minute", _HOUR_S: "an hour", 86_400: "a day"}


class Limit(msgspec.Struct, frozen=True, gc=False):
    """At most `most` requests (or tokens) in any `window_s` seconds, counted under `key`. `whose` is for people."""

    key: str
    tokens: bool
    most: int
    window_s: int
    whose: str

    def __str__(self) -> str:
        unit = "token" if self.tokens else "call"
        period = _PERIODS.get(self.window_s, f"in {self.window_s} seconds")
        return f"{self.most:,} {unit}{'' if self.most == 1 else 's'} {period}"


class Share(msgspec.Struct, frozen=True):
    """This process is number `rank`, from 0, of `processes`."""

    rank: int = 0
    processes: int = 1

    def of(self, most: int) -> int:
        """Its part of a limit: all parts together are exactly the limit, so some may be 0."""
        if self.processes == 1:
            return most
        part, rest = divmod(most, self.processes)
        return part + (self.rank < rest)


WHOLE = Share()


def charged(tokens: int, most: int) -> int:
    """Of a limit of tokens. A call that is larger than the whole limit may be made when nothing else is."""
    return tokens if tokens <= most else max(most, 1)


class Told(msgspec.Struct, frozen=True, gc=False):
    """What answers say of the limit at `place`: a header that never changes, and the names of two that do.

    Spelt `is_openai`'s way, the reset is a duration as there.
    """

    place: int
    most: int
    limit: tuple[bytes, bytes]
    remaining: bytes
    reset: bytes
    is_openai: bool


class LimitSet(msgspec.Struct, frozen=True, gc=False):
    """Limits that hold together, their part of a Redis command, packed once, and what answers say of them.

    `told`: the limits of which the tightest is told; of all, of those of requests, of those of tokens.
    """

    limits: tuple[Limit, ...] = ()
    keys: bytes = b""
    terms: bytes = b""
    told: tuple[tuple[Told, ...], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.limits)

    @classmethod
    def of(cls, limits: Iterable[Limit]) -> LimitSet:
        """Of two limits that are counted under the same key the tighter one remains."""
        tightest: dict[str, Limit] = {}
        for limit in limits:
            known = tightest.get(limit.key)
            if known is None or limit.most < known.most:
                tightest[limit.key] = limit
        chosen = tuple(tightest.values())
        terms = [term for limit in chosen for term in (limit.most, limit.window_s * 1000, int(limit.tokens))]
        return cls(chosen, pack(limit.key for limit in chosen), pack(terms), _told(chosen))


def _told(limits: tuple[Limit, ...]) -> tuple[tuple[Told, ...], ...]:
    groups = (
        tuple(_told_of(place, limit, b"") for place, limit in enumerate(limits)),
        tuple(_told_of(place, limit, b"-requests") for place, limit in enumerate(limits) if not limit.tokens),
        tuple(_told_of(place, limit, b"-tokens") for place, limit in enumerate(limits) if limit.tokens),
    )
    return tuple(group for group in groups if group)


def _told_of(place: int, limit: Limit, kind: bytes) -> Told:
    return Told(
        place=place,
        most=limit.most,
        limit=(b"x-ratelimit-limit" + kind, b"%d" % limit.most),
        remaining=b"x-ratelimit-remaining" + kind,
        reset=b"x-ratelimit-reset" + kind,
        is_openai=bool(kind),
    )


NO_LIMITS = LimitSet()


class CallerLimits(msgspec.Struct, frozen=True, gc=False):
    """A caller's limits: those that hold everywhere, and the whole sets of endpoints that have further ones.

    An endpoint is a path (`/v1/llm/generate`), with or without a slash at its end, or a door's name as on usage rows
    (`openai.chat`).
    """

    everywhere: LimitSet = NO_LIMITS
    by_endpoint: dict[str, LimitSet] = {}

    def at(self, path: str, surface: str) -> LimitSet:
        if not self.by_endpoint:
            return self.everywhere
        return self.by_endpoint.get(path.rstrip("/")) or self.by_endpoint.get(surface) or self.everywhere


UNLIMITED = CallerLimits()


class TierLimits(msgspec.Struct, frozen=True):
    """What a tier allows each of its keys. The numbers are by the names of `COLUMNS`."""

    name: str
    numbers: dict[str, int | None]
    by_endpoint: dict[str, dict[str, int | None]]

    def of(self, subject: str) -> tuple[list[Limit], dict[str, list[Limit]]]:
        """The limits of one key in it: everywhere, and by endpoint. They are counted as that key's."""
        whose = f"the tier {self.name}"
        return limits(subject, whose, self.numbers), {
            endpoint: limits(f"{subject}:{endpoint}", f"{whose} at {endpoint}", numbers)
            for endpoint, numbers in self.by_endpoint.items()
        }


def limits(subject: str, whose: str, numbers: Mapping[str, int | None]) -> list[Limit]:
    """The limits that `numbers` (by column) set for what `subject` names; None is no limit."""
    return [
        _limit(subject, whose, most=most, tokens=tokens, window_s=window_s)
        for column, (tokens, window_s) in COLUMNS.items()
        if (most := numbers.get(column)) is not None
    ]


def default_limit(subject: str, *, requests: int, window_s: int) -> Limit:
    """The limit of a key without a tier, where the operator has set one."""
    return _limit(subject, "keys without a tier", most=requests, tokens=False, window_s=window_s)


def _limit(subject: str, whose: str, *, most: int, tokens: bool, window_s: int) -> Limit:
    key = f"{_TAG}:{subject}:{'tokens' if tokens else 'requests'}:{window_s}"
    return Limit(key=key, tokens=tokens, most=most, window_s=window_s, whose=whose)


def window_ms_of(key: str) -> int:
    """Of the limit that is counted under `key`."""
    return int(key.rpartition(":")[2]) * 1000


def numbers(row: Any) -> dict[str, int | None]:
    """A row's limits by column; a row need not have them all."""
    return {column: getattr(row, column, None) for column in COLUMNS}


def caller_limits(limits_of_all: Iterable[Limit], by_endpoint: Mapping[str, Iterable[Limit]]) -> CallerLimits:
    everywhere = tuple(limits_of_all)
    if not everywhere and not by_endpoint:
        return UNLIMITED
    return CallerLimits(
        LimitSet.of(everywhere),
        {endpoint.rstrip("/"): LimitSet.of((*everywhere, *more)) for endpoint, more in by_endpoint.items()},
    )


def pack(words: Iterable[Any]) -> bytes:
    """The words as bulk strings of Redis's protocol."""
    encoded = [str(word).encode() for word in words]
    return b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)
