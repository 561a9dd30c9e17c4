"""The course of a benchmark: start everybody, take the rounds, weigh the processes, and prove the books."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from statistics import median

import msgspec

from benchmarks import books, scenarios
from benchmarks.figures import Crowd, Life
from benchmarks.measure import Driver
from benchmarks.rounds import Pace, Subject, Tally, run, run_rounds
from benchmarks.scenarios import CROWDS, PLAIN_1, PLAIN_64, Scenario
from benchmarks.stage import Stage

_CROWD_WARM_UP_S, _CROWD_WINDOW_S = 2.0, 0.5  # the window closes before the first slow answer
_TOP_UP_S = 2.0  # of each window in which calls are made up to a number


class Run(msgspec.Struct, frozen=True):
    """What has been found so far."""

    tally: Tally
    lives: Mapping[str, Life]


def start(stage: Stage, starts: int) -> Run:
    """Start each so many times, the last time for good."""
    found = Run(Tally({}, {}), {subject.name: Life() for subject in stage.served})
    times: dict[str, list[float]] = {subject.name: [] for subject in stage.served}
    for number in range(starts):
        for subject in stage.served:
            began = time.perf_counter()
            subject.process.start()
            # A window of no length: one call, and whatever else the connection makes until it is told to end.
            figures = run(stage.driver, subject, subject.load(PLAIN_1, warm_up_s=0, window_s=0))
            times[subject.name].append(time.perf_counter() - began)
            found.tally.note(PLAIN_1, subject, figures)
            if number + 1 < starts:
                subject.process.stop()
    for subject in stage.served:
        life = found.lives[subject.name]
        life.start_up_s, life.idle_mb = median(times[subject.name]), subject.process.memory_mb()
    return found


def measure(stage: Stage, found: Run, chosen: Sequence[Scenario], pace: Pace, *, calls: int) -> None:
    """The usual calls, and more of them up to so many `calls`; then the heavy ones, and the crowds."""
    usual = [scenario for scenario in scenarios.USUAL if scenario in chosen]
    heavy = [scenario for scenario in scenarios.HEAVY if scenario in chosen]
    run_rounds(stage.driver, stage.subjects, usual, pace, found.tally)
    for subject in stage.served:
        life = found.lives[subject.name]
        if subject.kind == "product":
            _top_up(stage.driver, subject, found, calls)
        life.calls, life.usual_mb = sum(found.tally.calls(subject.name).values()), subject.process.memory_mb()
    run_rounds(stage.driver, stage.subjects, heavy, pace, found.tally)
    for scenario in CROWDS:
        if scenario in chosen:
            _crowd(stage, scenario, found)
    for subject in stage.served:
        found.lives[subject.name].heavy_mb = subject.process.memory_mb()


def _top_up(driver: Driver, subject: Subject, found: Run, calls: int) -> None:
    while sum(found.tally.calls(subject.name).values()) < calls:
        figures = run(driver, subject, subject.load(PLAIN_64, warm_up_s=0, window_s=_TOP_UP_S))
        found.tally.note(PLAIN_64, subject, figures)


def _crowd(stage: Stage, scenario: Scenario, found: Run) -> None:
    for subject in stage.subjects:
        if not subject.takes(scenario):
            continue
        load = subject.load(scenario, warm_up_s=_CROWD_WARM_UP_S, window_s=_CROWD_WINDOW_S)
        figures = stage.driver.run(load)
        found.tally.note(scenario, subject, figures)
        crowd = Crowd(threads=figures.threads, failed=figures.failed)
        found.lives[subject.name].crowds[scenario.name] = crowd


def books_are_exact(stage: Stage, found: Run) -> bool:
    """Print each installation's books beside what they must be."""
    exact = True
    for name, installation in stage.installations.items():
        are = books.found(installation.query)
        should = books.expected(found.tally.calls(name), scenarios.EVERY, cached=are.cached)
        exact = exact and are == should
        verdict = "exact" if are == should else f"WRONG, they are {are} and should be {should}"
        print(
            f"Books on {name}: {are.records:,} records ({are.failed:,} of failed attempts, {are.cached:,} cached), "
            f"{are.holds} holds left, {are.input_tokens:,} + {are.output_tokens:,} tokens, "
            f"${are.cost_pico / 1e12:,.6f}: {verdict}."
        )
    return exact
