"""The rounds in which the subjects take turns, and what comes out of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median, quantiles

import msgspec

from benchmarks.calls import Identity
from benchmarks.loads import Figures, Load
from benchmarks.measure import BenchmarkError, Driver, Process, with_descendants
from benchmarks.scenarios import Kind, Scenario


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """A server to be measured. `database_pid` 0: it has none of its own. `patience`: times the plan's windows."""

    name: str
    kind: Kind
    process: Process
    who: Identity = Identity()
    database_pid: int = 0
    patience: float = 1.0

    def takes(self, scenario: Scenario) -> bool:
        return self.kind == "product" or self.kind in scenario.beside

    def load(self, scenario: Scenario, *, warm_up_s: float, window_s: float) -> Load:
        return Load(
            port=self.process.port,
            request=scenario.request(self.who),
            connections=scenario.connections,
            rate_per_s=scenario.rate_per_s,
            pause_s=scenario.pause_s,
            warm_up_s=warm_up_s * self.patience,
            window_s=window_s * self.patience * scenario.length,
            serving=self.process.pids,
            database=with_descendants(self.database_pid) if self.database_pid else (),
        )


class Tally(msgspec.Struct, frozen=True):
    """Figures, and calls made `beside` the rounds, both by (scenario's name, subject's name)."""

    results: dict[tuple[str, str], list[Figures]]
    beside: dict[tuple[str, str], int]

    def note(self, scenario: Scenario, subject: Subject, figures: Figures) -> None:
        """Its calls, for the books, and nothing else of it."""
        key = scenario.name, subject.name
        self.beside[key] = self.beside.get(key, 0) + figures.answered

    def calls(self, subject: str) -> dict[str, int]:
        """All that `subject` has answered, in windows and out of them, by the scenario's name."""
        counted = Counter({name: calls for (name, of), calls in self.beside.items() if of == subject})
        for (name, of), rounds in self.results.items():
            if of == subject:
                counted[name] += sum(figures.answered for figures in rounds)
        return counted


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How often, and how long each time. `turns`: in a round, of the scenarios whose figures lie near their targets."""

    rounds: int
    turns: int = 1
    warm_up_s: float
    window_s: float


def run_rounds(
    driver: Driver, subjects: Sequence[Subject], scenarios: Sequence[Scenario], pace: Pace, tally: Tally
) -> None:
    """Each round goes through all scenarios, so that what drifts meanwhile, as the disk's speed does, meets all alike.

    The subjects take turns, and the first turn too goes round. Each has its first calls of a kind untimed.
    """
    takers = {scenario: [each for each in subjects if each.takes(scenario)] for scenario in scenarios}
    for scenario, taking in takers.items():
        for subject in taking:
            tally.note(scenario, subject, run(driver, subject, subject.load(scenario, warm_up_s=0, window_s=0)))
    close = [scenario for scenario in takers if scenario.is_close]
    others = [scenario for scenario in takers if not scenario.is_close]
    for scenario in (close * pace.turns + others) * pace.rounds:
        for subject in takers[scenario]:
            load = subject.load(scenario, warm_up_s=pace.warm_up_s, window_s=pace.window_s)
            tally.results.setdefault((scenario.name, subject.name), []).append(run(driver, subject, load))
        takers[scenario].append(takers[scenario].pop(0))


def run(driver: Driver, subject: Subject, load: Load) -> Figures:
    """What the driver found. Raises `BenchmarkError`, with the end of the server's log, where a call failed."""
    figures = driver.run(load)
    if figures.failed:
        told = f"{figures.failed} calls failed, the first with: {figures.failure}"
        raise BenchmarkError(f"{subject.name}: {told}\n{subject.process.last_words()}")
    return figures


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Medians of the rounds; the percentiles are of all rounds' calls together. CPU is of the serving processes."""

    calls_per_s: float
    cpu_ms_per_call: float
    database_cpu_ms_per_call: float
    cpu_us_per_chunk: float
    p50_ms: float
    p99_ms: float
    driver_cpu_ms_per_call: float
    threads: int


def summaries(tally: Tally, scenarios: Sequence[Scenario]) -> Mapping[tuple[str, str], Summary]:
    by_name = {scenario.name: scenario for scenario in scenarios}
    return {(name, subject): _summary(by_name[name], rounds) for (name, subject), rounds in tally.results.items()}


def _summary(scenario: Scenario, rounds: Sequence[Figures]) -> Summary:
    """A round in which nothing was answered counts for the speed, and cannot for the cost of a call."""
    counted = [(figures, calls) for figures in rounds if (calls := _calls(figures))]
    if not counted:
        raise BenchmarkError(f"{scenario.name}: nothing was answered in any round: give it a quieter machine")
    latencies = [latency for figures in rounds for latency in figures.latencies_ms]
    cuts = quantiles(latencies, n=100, method="inclusive") if len(latencies) > 1 else [0.0] * 99
    cpu_ms = median(1000 * figures.serving_cpu_s / calls for figures, calls in counted)
    return Summary(
        calls_per_s=median(_calls(figures) / figures.window_s for figures in rounds),
        cpu_ms_per_call=cpu_ms,
        database_cpu_ms_per_call=median(1000 * figures.database_cpu_s / calls for figures, calls in counted),
        cpu_us_per_chunk=1000 * cpu_ms / scenario.chunks,
        p50_ms=cuts[49],
        p99_ms=cuts[98],
        driver_cpu_ms_per_call=median(1000 * figures.own_cpu_s / calls for figures, calls in counted),
        threads=max(figures.threads for figures in rounds),
    )


def _calls(figures: Figures) -> float:
    """Calls in the window; of streams, by the part of all their events that fell into it."""
    if figures.events:
        return figures.answered * figures.window_events / figures.events
    return float(len(figures.latencies_ms))
