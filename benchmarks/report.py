"""The figures as one table for people, and as JSON for later."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import scenarios
from benchmarks.measure import HERE
from benchmarks.scenarios import Summary

FLOOR, UPSTREAM = "floor", "upstream"
_TITLE_CHARS, _VALUE_CHARS, _RATIO_CHARS = 46, 11, 8


class Life(msgspec.Struct, kw_only=True):
    """A process's start-up in seconds, to its first answered call, and its resident memory in 10^6 bytes."""

    start_up_s: float = 0.0
    idle_mb: float = 0.0
    after_mb: float = 0.0


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of each subject that has it. `against`: what the ratios are to, None where they say nothing."""

    title: str
    values: Mapping[str, float]
    against: Mapping[str, float] | None = None
    target: str = ""


def rows(found: Mapping[tuple[str, str], Summary], lives: Mapping[str, Life], subjects: Sequence[str]) -> list[Row]:
    table = _Table(found, subjects)
    found_rows = [
        *table.plain(),
        *table.translated(),
        table.cached(),
        *table.streams(),
        *table.added(),
        *_lives(lives, subjects),
    ]
    return [row for row in found_rows if row.values]


class _Table:
    def __init__(self, found: Mapping[tuple[str, str], Summary], subjects: Sequence[str]) -> None:
        self._found = found
        self._subjects = subjects

    def plain(self) -> Iterator[Row]:
        for scenario in (scenarios.PLAIN_1, scenarios.PLAIN_16, scenarios.PLAIN_64):
            is_heavy = scenario is scenarios.PLAIN_64
            target = "<= 2.0 x, 2.2 x" if is_heavy else ""
            yield self._row(f"{scenario.title}: CPU, ms a call", scenario, "cpu_ms_per_call", target=target)
            yield self._row("  calls a second", scenario, "calls_per_s")
            yield self._row("  latency p50, ms", scenario, "p50_ms")
            yield self._row("  latency p99, ms", scenario, "p99_ms")
            if is_heavy:
                yield self._row("  CPU of PostgreSQL, ms a call", scenario, "database_cpu_ms_per_call", ratio=False)

    def translated(self) -> Iterator[Row]:
        yield Row(
            title=f"{scenarios.TRANSLATED.title}: CPU, ms a call",
            values=self._values(scenarios.TRANSLATED, "cpu_ms_per_call"),
            against=self._values(scenarios.PLAIN_16, "cpu_ms_per_call"),
            target="<= 1.3 x plain",
        )

    def cached(self) -> Row:
        return Row(
            title=f"{scenarios.CACHED.title}: CPU, ms a call",
            values=self._values(scenarios.CACHED, "cpu_ms_per_call"),
            against=self._values(scenarios.PLAIN_16, "cpu_ms_per_call"),
            target="<= 0.6 x plain",
        )

    def streams(self) -> Iterator[Row]:
        yield self._row(f"{scenarios.STREAM.title}: CPU, us a chunk", scenarios.STREAM, "cpu_us_per_chunk")
        yield self._row("  streams a second", scenarios.STREAM, "calls_per_s")
        paced = scenarios.PACED
        yield self._row(f"{paced.title}: CPU, us a chunk", paced, "cpu_us_per_chunk", target="<= 1.5 x")
        floor = self._values(paced, "cpu_us_per_chunk").get(FLOOR, 0.0)
        yield Row(
            title=f"{scenarios.TRANSLATED_PACED.title}: CPU, us a chunk",
            values=self._values(scenarios.TRANSLATED_PACED, "cpu_us_per_chunk"),
            against=dict.fromkeys(self._subjects, floor),
            target="<= 4 x",
        )

    def added(self) -> Iterator[Row]:
        slow = scenarios.SLOW
        for name, target in (("p50_ms", "<= 3 ms"), ("p99_ms", "<= 6 ms")):
            values = self._values(slow, name)
            direct = values.pop(UPSTREAM, 0.0)
            title = f"{slow.rate_per_s:g} calls a second: {name[:3]} added, ms"
            yield Row(title=title, values={each: value - direct for each, value in values.items()}, target=target)

    def _row(self, title: str, scenario: scenarios.Scenario, name: str, *, target: str = "", ratio: bool = True) -> Row:
        values = self._values(scenario, name)
        floor = values.get(FLOOR, 0.0)
        return Row(
            title=title, values=values, against=dict.fromkeys(self._subjects, floor) if ratio else None, target=target
        )

    def _values(self, scenario: scenarios.Scenario, name: str) -> dict[str, float]:
        return {
            subject: getattr(found, name)
            for (title, subject), found in self._found.items()
            if title == scenario.title and getattr(found, name)
        }


def _lives(lives: Mapping[str, Life], subjects: Sequence[str]) -> Iterator[Row]:
    shown = (("start-up to the first answer, s", "start_up_s", "<= 1.5 s"), ("memory idle, MB", "idle_mb", "<= 110 MB"))
    for title, name, target in shown:
        yield Row(title=title, values={each: getattr(lives[each], name) for each in subjects}, target=target)
    yield Row(
        title="memory after, MB (ratio: to idle)",
        values={each: lives[each].after_mb for each in subjects},
        against={each: lives[each].idle_mb for each in subjects},
        target="<= 1.1 x idle",
    )


def table(found: Sequence[Row], subjects: Sequence[str]) -> str:
    """The rows as text, a column for each subject and, but for the floor, one for its ratio."""
    head = f"{'':{_TITLE_CHARS}}" + "".join(_heading(subject) for subject in subjects) + "  target"
    lines = [head, "-" * len(head)]
    for row in found:
        cells = "".join(_cells(row, subject) for subject in subjects)
        lines.append(f"{row.title:{_TITLE_CHARS}}{cells}  {row.target}".rstrip())
    return "\n".join(lines)


def _heading(subject: str) -> str:
    return f"{subject:>{_VALUE_CHARS}}" + ("" if subject == FLOOR else f"{'ratio':>{_RATIO_CHARS}}")


def _cells(row: Row, subject: str) -> str:
    value = row.values.get(subject)
    cell = f"{'' if value is None else _number(value):>{_VALUE_CHARS}}"
    if subject == FLOOR:
        return cell
    base = (row.against or {}).get(subject)
    ratio = f"{value / base:.2f} x" if value is not None and base else ""
    return cell + f"{ratio:>{_RATIO_CHARS}}"


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3f}"


def save(found: Sequence[Row], *, options: Mapping[str, Any]) -> Path:
    """The rows with what they were measured on, in `results/`."""
    now = datetime.now(UTC)
    commit = _commit()
    path = HERE / "results" / f"{now:%Y%m%dT%H%M%SZ}-{commit[:8] or 'uncommitted'}.json"
    path.parent.mkdir(exist_ok=True)
    said = {
        "at": now.isoformat(timespec="seconds"),
        "commit": commit,
        "machine": {"cores": os.cpu_count(), "model": _processor(), "python": platform.python_version()},
        "options": dict(options),
        "figures": [msgspec.to_builtins(row) for row in found],
    }
    path.write_text(json.dumps(said, indent=1) + "\n")
    return path


def machine() -> str:
    return f"{os.cpu_count()} cores, {_processor()}, Python {platform.python_version()}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    """The commit with `+` where files differ from it; "" where there is none yet."""
    asked = ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
    done = subprocess.run(asked, cwd=HERE, capture_output=True, text=True, check=False)
    return done.stdout.strip()
