"""What limits have counted of a call by an estimate, until the truth is known."""

from __future__ import annotations

from gateway.limits.definitions import LimitSet, charged
from gateway.limits.limiter import Limiter
from gateway.limits.local import Correction
from gateway.limits.verdict import Verdict


class Charge:
    """`tokens` is the estimate, by which `verdict` was found."""

    __slots__ = ("_limiter", "_limits", "_tokens", "_verdict")

    def __init__(self, limiter: Limiter, limits: LimitSet, tokens: int, verdict: Verdict) -> None:
        self._limiter = limiter
        self._limits = limits
        self._tokens = tokens
        self._verdict = verdict

    def settle(self, tokens: int) -> None:
        """This is the truth, in place of the estimate."""
        estimate, self._tokens = self._tokens, 0
        self._correct(tokens, estimate)

    def add(self, tokens: int) -> None:
        """So much was used besides."""
        self._correct(tokens)

    def give_back(self) -> None:
        """There was no call after all."""
        estimate, self._tokens = self._tokens, 0
        self._correct(0, estimate, calls=-1)

    def _correct(self, tokens: int, estimate: int = 0, *, calls: int = 0) -> None:
        """By what each limit was charged: a small one, or a process's part of one, may not hold the whole estimate."""
        at_ms, share = self._verdict.now_ms, self._verdict.share
        if corrections := [
            Correction(limit, amount, at_ms)
            for limit in self._limits.limits
            if (amount := tokens - charged(estimate, share.of(limit.most)) if limit.tokens else calls)
        ]:
            self._limiter.correct(corrections)
