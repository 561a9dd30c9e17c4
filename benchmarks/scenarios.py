"""What is measured: which calls, how many at once, and how the rounds of each subject take turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median, quantiles
from typing import Literal

import msgspec

from benchmarks.driver import Figures, Load
from benchmarks.measure import BenchmarkError, Driver, Process, descendants, request
from benchmarks.upstream import CHUNKS, PACED_MODEL

_PROMPT = "Tell me, in one paragraph, why a benchmark that nobody reads is still worth running every night. " * 4
Door = Literal["openai", "anthropic"]


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """`rate_per_s` 0: as fast as the answers come. `cached`: all but the first call are told its answer.

    Floor and upstream speak OpenAI's dialect alone, and have no cache.
    """

    title: str
    connections: int
    door: Door = "openai"
    model: str = "fast"
    stream: bool = False
    rate_per_s: float = 0.0
    upstream_too: bool = False
    cached: bool = False


PLAIN_1 = Scenario(title="plain calls, 1 at once", connections=1)
PLAIN_16 = Scenario(title="plain calls, 16 at once", connections=16)
PLAIN_64 = Scenario(title="plain calls, 64 at once", connections=64)
TRANSLATED = Scenario(title="translated calls, 16 at once", connections=16, door="anthropic")
CACHED = Scenario(title="hits of the cache, 16 at once", connections=16, cached=True)
STREAM = Scenario(title="streams, 16 at once, unpaced", connections=16, stream=True)
PACED = Scenario(title="streams, 16 at once, paced", connections=16, stream=True, model=PACED_MODEL)
TRANSLATED_PACED = Scenario(
    title="translated streams, paced", connections=16, stream=True, model=PACED_MODEL, door="anthropic"
)
SLOW = Scenario(title="plain calls at a low rate", connections=16, rate_per_s=100, upstream_too=True)
ALL = (PLAIN_1, PLAIN_16, PLAIN_64, TRANSLATED, CACHED, STREAM, PACED, TRANSLATED_PACED, SLOW)


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """A server to be measured. `doors` are the requests it takes; `database_pid` 0: it has none of its own."""

    name: str
    process: Process
    key: str = "none"
    doors: tuple[Door, ...] = ("openai",)
    is_upstream: bool = False
    database_pid: int = 0

    def takes(self, scenario: Scenario) -> bool:
        has_door = scenario.door in self.doors and ("anthropic" in self.doors or not scenario.cached)
        return has_door and (scenario.upstream_too or not self.is_upstream)


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Medians of the rounds; the percentiles are of all rounds' calls together. CPU is of the serving process."""

    calls: int
    calls_per_s: float
    cpu_ms_per_call: float
    database_cpu_ms_per_call: float
    cpu_us_per_chunk: float
    p50_ms: float
    p99_ms: float
    driver_cpu_ms_per_call: float


Results = dict[tuple[str, str], list[Figures]]


def run_rounds(
    driver: Driver,
    subjects: Sequence[Subject],
    *,
    scenarios: Sequence[Scenario] = ALL,
    rounds: int,
    warm_up_s: float,
    window_s: float,
) -> Results:
    """The figures by (scenario's title, subject's name). The subjects take turns, and the first turn too goes round."""
    results: Results = {}
    for scenario in scenarios:
        takers = [subject for subject in subjects if subject.takes(scenario)]
        for number in range(rounds):
            turn = number % len(takers)
            for subject in takers[turn:] + takers[:turn]:
                load = load_of(scenario, subject, warm_up_s=warm_up_s, window_s=window_s)
                results.setdefault((scenario.title, subject.name), []).append(figures_of(driver, subject, load))
    return results


def figures_of(driver: Driver, subject: Subject, load: Load) -> Figures:
    """What the driver found. Raises `BenchmarkError`, with the end of the server's log, where a call failed."""
    try:
        return driver.run(load)
    except BenchmarkError as error:
        raise BenchmarkError(f"{subject.name}: {error}\n{subject.process.last_words()}") from None


def load_of(scenario: Scenario, subject: Subject, *, warm_up_s: float, window_s: float) -> Load:
    database = [subject.database_pid, *descendants(subject.database_pid)] if subject.database_pid else []
    return Load(
        port=subject.process.port,
        request=_request(scenario, subject.key),
        connections=scenario.connections,
        rate_per_s=scenario.rate_per_s,
        warm_up_s=warm_up_s,
        window_s=window_s,
        clocks=(subject.process.pid, *database),
    )


def _request(scenario: Scenario, key: str) -> str:
    body: dict[str, object] = {
        "model": scenario.model,
        "messages": [{"role": "user", "content": _PROMPT}],
        "max_tokens": 256,
    }
    if scenario.cached:
        body["temperature"] = 0
    if scenario.stream:
        body["stream"] = True
    if scenario.door == "anthropic":
        return request("/v1/messages", body, key=key)
    if scenario.stream:
        body["stream_options"] = {"include_usage": True}
    return request("/v1/chat/completions", body, key=key)


def summary(rounds: Sequence[Figures]) -> Summary:
    """A round in which nothing was answered counts for the speed, and cannot for the cost of a call."""
    counted = [(figures, calls) for figures in rounds if (calls := _calls(figures))]
    if not counted:
        raise BenchmarkError("a server has answered nothing in any round: give it a quieter machine")
    latencies = [latency for figures in rounds for latency in figures.latencies_ms]
    cuts = quantiles(latencies, n=100, method="inclusive") if len(latencies) > 1 else [0.0] * 99
    return Summary(
        calls=sum(figures.answered for figures in rounds),
        calls_per_s=median(_calls(figures) / figures.window_s for figures in rounds),
        cpu_ms_per_call=median(1000 * figures.cpu_s[0] / calls for figures, calls in counted),
        database_cpu_ms_per_call=median(1000 * sum(figures.cpu_s[1:]) / calls for figures, calls in counted),
        cpu_us_per_chunk=median(1e6 * figures.cpu_s[0] / calls / CHUNKS for figures, calls in counted),
        p50_ms=cuts[49],
        p99_ms=cuts[98],
        driver_cpu_ms_per_call=median(1000 * figures.own_cpu_s / calls for figures, calls in counted),
    )


def _calls(figures: Figures) -> float:
    """Calls in the window; of streams, by the part of all their events that fell into it."""
    if figures.events:
        return figures.answered * figures.window_events / figures.events
    return float(len(figures.latencies_ms))


def summaries(results: Results) -> Mapping[tuple[str, str], Summary]:
    return {key: summary(rounds) for key, rounds in results.items()}


def answered(results: Results, subject: str) -> int:
    """All calls that `subject` has answered, in windows and out of them."""
    return sum(figures.answered for (_, name), rounds in results.items() if name == subject for figures in rounds)
