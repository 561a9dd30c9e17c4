"""A circuit breaker: closed, open, half-open, with two rules for opening.

It opens after so many failures in a row, or where at least half of the calls in a window have failed and there were
enough of them. After a while it lets one trial call through at a time; so many good trials in a row close it. Each
change of state begins a new generation: results of calls that were let through in an older one say nothing any more.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from providers.resilience.window import Window

FAILURE_SHARE = 0.5
EARLY_SHARE = 0.1  # of the time that it stays open
_FEWEST_CALLS = 20


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Policy(msgspec.Struct, frozen=True):
    """Specification D's settings: `failureThreshold`, `successThreshold`, `timeout`, `monitoringPeriod`."""

    failures: int = 5
    successes: int = 2
    open_s: float = 60.0
    window_s: float = 120.0

    @property
    def fewest_calls(self) -> int:
        """Below them a share says too little; who asks for many failures in a row asks for as much patience here."""
        return max(_FEWEST_CALLS, 4 * self.failures)


class Permit(msgspec.Struct, frozen=True):
    """Leave for one call. Its outcome is told once: `succeeded`, `failed`, or `dropped`."""

    generation: int
    is_trial: bool


class Breaker:
    """`since` and `reopens_at` are in the time of `now`; `failures` is how many there were in a row."""

    __slots__ = (
        "_pass",
        "_successes",
        "_trying",
        "_window",
        "failures",
        "generation",
        "reopens_at",
        "since",
        "state",
    )

    def __init__(self, now: float) -> None:
        self.generation = 0
        self._window = Window()
        self._enter(State.CLOSED, now)

    def permit(self, now: float, *, early: bool = False) -> Permit | None:
        """Leave for a call now, or None. `early`: for a call that has nowhere else to go."""
        if self.state is State.CLOSED:
            return self._pass
        if not self.is_due(now, early=early):
            return None
        if self.state is State.OPEN:
            self._enter(State.HALF_OPEN, now)
        self._trying = True
        return Permit(self.generation, is_trial=True)

    def is_due(self, now: float, *, early: bool = False) -> bool:
        """Whether a trial may be made now: it has been open for long enough, and none is under way."""
        if self.state is State.OPEN:
            return now >= (self.early_at if early else self.reopens_at)
        return self.state is State.HALF_OPEN and not self._trying

    @property
    def early_at(self) -> float:
        """When a call that has nowhere else to go may try: the last candidate is never shut out for the whole time."""
        return self.since + EARLY_SHARE * (self.reopens_at - self.since)

    def succeeded(self, permit: Permit, policy: Policy, now: float) -> None:
        if permit.generation != self.generation:
            return
        if not permit.is_trial:
            self.failures = 0
            self._window.add(now, policy.window_s, failed=False)
            return
        self._trying = False
        self._successes += 1
        if self._successes >= policy.successes:
            self._enter(State.CLOSED, now)

    def failed(self, permit: Permit, policy: Policy, now: float) -> None:
        if permit.generation != self.generation:
            return
        self.failures += 1
        if permit.is_trial:
            self.open(policy.open_s, now)
            return
        self._window.add(now, policy.window_s, failed=True)
        if self.failures >= policy.failures or self._mostly_fails(policy, now):
            self.open(policy.open_s, now)

    def dropped(self, permit: Permit) -> None:
        """The call was not made, or its end says nothing of the provider."""
        if permit.is_trial and permit.generation == self.generation:
            self._trying = False

    def open(self, open_s: float, now: float) -> None:
        failures = self.failures
        self._enter(State.OPEN, now)
        self.failures = failures
        self.reopens_at = now + open_s

    def close(self, now: float) -> None:
        """As by a person's word, or another process's trials."""
        self._enter(State.CLOSED, now)

    @property
    def has_changed(self) -> bool:
        """Whether it has ever been anything but closed."""
        return self.generation > 1

    @property
    def is_trying(self) -> bool:
        """Whether a trial is under way."""
        return self._trying

    def ready_in_s(self, now: float) -> float:
        """How long until a call that has nowhere else to go may try; 0 where another one is trying."""
        return max(self.early_at - now, 0.0) if self.state is State.OPEN else 0.0

    def _mostly_fails(self, policy: Policy, now: float) -> bool:
        calls, failures = self._window.counts(now, policy.window_s)
        return calls >= policy.fewest_calls and failures >= calls * FAILURE_SHARE

    def _enter(self, state: State, now: float) -> None:
        if state is not State.HALF_OPEN:
            self._window.clear()
            self.failures = 0
        self.state = state
        self.since = now
        self.reopens_at = now
        self.generation += 1
        self._pass = Permit(self.generation, is_trial=False)
        self._successes = 0
        self._trying = False
