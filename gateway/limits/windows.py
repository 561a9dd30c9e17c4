"""How a limit is counted: a sliding window of small buckets. Pure; times are milliseconds.

A window is cut into `BUCKETS` slices of time. What was counted in any slice that still overlaps the last minute (or
hour) counts, so that no minute, wherever it begins, ever holds more than the limit. The price is one slice: what was
taken comes back up to 2% of the window late (1.2 s of a minute). A token bucket or GCRA, which need one number alone,
let nearly twice the limit through in a window that begins after a pause; a log of every call is exact, but grows with
the limit. (Sub-windows in place of a log: https://redis.io/learn/howtos/ratelimiting, "sliding window counter", whose
weighing of the slice that is left we don't do, because it may let too many through.)

`admit.lua` does the same in Redis.
"""

from __future__ import annotations

BUCKETS = 50
_NEVER_MS = 2**63


class Window:
    """What one limit has counted lately."""

    __slots__ = ("_buckets", "_full_until_ms", "_step_ms", "_window_ms", "used")

    def __init__(self, window_s: int) -> None:
        self.used = 0
        self._window_ms = window_s * 1000
        self._step_ms = self._window_ms // BUCKETS
        self._buckets: dict[int, int] = {}  # in the order of time
        self._full_until_ms = _NEVER_MS  # nothing leaves the window before

    def copy(self) -> Window:
        made = Window(self._window_ms // 1000)
        made.used = self.used
        made._buckets = dict(self._buckets)
        made._full_until_ms = self._full_until_ms
        return made

    def forget(self, now_ms: int) -> None:
        """Let go of the buckets that have left the window."""
        if now_ms < self._full_until_ms:
            return
        first = (now_ms - self._window_ms) // self._step_ms
        while self._buckets and (oldest := next(iter(self._buckets))) < first:
            self.used -= self._buckets.pop(oldest)
        self._full_until_ms = self._leaves_at_ms(next(iter(self._buckets))) if self._buckets else _NEVER_MS

    def add(self, amount: int, now_ms: int) -> None:
        if not amount:
            return
        bucket = now_ms // self._step_ms
        if bucket in self._buckets:
            self._buckets[bucket] += amount
        else:
            self._buckets[bucket] = amount
            self._full_until_ms = min(self._full_until_ms, self._leaves_at_ms(bucket))
        self.used += amount

    def correct(self, amount: int, at_ms: int) -> None:
        """Change what was counted at `at_ms`. What has left the window meanwhile stays gone."""
        bucket = at_ms // self._step_ms
        known = self._buckets.get(bucket)
        if known is not None:
            amount = max(amount, -known)
            self._buckets[bucket] = known + amount
            self.used += amount

    def wait_ms(self, amount: int, most: int, now_ms: int) -> int:
        """How long until `amount` fits under `most`; 0: now. What never fits waits for a whole window."""
        over = self.used + amount - most
        if over <= 0:
            return 0
        for bucket, count in self._buckets.items():
            over -= count
            if over <= 0:
                return self._leaves_at_ms(bucket) - now_ms
        return self._window_ms

    def reset_ms(self, now_ms: int) -> int:
        """How long until the oldest that is counted leaves the window; 0 where nothing is."""
        return self._full_until_ms - now_ms if self._buckets else 0

    def counts(self) -> list[tuple[int, int]]:
        """What is counted, as (time in ms, amount)."""
        return [(bucket * self._step_ms, count) for bucket, count in self._buckets.items() if count]

    def _leaves_at_ms(self, bucket: int) -> int:
        return (bucket + 1) * self._step_ms + self._window_ms
