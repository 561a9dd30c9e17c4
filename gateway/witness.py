"""What one dispatch tells the board of its provider: once, whichever way it ends."""

from __future__ import annotations

import time

from providers.errors import ProviderFailureError
from providers.resilience.board import Board, Pass


class Witness:
    """Of one dispatch. A stream that has begun well says so at once where it was a trial: others wait for the news."""

    __slots__ = ("_board", "_leave", "_sent_at", "_told", "latency_s")

    def __init__(self, board: Board, leave: Pass, *, sent_at: float) -> None:
        self._board = board
        self._leave = leave
        self._sent_at = sent_at
        self._told = False
        self.latency_s: float | None = None

    def began(self) -> None:
        """The first words have come."""
        self.latency_s = time.perf_counter() - self._sent_at
        if self._leave.permit.is_trial:
            self.answered()

    def answered(self) -> None:
        if not self._told:
            self._told = True
            now = time.perf_counter()
            latency_s = now - self._sent_at if self.latency_s is None else self.latency_s
            self._board.answered(self._leave, latency_s * 1000, now)

    def broke(self, failure: ProviderFailureError) -> None:
        """The stream has failed after its beginning."""
        told, self._told = self._told, True
        (self._board.cut if told else self._board.failed)(self._leave, failure, time.perf_counter())

    def left(self) -> None:
        """The caller has, or we have stopped it: that says nothing of the provider."""
        if not self._told:
            self._told = True
            self._board.dropped(self._leave)
