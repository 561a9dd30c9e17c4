"""Whether a call costs more than it did: a short run's ratios beside those of `baseline.json` (`make bench-quick`).

    .venv/bin/python -m benchmarks.quick          under a minute, on SQLite; exits with 1 where a ratio has grown
    .venv/bin/python -m benchmarks.quick --keep   take today's ratios as the baseline (on a quiet machine)

The product's CPU to the floor's of the same minute, never times, so that it says the same on a slow machine and on a
busy one; with the data in memory, because how many calls share a commit, and so their CPU, hangs on the disk's speed.
A ratio that is beyond its margin is measured once more before it counts. The books must be exact here too.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from benchmarks import course, rows, scenarios
from benchmarks.figures import Row
from benchmarks.measure import BenchmarkError
from benchmarks.rounds import Pace, Tally, run_rounds, summaries
from benchmarks.scenarios import EVERY
from benchmarks.stage import FLOOR, SQLITE, Stage, stage

_BASELINE = Path(__file__).parent / "baseline.json"
_MARGIN = 1.35
_PACE = Pace(rounds=5, warm_up_s=0.08, window_s=0.2)
_CHOSEN = (
    *(scenarios.PLAIN_64, scenarios.ANTHROPIC_DOOR, scenarios.TO_ANTHROPIC, scenarios.SPEC_B),
    *(scenarios.SESSION, scenarios.CACHED, scenarios.FAILOVER_500, scenarios.EMBEDDINGS),
    *(scenarios.STREAM, scenarios.STREAM_ANTHROPIC_DOOR, scenarios.PACED, scenarios.LONG, scenarios.LARGE),
)
_CHUNK, _CALL = "cpu_us_per_chunk", "cpu_ms_per_call"


class Baseline(msgspec.Struct, frozen=True):
    """A ratio may be `margin` times what it was. Ratios by the row's key."""

    margin: float
    ratios: Mapping[str, float]


class Cost(msgspec.Struct, frozen=True):
    """A row's figure as a ratio to the floor: to its own kind of call, or to a plain one where it has none."""

    row: Row
    ratio: float

    def share(self, baseline: Baseline) -> float:
        """Of what it was; 1 for what is new."""
        was = baseline.ratios.get(self.row.key)
        return self.ratio / was if was else 1.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="take today's ratios as the baseline")
    keep = parser.parse_args().keep
    began = time.monotonic()
    try:
        with stage(with_postgresql=False, on_disk=False) as set_up:
            passed = _run(set_up, keep=keep)
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"It took {time.monotonic() - began:.0f} s.")
    return 0 if passed else 1


def _run(set_up: Stage, *, keep: bool) -> bool:
    found = course.start(set_up, starts=1)
    course.measure(set_up, found, _CHOSEN, _PACE, calls=0)
    measured = _costs(found.tally)
    if keep:
        _keep([*measured, *_again(set_up, found, measured)])
    baseline = msgspec.json.decode(_BASELINE.read_bytes(), type=Baseline)
    for cost in measured:
        print(_line(cost, baseline))
    grown = _grown(measured, baseline)
    if grown:
        print(f"Measured once more: {', '.join(cost.row.key for cost in grown)}")
        grown = _grown(_again(set_up, found, grown), baseline)
    for cost in grown:
        print(f"GROWN: {_line(cost, baseline)}")
    return course.books_are_exact(set_up, found) and not grown


def _keep(costs: Sequence[Cost]) -> None:
    """As the baseline: of two measurements of the same the dearer one."""
    ratios: dict[str, float] = {}
    for cost in costs:
        ratios[cost.row.key] = max(round(cost.ratio, 2), ratios.get(cost.row.key, 0.0))
    encoded = msgspec.json.encode(Baseline(_MARGIN, ratios))
    _BASELINE.write_bytes(msgspec.json.format(encoded, indent=2) + b"\n")


def _again(set_up: Stage, found: course.Run, grown: Sequence[Cost]) -> list[Cost]:
    """The same, from new rounds of the scenarios that they need."""
    needed = {name for cost in grown for name in cost.row.needs}
    second = Tally({}, found.tally.beside)
    chosen = [scenario for scenario in EVERY if scenario.name in needed | {scenarios.PLAIN_64.name}]
    run_rounds(set_up.driver, set_up.subjects, chosen, _PACE, second)
    for key, figures in second.results.items():
        found.tally.results[key] += figures
    keys = {cost.row.key for cost in grown}
    return [cost for cost in _costs(second) if cost.row.key in keys]


def _costs(tally: Tally) -> list[Cost]:
    summed = summaries(tally, EVERY)
    plain = summed[scenarios.PLAIN_64.name, FLOOR].cpu_ms_per_call
    costs = []
    for row in rows.rows(summed, {}, [SQLITE], ""):
        value = row.values.get(SQLITE)
        if value and row.key.endswith(_CALL):
            costs.append(Cost(row, value / (row.values.get(FLOOR) or plain)))
        elif value and row.key.endswith(_CHUNK) and row.against[SQLITE]:
            costs.append(Cost(row, value / row.against[SQLITE]))
    return costs


def _grown(costs: Sequence[Cost], baseline: Baseline) -> list[Cost]:
    return [cost for cost in costs if cost.share(baseline) > baseline.margin]


def _line(cost: Cost, baseline: Baseline) -> str:
    was = baseline.ratios.get(cost.row.key, 0.0)
    return f"{cost.row.title:68}{cost.ratio:8.2f} x   was {was:6.2f} x   {cost.share(baseline):5.0%}"


if __name__ == "__main__":
    sys.exit(main())
