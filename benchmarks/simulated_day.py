"""A day of three providers in trouble, played in seconds through the code that decides (no sockets, no sleeping).

    .venv/bin/python benchmarks/simulated_day.py [--seed 7] [--calls-per-second 2]

Each provider has outages, some of which overlap, slow hours, a limit of calls a minute, and now and then a lone
failure; once all three are dead together. Calls come at random, more by day than by night, each with a patience of a
minute. Every strategy lives the same day. It exits with 1 where, with failover, fewer than 99.9% of the calls that came
while some provider lived were answered.
"""

from __future__ import annotations

import argparse
import heapq
import math
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import get_args
from uuid import UUID

import msgspec

sys.path.append(str(Path(__file__).parent.parent))

from core.vault import Secret
from providers import routing
from providers.errors import ProviderFailureError, RateLimitedError, TimedOutError, UpstreamError
from providers.resilience.board import Board
from providers.resilience.outlook import BoardOutlook
from providers.resilience.tour import Go, Stop, Tour
from providers.specs import (
    CredentialSpec,
    DeploymentSpec,
    ProviderSpec,
    RouteSpec,
    Strategy,
    TargetSpec,
    Topology,
)
from usage.pricing import ListPrice, cost, timeline
from wire.neutral import Usage

DAY_S = 86_400.0
PATIENCE_S = 60.0
GIVES_UP_S = 20.0  # after so long a provider that hangs is taken to have timed out
TARGET = 0.999
_MORNING = datetime(2026, 1, 1, tzinfo=UTC)
_INPUT_TOKENS, _OUTPUT_TOKENS = 800, 300


class Trouble(msgspec.Struct, frozen=True):
    """From `start` to `end`: errors at once (`dead`), no answer in time (`hangs`), or answers `slower` times slower."""

    start: float
    end: float
    kind: str
    slower: float = 1.0


class World(msgspec.Struct, frozen=True):
    """A provider as it is: nobody in the platform knows it."""

    deployment: DeploymentSpec
    median_ms: float
    troubles: tuple[Trouble, ...]
    calls_per_minute: int

    def trouble(self, now: float) -> Trouble | None:
        return next((each for each in self.troubles if each.start <= now < each.end), None)

    def lives(self, now: float) -> bool:
        found = self.trouble(now)
        return found is None or found.kind == "slow"


class Figures(msgspec.Struct):
    """Of one strategy's day."""

    calls: int = 0
    answered: int = 0
    possible: int = 0  # came while some provider lived
    answered_of_possible: int = 0
    dispatches: int = 0
    added_ms: list[float] = []
    latency_ms: list[float] = []
    cost_pico: int = 0

    @property
    def share(self) -> float:
        return self.answered_of_possible / self.possible


def worlds(seed: int) -> list[World]:
    rng = Random(f"{seed} troubles")
    night = Trouble(4 * 3_600.0, 4 * 3_600.0 + 300, "dead")  # all three
    rates = {
        "swift": ("5.00", "15.00", 600.0),
        "steady": ("2.50", "10.00", 1_100.0),
        "thrifty": ("0.50", "1.50", 2_000.0),
    }
    return [
        World(
            _deployment(number, name, input_usd, output_usd),
            median_ms,
            (night, *_troubles(rng)),
            calls_per_minute={"swift": 200, "steady": 400, "thrifty": 300}[name],
        )
        for number, (name, (input_usd, output_usd, median_ms)) in enumerate(rates.items(), 1)
    ]


def _troubles(rng: Random) -> Iterator[Trouble]:
    """Four outages of one to forty minutes, and two slow hours."""
    for _ in range(4):
        start = rng.uniform(0, DAY_S)
        yield Trouble(start, start + rng.uniform(60, 2_400), rng.choice(["dead", "hangs"]))
    for _ in range(2):
        start = rng.uniform(0, DAY_S)
        yield Trouble(start, start + 3_600, "slow", slower=rng.uniform(2, 4))


def _deployment(number: int, name: str, input_usd: str, output_usd: str) -> DeploymentSpec:
    price = ListPrice(
        price_id=UUID(int=number),
        valid_from=_MORNING,
        input_per_million=Decimal(input_usd),
        output_per_million=Decimal(output_usd),
    )
    provider = ProviderSpec(
        id=UUID(int=number),
        slug=name,
        kind="custom",
        address="",
        organization="",
        priority=10,
        weight=1,
        connect_timeout_s=5,
        first_token_timeout_s=GIVES_UP_S,
        between_chunks_timeout_s=GIVES_UP_S,
        timeout_s=PATIENCE_S,
        drains=True,
        credentials=(CredentialSpec(UUID(int=number), "main", Secret(f"sk-{name}")),),
    )
    return DeploymentSpec(
        id=UUID(int=number),
        name=name,
        model=name,
        type="chat",
        provider=provider,
        max_output_tokens=None,
        defaults={},
        prices=timeline([price], []),
    )


class Day:
    """One strategy's day: an event at a time, each at its moment."""

    def __init__(self, strategy: Strategy, seed: int, calls_per_second: float, *, failover: bool = True) -> None:
        self.figures = Figures()
        self._failover = failover
        self._worlds = {world.deployment.id: world for world in worlds(seed)}
        self._rng = Random(f"{seed} calls")
        self._luck = Random(f"{seed} luck {strategy}")
        self._rate = calls_per_second
        self._board = Board(Random(f"{seed} board"))
        deployments = tuple(world.deployment for world in self._worlds.values())
        self._topology = Topology(
            names={"smart": tuple(TargetSpec(each, 10, 1) for each in deployments)},
            deployments=deployments,
            routes=("smart",),
            catch_all=None,
            sharing={"smart": RouteSpec("smart", strategy)},
        )
        self._minutes: dict[tuple[UUID, int], int] = {}
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._numbers = 0

    def run(self) -> Figures:
        self.at(0.0, self._arrive)
        while self._events:
            now, _, happen = heapq.heappop(self._events)
            happen(now)
        return self.figures

    def at(self, when: float, happen: Callable[[float], None]) -> None:
        self._numbers += 1
        heapq.heappush(self._events, (when, self._numbers, happen))

    def _arrive(self, now: float) -> None:
        """A call; and the next one, sooner by day."""
        busy = 1 + 0.6 * math.sin(2 * math.pi * (now / DAY_S - 0.25))
        then = now + self._rng.expovariate(self._rate * busy)
        if then < DAY_S:
            self.at(then, self._arrive)
        self.figures.calls += 1
        _Call(self, now).go_on(now)

    def candidates(self, now: float) -> list[DeploymentSpec]:
        outlook = BoardOutlook(self._board, now, _MORNING, _INPUT_TOKENS)
        choices = routing.candidates(self._topology, model="smart", kind="chat", outlook=outlook)
        return [choice.deployment for choice in choices][: None if self._failover else 1]

    def tour(self, candidates: list[DeploymentSpec], now: float) -> Tour:
        return Tour(self._board, candidates, deadline=now + PATIENCE_S)

    def lives(self, now: float) -> bool:
        return any(world.lives(now) for world in self._worlds.values())

    def ask(self, go: Go, now: float) -> tuple[float, ProviderFailureError | None]:
        """How long the dispatch takes, in seconds, and how it fails, if it does."""
        self.figures.dispatches += 1
        world = self._worlds[go.leave.deployment.id]
        trouble = world.trouble(now)
        minute = (go.leave.deployment.id, int(now // 60))
        self._minutes[minute] = self._minutes.get(minute, 0) + 1
        if trouble and trouble.kind == "dead":
            return 0.05, UpstreamError("dead", status=503)
        if self._minutes[minute] > world.calls_per_minute:
            return 0.05, RateLimitedError("slowly", status=429, retry_after_s=60 - now % 60)
        if self._luck.random() < 0.003:
            return 0.2, UpstreamError("a lone failure", status=500)
        took_s = world.median_ms / 1000 * self._luck.lognormvariate(0, 0.4) * (trouble.slower if trouble else 1)
        if (trouble and trouble.kind == "hangs") or took_s > GIVES_UP_S:
            return GIVES_UP_S, TimedOutError("no answer in time")
        return took_s, None

    def answered(self, go: Go, call: _Call, took_s: float, now: float) -> None:
        self._board.answered(go.leave, took_s * 1000, now)
        figures, deployment = self.figures, go.leave.deployment
        usage = Usage(input_tokens=_INPUT_TOKENS, output_tokens=_OUTPUT_TOKENS)
        figures.cost_pico += cost(deployment.prices[0], usage).total_pico
        figures.answered += 1
        figures.latency_ms.append((now - call.came_at) * 1000)
        figures.added_ms.append((now - took_s - call.came_at) * 1000)


class _Call:
    """A call under way."""

    def __init__(self, day: Day, now: float) -> None:
        self.came_at = now
        self._day = day
        self._tour = day.tour(day.candidates(now), now)
        self._possible = day.lives(now)
        day.figures.possible += self._possible

    def go_on(self, now: float) -> None:
        step = self._tour.next(now)
        if isinstance(step, Stop):
            return
        if not isinstance(step, Go):
            self._day.at(now + step.seconds, self.go_on)
            return
        took_s, failure = self._day.ask(step, now)
        self._day.at(now + took_s, lambda then: self._end(step, took_s, failure, then))

    def _end(self, go: Go, took_s: float, failure: ProviderFailureError | None, now: float) -> None:
        if failure is None:
            self._day.answered(go, self, took_s, now)
            self._day.figures.answered_of_possible += self._possible
            return
        self._tour.failed(go, failure, now)
        self.go_on(now)


def _line(name: str, figures: Figures) -> str:
    added, latency = sorted(figures.added_ms), sorted(figures.latency_ms)
    return (
        f"{name:<16}{figures.share:>10.4%}{figures.answered / figures.calls:>10.3%}"
        f"{_at(added, 0.99):>9.0f}{_at(added, 0.999):>9.0f}{_at(latency, 0.5):>9.0f}{_at(latency, 0.99):>9.0f}"
        f"{figures.dispatches / figures.calls:>9.3f}{figures.cost_pico / 1e12 / figures.answered * 1000:>10.3f}"
    )


def _at(ordered: list[float], share: float) -> float:
    return ordered[int(share * (len(ordered) - 1))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--calls-per-second", type=float, default=2.0)
    asked = parser.parse_args()
    print(f"seed {asked.seed}, {asked.calls_per_second:g} calls a second; times in ms\n")
    print("                 while any              added             whole          sent per $ per 1000")
    print("strategy             lives    of all      p99    p99.9      p50      p99     call    answers")
    worst = 1.0
    for strategy in get_args(Strategy):
        figures = Day(strategy, asked.seed, asked.calls_per_second).run()
        worst = min(worst, figures.share)
        print(_line(strategy, figures))
    print(_line("(no failover)", Day("weighted", asked.seed, asked.calls_per_second, failover=False).run()))
    print(f"\nwith failover at least {worst:.4%} were answered while any provider lived (target: {TARGET:.1%})")
    return 0 if worst > TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
