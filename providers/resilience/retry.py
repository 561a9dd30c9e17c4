"""When a call may be tried again, and how long it waits before."""

from __future__ import annotations

from random import Random

MOST_WAIT_S = 10.0  # of one wait within a call: who should wait longer is told so instead
SHARE = 0.2
FLOOR = 10.0  # so that what has little traffic has its retries too
_FLOOR_PER_S = 1.0
_MOST_SAVED = 100.0


def backoff_s(delay_s: float, round_number: int, rng: Random) -> float:
    """Full jitter (Brooker, "Exponential backoff and jitter", AWS 2015): anything up to the doubled bound."""
    return rng.uniform(0, min(delay_s * 2 ** (round_number - 1), MOST_WAIT_S))


class RetryBudget:
    """Retries for at most a fifth of the calls, and a floor that refills by one a second.

    A dead provider is then asked for little more than the calls that come, whatever each of them would like.
    """

    __slots__ = ("_left", "_refilled_at")

    def __init__(self, now: float) -> None:
        self._left = FLOOR
        self._refilled_at = now

    def earn(self) -> None:
        """A call was made."""
        self._left = min(self._left + SHARE, _MOST_SAVED)

    def has(self, now: float) -> bool:
        """Whether a retry is left."""
        if self._left < FLOOR:
            self._left = min(self._left + (now - self._refilled_at) * _FLOOR_PER_S, FLOOR)
        self._refilled_at = now
        return self._left >= 1

    def take(self, now: float) -> bool:
        """Spend one retry, if there is one."""
        if not self.has(now):
            return False
        self._left -= 1
        return True
