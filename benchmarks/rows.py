"""The lines of the table: which figure of which scenario, to what its ratio is, and what it should reach."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from benchmarks import scenarios
from benchmarks.figures import Life, Row, Target
from benchmarks.rounds import Summary
from benchmarks.scenarios import Scenario
from benchmarks.stage import FLOOR, POSTGRESQL, SQLITE, UPSTREAM, WORKERS

PRODUCTS = (SQLITE, POSTGRESQL)
_CORES_FOR_TWO_WORKERS = 6  # two workers, database, Redis, upstream and driver: fewer are shared


def rows(
    found: Mapping[tuple[str, str], Summary], lives: Mapping[str, Life], subjects: Sequence[str], peer: str
) -> list[Row]:
    """`peer` "": none was measured."""
    sheet = _Sheet(found, subjects)
    lines = [*sheet.plain(), *sheet.scaled(), *sheet.kinds(), *sheet.streams(), *sheet.added(), *_lives(lives)]
    if peer:
        lines += sheet.beside(peer)
    return [row for row in lines if row.values]


class _Sheet:
    def __init__(self, found: Mapping[tuple[str, str], Summary], subjects: Sequence[str]) -> None:
        self._found = found
        self._subjects = subjects

    def plain(self) -> Iterator[Row]:
        """All of the heaviest, the cost and the speed of the others."""
        for scenario in (scenarios.PLAIN_1, scenarios.PLAIN_16, scenarios.PLAIN_64):
            is_full = scenario is scenarios.PLAIN_64
            target = Target(limits={SQLITE: 2.0, POSTGRESQL: 2.2}, of_ratio=True) if is_full else None
            yield self._cost(scenario, FLOOR, target)
            yield self._figure(scenario, "calls_per_s", "  calls a second", FLOOR)
            if is_full:
                yield self._figure(scenario, "p50_ms", "  latency p50, ms", FLOOR)
                yield self._figure(scenario, "p99_ms", "  latency p99, ms", FLOOR)
                yield self._figure(scenario, "database_cpu_ms_per_call", "  CPU of PostgreSQL, ms a call", "")

    def scaled(self) -> Iterator[Row]:
        """Two workers against one, on the same kind of database."""
        has_cores = (os.cpu_count() or 1) >= _CORES_FOR_TWO_WORKERS
        for scenario in (scenarios.PLAIN_16, scenarios.PLAIN_64, scenarios.STREAM):
            speeds = self._values(scenario, "calls_per_s")
            is_judged = has_cores and scenario is scenarios.PLAIN_64
            yield Row(
                key=f"{scenario.name}.scaled",
                title=f"{scenario.title}, 2 workers: calls a second",
                values={name: speed for name, speed in speeds.items() if name == WORKERS},
                against={WORKERS: speeds.get(POSTGRESQL, 0.0)},
                target=Target(limits={WORKERS: 1.8}, of_ratio=True, at_least=True) if is_judged else None,
            )

    def kinds(self) -> Iterator[Row]:
        """Calls that are not plain ones: those that have a floor of their own are held against it."""
        yield self._cost(scenarios.BUDGETED, scenarios.PLAIN_64)
        translated = Target(limits=dict.fromkeys(PRODUCTS, 1.3), of_ratio=True)
        for scenario in (scenarios.ANTHROPIC_DOOR, scenarios.TO_ANTHROPIC, scenarios.GEMINI_DOOR, scenarios.SPEC_B):
            yield self._cost(scenario, scenarios.PLAIN_64, translated)
        session = Target(limits=dict.fromkeys(PRODUCTS, 1.2), unit="ms")
        yield self._cost(scenarios.SESSION, scenarios.PLAIN_64, session)
        cached = Target(limits=dict.fromkeys(PRODUCTS, 0.6), of_ratio=True)
        yield self._cost(scenarios.CACHED, scenarios.PLAIN_64, cached)
        yield self._cost(scenarios.FAILOVER_500, scenarios.PLAIN_64)
        yield self._cost(scenarios.FAILOVER_REFUSED, scenarios.PLAIN_64)
        yield self._cost(scenarios.EMBEDDINGS, FLOOR)
        yield self._cost(scenarios.LARGE, FLOOR)

    def streams(self) -> Iterator[Row]:
        yield self._chunk(scenarios.STREAM, scenarios.STREAM)
        yield self._figure(scenarios.STREAM, "calls_per_s", "  streams a second", FLOOR)
        yield self._chunk(scenarios.STREAM_ANTHROPIC_DOOR, scenarios.STREAM)
        yield self._chunk(scenarios.STREAM_TO_ANTHROPIC, scenarios.STREAM)
        yield self._chunk(scenarios.PACED, scenarios.PACED, 1.5)
        yield self._chunk(scenarios.PACED_ANTHROPIC_DOOR, scenarios.PACED, 4.0)
        yield self._chunk(scenarios.PACED_TO_ANTHROPIC, scenarios.PACED, 4.0)
        yield self._chunk(scenarios.LONG, scenarios.LONG)
        yield self._chunk(scenarios.LONG_SLOW_READER, scenarios.LONG_SLOW_READER)

    def added(self) -> Iterator[Row]:
        for name, limit in (("p50_ms", 3.0), ("p99_ms", 6.0)):
            values = self._values(scenarios.RATE, name)
            direct = values.pop(UPSTREAM, 0.0)
            yield Row(
                key=f"rate.{name}_added",
                title=f"{scenarios.RATE.title}: {name[:3]} added, ms",
                values={each: value - direct for each, value in values.items()},
                target=Target(limits=dict.fromkeys(PRODUCTS, limit), unit="ms"),
            )

    def beside(self, peer: str) -> Iterator[Row]:
        """Calls a second, times the peer's."""
        for scenario in (scenarios.PLAIN_1, scenarios.PLAIN_16, scenarios.PLAIN_64, scenarios.EMBEDDINGS):
            speeds = self._values(scenario, "calls_per_s")
            target = Target(limits=dict.fromkeys(PRODUCTS, 50.0), of_ratio=True, at_least=True)
            yield Row(
                key=f"{scenario.name}.times_{peer.lower()}",
                title=f"{scenario.title}: calls a second, to {peer}'s",
                values=speeds,
                against=dict.fromkeys(self._subjects, speeds.get(peer, 0.0)),
                target=target if scenario is scenarios.PLAIN_64 else None,
            )

    def _cost(self, scenario: Scenario, base: str | Scenario, target: Target | None = None) -> Row:
        return self._figure(scenario, "cpu_ms_per_call", f"{scenario.title}: CPU, ms a call", base, target)

    def _chunk(self, scenario: Scenario, floor: Scenario, limit: float = 0.0) -> Row:
        """Against the floor's relay of untranslated streams."""
        base = self._values(floor, "cpu_us_per_chunk").get(FLOOR, 0.0)
        return Row(
            key=f"{scenario.name}.cpu_us_per_chunk",
            title=f"{scenario.title}: CPU, us a chunk",
            values=self._values(scenario, "cpu_us_per_chunk"),
            against=dict.fromkeys(self._subjects, base),
            target=Target(limits=dict.fromkeys(PRODUCTS, limit), of_ratio=True) if limit else None,
            needs=(scenario.name, floor.name),
        )

    def _figure(
        self, scenario: Scenario, name: str, title: str, base: str | Scenario, target: Target | None = None
    ) -> Row:
        """`base`: the subject, or the subject's own other scenario, to which the ratios are; "": none."""
        values = self._values(scenario, name)
        against: dict[str, float] = {}
        needs: tuple[str, ...] = (scenario.name,)
        if isinstance(base, Scenario):
            against, needs = self._values(base, name), (*needs, base.name)
        elif base in values:
            against = dict.fromkeys(self._subjects, values[base])
        key = f"{scenario.name}.{name}"
        return Row(key=key, title=title, values=values, against=against, target=target, needs=needs)

    def _values(self, scenario: Scenario, name: str) -> dict[str, float]:
        return {
            subject: getattr(summary, name)
            for (title, subject), summary in self._found.items()
            if title == scenario.name and getattr(summary, name)
        }


def _at_most(limit: float, unit: str) -> Target:
    """For each product."""
    return Target(limits=dict.fromkeys(PRODUCTS, limit), unit=unit)


def _lives(lives: Mapping[str, Life]) -> Iterator[Row]:
    def row(name: str, title: str, target: Target | None = None, *, to_idle: bool = False) -> Row:
        values = {subject: float(getattr(life, name)) for subject, life in lives.items() if getattr(life, name)}
        against = {subject: life.idle_mb for subject, life in lives.items()} if to_idle else {}
        return Row(key=f"life.{name}", title=title, values=values, against=against, target=target)

    yield row("start_up_s", "start-up to the first answer, s", _at_most(1.5, "s"))
    yield row("idle_mb", "memory idle, MB", _at_most(110, "MB"))
    grown = Target(limits=dict.fromkeys(PRODUCTS, 1.1), of_ratio=True)
    yield row("usual_mb", "memory after usual calls, MB (ratio: to idle)", grown, to_idle=True)
    yield row("calls", "  calls of each by then")
    yield row("heavy_mb", "memory after heavy calls too, MB (ratio: to idle)", to_idle=True)
    for scenario in scenarios.CROWDS:
        crowds = {
            subject: life.crowds[scenario.name] for subject, life in lives.items() if scenario.name in life.crowds
        }
        yield Row(
            key=f"{scenario.name}.threads",
            title=f"{scenario.title}: threads",
            values={subject: crowd.threads for subject, crowd in crowds.items()},
            target=_at_most(100, "threads"),
        )
        yield Row(
            key=f"{scenario.name}.failed",
            title="  calls of them that failed",
            values={subject: crowd.failed for subject, crowd in crowds.items()},
            target=_at_most(0, ""),
        )
