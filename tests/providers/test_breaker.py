"""The circuit breaker's rules, by example and by machine."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from providers.resilience.breaker import Breaker, Permit, Policy, State

POLICY = Policy(failures=5, successes=2, open_s=60, window_s=120)


def leave(breaker: Breaker, now: float) -> Permit:
    permit = breaker.permit(now)
    assert permit is not None
    return permit


def fail(breaker: Breaker, times: int, now: float = 0) -> None:
    for _ in range(times):
        breaker.failed(leave(breaker, now), POLICY, now)


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    breaker = Breaker(0)
    fail(breaker, 4)
    breaker.succeeded(leave(breaker, 0), POLICY, 0)
    fail(breaker, 4)
    assert breaker.state.name == "CLOSED"

    fail(breaker, 1)

    assert breaker.state.name == "OPEN"
    assert breaker.permit(59.9) is None


def test_who_has_nowhere_else_to_go_may_try_it_early() -> None:
    breaker = Breaker(0)
    fail(breaker, 5)

    assert breaker.ready_in_s(2) == 4
    assert breaker.permit(5.9, early=True) is None
    trial = breaker.permit(6, early=True)
    assert trial is not None
    assert trial.is_trial
    assert breaker.permit(6, early=True) is None


def test_it_opens_where_half_of_enough_calls_fail() -> None:
    breaker = Breaker(0)
    for second in range(9):
        breaker.succeeded(leave(breaker, second), POLICY, second)
        fail(breaker, 1, second)
    assert breaker.state.name == "CLOSED"  # nine of eighteen: too few to tell

    breaker.succeeded(leave(breaker, 10), POLICY, 10)
    fail(breaker, 1, 10)

    assert breaker.state.name == "OPEN"


def test_who_asks_for_many_failures_in_a_row_asks_for_many_calls_too() -> None:
    breaker, patient = Breaker(0), Policy(failures=10)
    for _ in range(19):
        breaker.succeeded(leave(breaker, 0), patient, 0)
        breaker.failed(leave(breaker, 0), patient, 0)
    assert breaker.state.name == "CLOSED"

    for _ in range(2):
        breaker.failed(leave(breaker, 0), patient, 0)

    assert breaker.state.name == "OPEN"


def test_failures_of_long_ago_do_not_count() -> None:
    breaker = Breaker(0)
    for _ in range(9):
        breaker.succeeded(leave(breaker, 0), POLICY, 0)
        fail(breaker, 1, 0)

    for _ in range(3):
        breaker.succeeded(leave(breaker, 200), POLICY, 200)
        fail(breaker, 1, 200)

    assert breaker.state.name == "CLOSED"


def test_one_trial_at_a_time_and_two_good_ones_close_it() -> None:
    breaker = Breaker(0)
    fail(breaker, 5)

    trial = leave(breaker, 60)
    assert trial.is_trial
    assert breaker.state.name == "HALF_OPEN"
    assert breaker.permit(60) is None
    breaker.succeeded(trial, POLICY, 61)
    second = leave(breaker, 61)
    assert breaker.permit(61) is None
    breaker.succeeded(second, POLICY, 62)

    assert breaker.state.name == "CLOSED"


def test_a_trial_that_fails_opens_it_for_as_long_again() -> None:
    breaker = Breaker(0)
    fail(breaker, 5)

    breaker.failed(leave(breaker, 60), POLICY, 65)

    assert breaker.state.name == "OPEN"
    assert breaker.permit(124.9) is None
    assert breaker.permit(125) is not None


def test_a_trial_that_says_nothing_makes_room_for_the_next() -> None:
    breaker = Breaker(0)
    fail(breaker, 5)

    breaker.dropped(leave(breaker, 60))

    assert breaker.permit(60) is not None


@pytest.mark.parametrize("good", [True, False])
def test_results_of_an_older_state_are_ignored(*, good: bool) -> None:
    breaker = Breaker(0)
    late = leave(breaker, 0)
    fail(breaker, 5)
    trial = leave(breaker, 60)

    (breaker.succeeded if good else breaker.failed)(late, POLICY, 60)

    assert breaker.state.name == "HALF_OPEN"
    assert breaker.permit(60) is None
    breaker.succeeded(trial, POLICY, 61)
    breaker.succeeded(leave(breaker, 61), POLICY, 61)
    assert breaker.state.name == "CLOSED"
    fail(breaker, 4, 61)
    (breaker.succeeded if good else breaker.failed)(late, POLICY, 61)
    assert breaker.state.name == "CLOSED"
    fail(breaker, 1, 61)
    assert breaker.state.name == "OPEN"


class BreakerMachine(RuleBasedStateMachine):
    """Calls that begin, end well, end badly, or are dropped, in any order and at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.breaker = Breaker(0)
        self.under_way: list[Permit] = []
        self.opened_at = 0.0

    @rule(seconds=st.floats(0, 90))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def a_call_begins(self) -> None:
        was = self.breaker.state
        permit = self.breaker.permit(self.now)
        if was is State.OPEN and self.now < self.opened_at + POLICY.open_s:
            assert permit is None
        if was is State.CLOSED:
            assert permit is not None
        if permit:
            self.under_way.append(permit)

    @precondition(lambda self: self.under_way)
    @rule(number=st.integers(0, 50), how=st.sampled_from(["good", "bad", "dropped"]))
    def a_call_ends(self, number: int, how: str) -> None:
        permit = self.under_way.pop(number % len(self.under_way))
        before = (self.breaker.state, self.breaker.generation)
        if how == "good":
            self.breaker.succeeded(permit, POLICY, self.now)
        elif how == "bad":
            self.breaker.failed(permit, POLICY, self.now)
        else:
            self.breaker.dropped(permit)
        if self.breaker.state.name == "OPEN" and before[0] is not State.OPEN:
            assert how == "bad"
            self.opened_at = self.now
        if permit.generation != before[1]:
            assert (self.breaker.state, self.breaker.generation) == before

    @invariant()
    def at_most_one_trial_is_under_way(self) -> None:
        generation = self.breaker.generation
        assert sum(permit.is_trial and permit.generation == generation for permit in self.under_way) <= 1

    @invariant()
    def it_never_stays_shut_for_ever(self) -> None:
        trying = any(permit.is_trial and permit.generation == self.breaker.generation for permit in self.under_way)
        assert self.breaker.is_due(self.now + POLICY.open_s) or self.breaker.state.name == "CLOSED" or trying


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=200, stateful_step_count=40)
