"""One call's way through its candidates: where to go next, after which wait, and when to give up.

A round goes through the candidates in their order, without a wait: another provider is the best second try. A key that
is refused or limited gives way to the provider's next key. When a round has brought no answer, those that may answer
later are tried again after a wait, within the call's deadline, each provider's number of tries, and its retry budget.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from providers.errors import ProviderFailureError
from providers.resilience.board import Board, Obstacle, Pass
from providers.resilience.retry import MOST_WAIT_S, backoff_s
from providers.specs import DeploymentSpec

_MOST_ROUNDS = 10
_MOST_KEYS = 3  # of one provider for one call
_LEAST_S = 0.005  # a provider hardly answers in less, and the timer of a call's whole time may ring early
_SPREAD_S = 1.0  # so that those who wait for one moment don't all come at it
_TRIAL_WAIT_S = (0.2, 0.4)  # between looks at how another call's trial has gone, or whether one may be made here
_NO_TRIES_LEFT = "tried enough"


class Go(msgspec.Struct, frozen=True):
    """Dispatch to the candidate at `place`. `number` counts the call's dispatches from 1."""

    place: int
    number: int
    leave: Pass


class Wait(msgspec.Struct, frozen=True):
    """Ask again after so many seconds."""

    seconds: float


class Stop(msgspec.Struct, frozen=True):
    """Nothing more can be tried. `retry_after_s`: when something may be; None where nobody knows."""

    retry_after_s: float | None


class Tour:
    """`skipped` says of each place why the call has passed it by, `failures` what went wrong at which, in order.

    `waited_s` is how long it has waited in all.
    """

    __slots__ = (
        "_board",
        "_deadline",
        "_deployments",
        "_dispatches",
        "_place",
        "_round",
        "_tries",
        "failures",
        "skipped",
        "waited_s",
    )

    def __init__(self, board: Board, deployments: Sequence[DeploymentSpec], *, deadline: float) -> None:
        self._board = board
        self._deployments = deployments
        self._deadline = deadline
        self._place = 0
        self._round = 1
        self._dispatches = 0
        self._tries: dict[int, int] = {}
        self.skipped: dict[int, str] = {}
        self.failures: list[tuple[int, ProviderFailureError]] = []
        self.waited_s = 0.0

    def next(self, now: float) -> Go | Wait | Stop:
        """What to do now. After `Go`, tell `failed` or `passed_by`, or ask no more."""
        if self._dispatches and (not self.failures[-1][1].retryable or self.left_s(now) < _LEAST_S):
            return Stop(None)
        if now >= self._deadline:
            return Stop(None)
        while self._place < len(self._deployments):
            found = self._seek(self._place, now)
            if isinstance(found, Pass):
                return self._go(self._place, found, now)
            self.skipped[self._place] = found.why
            self._place += 1
        return self._last_resort(now) or self._another_round(now)

    @property
    def unasked(self) -> dict[int, str]:
        """The places to which nothing was sent, and why."""
        return {place: why for place, why in self.skipped.items() if self._last_failure(place) is None}

    def left_s(self, now: float) -> float:
        """What is left of the call's whole time."""
        return self._deadline - now

    def failed(self, go: Go, failure: ProviderFailureError, now: float) -> None:
        """The dispatch has failed; the board is told."""
        self._board.failed(go.leave, failure, now)
        self.failures.append((go.place, failure))
        deployment = go.leave.deployment
        other_key = failure.fault == "key" and self._board.keys.has_ready(deployment, now)
        if not (other_key and self._tries[go.place] < min(_MOST_KEYS, len(deployment.provider.credentials))):
            self._place = go.place + 1

    def passed_by(self, go: Go, why: str) -> None:
        """Nothing was sent, for a reason of ours that holds for the whole call (a budget, no room)."""
        self._board.dropped(go.leave)
        self._dispatches -= 1
        self.skipped[go.place] = why
        self._tries[go.place] = self._deployments[go.place].provider.retry_attempts
        self._place = go.place + 1

    def _go(self, place: int, leave: Pass, now: float) -> Go:
        tries = self._tries.get(place, 0)
        if not tries:
            self._board.budget(leave.deployment.provider, now).earn()
        self._tries[place] = tries + 1
        self._place = place
        self._dispatches += 1
        self.skipped.pop(place, None)
        return Go(place, self._dispatches, leave)

    def _seek(self, place: int, now: float) -> Pass | Obstacle:
        deployment = self._deployments[place]
        if self._round > 1:
            if not self._may_repeat(place):
                return Obstacle(self.skipped.get(place, _NO_TRIES_LEFT), math.inf)
            if place in self._tries and not self._board.budget(deployment.provider, now).has(now):
                return Obstacle("retry budget spent", math.inf)
        found = self._board.seek(deployment, now)
        if place in self._tries and self._round > 1 and isinstance(found, Pass):
            self._board.budget(deployment.provider, now).take(now)
        return found

    def _last_resort(self, now: float) -> Go | None:
        """Where there is nowhere else to go: a trial of an open circuit before its time.

        A key that was refused is asked with where nobody else has said anything.
        """
        for place, deployment in enumerate(self._deployments):
            if place in self._tries:
                continue
            found = self._board.seek(deployment, now, early=True, any_key=not self._dispatches)
            if isinstance(found, Pass):
                return self._go(place, found, now)
        return None

    def _another_round(self, now: float) -> Wait | Stop:
        waits = [self._wait_s(place, now) for place in range(len(self._deployments)) if self._may_repeat(place)]
        wait_s = min(waits, default=math.inf)
        if wait_s > MOST_WAIT_S or now + wait_s > self._deadline - _LEAST_S or self._round >= _MOST_ROUNDS:
            return Stop(min(self._board.obstacle_s(deployment, now) for deployment in self._deployments))
        self._round += 1
        self._place = 0
        self.waited_s += wait_s
        return Wait(wait_s)

    def _may_repeat(self, place: int) -> bool:
        last = self._last_failure(place)
        if last is None:
            return place not in self._tries  # it was passed by, by an obstacle that may go
        return last.repeatable and self._tries[place] < self._deployments[place].provider.retry_attempts

    def _wait_s(self, place: int, now: float) -> float:
        """Until the candidate may be asked again; infinite where waiting has no sense, as at an open circuit."""
        deployment, board = self._deployments[place], self._board
        last = self._last_failure(place)
        if last is None and board.awaits_trial(deployment, now):
            return board.rng.uniform(*_TRIAL_WAIT_S)
        if board.is_open(deployment):
            return math.inf
        if last is None:
            waiting_s = board.keys.await_s(deployment, now)
            return waiting_s + board.rng.uniform(0, min(waiting_s, _SPREAD_S))
        if not board.budget(deployment.provider, now).has(now):
            return math.inf
        jitter_s = backoff_s(deployment.provider.retry_delay_s, self._round, board.rng)
        return max(jitter_s, board.keys.ready_in_s(deployment, now), last.retry_after_s or 0.0)

    def _last_failure(self, place: int) -> ProviderFailureError | None:
        return next((failure for at, failure in reversed(self.failures) if at == place), None)
