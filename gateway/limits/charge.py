"""What limits have counted of a call by an estimate, until the truth is known."""

from __future__ import annotations

from gateway.limits.definitions import LimitSet
from gateway.limits.limiter import Limiter
from gateway.limits.local import Correction


class Charge:
    """`tokens` is the estimate, `at_ms` when it was counted."""

    __slots__ = ("_at_ms", "_limiter", "_limits", "_tokens")

    def __init__(self, limiter: Limiter, limits: LimitSet, tokens: int, at_ms: int) -> None:
        self._limiter = limiter
        self._limits = limits
        self._tokens = tokens
        self._at_ms = at_ms

    def settle(self, tokens: int) -> None:
        """This is the truth, in place of the estimate."""
        estimate, self._tokens = self._tokens, 0
        self._correct(tokens - estimate)

    def add(self, tokens: int) -> None:
        """So much was used besides."""
        self._correct(tokens)

    def give_back(self) -> None:
        """There was no call after all."""
        estimate, self._tokens = self._tokens, 0
        self._correct(-estimate, calls=-1)

    def _correct(self, tokens: int, *, calls: int = 0) -> None:
        if corrections := [
            Correction(limit, amount, self._at_ms)
            for limit in self._limits.limits
            if (amount := tokens if limit.tokens else calls)
        ]:
            self._limiter.correct(corrections)
