"""A day of outages, slow hours and limits (`benchmarks/simulated_day.py`): what failover is worth."""

from __future__ import annotations

import pytest

from benchmarks.simulated_day import TARGET, Day
from providers.specs import Strategy


@pytest.mark.parametrize("strategy", ["priority", "least_latency", "score"])
def test_calls_are_answered_while_any_provider_lives(strategy: Strategy) -> None:
    with_it = Day(strategy, seed=7, calls_per_second=0.3).run()
    without = Day(strategy, seed=7, calls_per_second=0.3, failover=False).run()

    assert with_it.share > TARGET > without.share
    assert with_it.dispatches < 1.05 * with_it.calls


def test_the_cheapest_costs_least_and_the_fastest_takes_least() -> None:
    cheap, fast = (Day(strategy, seed=7, calls_per_second=0.1).run() for strategy in ("least_cost", "least_latency"))

    assert cheap.cost_pico / cheap.answered < fast.cost_pico / fast.answered / 3
    assert sorted(fast.latency_ms)[fast.answered // 2] < sorted(cheap.latency_ms)[cheap.answered // 2] / 2
