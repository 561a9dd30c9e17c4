"""Waits before a retry, and how many there may be."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from providers.resilience.retry import FLOOR, MOST_WAIT_S, SHARE, RetryBudget, backoff_s


@given(st.floats(0, 10), st.integers(1, 9), st.integers())
def test_the_wait_is_anything_up_to_a_bound_that_doubles(delay_s: float, number: int, seed: int) -> None:
    wait = backoff_s(delay_s, number, Random(seed))

    assert 0 <= wait <= min(delay_s * 2 ** (number - 1), MOST_WAIT_S)


def test_waits_are_spread_over_their_whole_range() -> None:
    rng = Random(0)
    waits = [backoff_s(1, 3, rng) for _ in range(2_000)]

    assert min(waits) < 0.1
    assert max(waits) > 3.9
    assert 1.9 < sum(waits) / len(waits) < 2.1


@given(st.lists(st.sampled_from(["call", "retry"]), max_size=500))
def test_retries_are_a_fifth_of_the_calls_and_a_floor(events: list[str]) -> None:
    budget, taken = RetryBudget(0), 0
    for event in events:
        if event == "call":
            budget.earn()
        else:
            taken += budget.take(0)

    assert taken <= SHARE * events.count("call") + FLOOR + 1e-6


def test_the_floor_comes_back_with_time() -> None:
    budget = RetryBudget(0)
    while budget.take(0):
        pass

    assert not budget.take(0.5)
    assert budget.take(1.5)
    assert not budget.take(1.6)


def test_what_was_saved_is_bounded() -> None:
    budget = RetryBudget(0)
    for _ in range(100_000):
        budget.earn()

    assert sum(budget.take(0) for _ in range(1_000)) == 100
