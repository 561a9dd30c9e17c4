"""What the gateway costs a call, beside the least that any gateway on our stack costs (`make bench`).

    .venv/bin/python -m benchmarks.run                    under ten minutes; saved in benchmarks/results/
    … --peer litellm                                      with another gateway beside it (make bench PEER=litellm)
    … --quick                                             under two minutes: fewer rounds, SQLite alone
    … --only plain-64 --only cache                        these scenarios, and what their ratios are to
    … --save                                              keep the figures of these, too

Everything runs on loopback, in processes of its own and a temp folder. Figures hold for one machine at one time: only
the ratios of one run are to be compared. Afterwards the books must be exact to the call, the token and the
pico-dollar; otherwise it exits with 1. Targets are printed, never enforced. Linux alone has the clocks it reads.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import msgspec

from benchmarks import answers, course, results, rows, scenarios, table
from benchmarks.measure import BenchmarkError
from benchmarks.rounds import Pace, summaries
from benchmarks.scenarios import EVERY, PLAIN_64, Scenario
from benchmarks.stage import FLOOR, stage


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """`calls`: after how many the memory is taken."""

    pace: Pace
    starts: int
    calls: int
    with_postgresql: bool


FULL = Plan(pace=Pace(rounds=5, turns=3, warm_up_s=0.1, window_s=0.35), starts=3, calls=100_000, with_postgresql=True)
QUICK = Plan(pace=Pace(rounds=2, warm_up_s=0.1, window_s=0.3), starts=1, calls=0, with_postgresql=False)


def main() -> int:
    options = _options()
    chosen = [each for each in EVERY if each.name in options.only or each == PLAIN_64] if options.only else EVERY
    plan = QUICK if options.quick else FULL
    if options.only:
        plan = msgspec.structs.replace(plan, starts=1, calls=0)
    is_whole = not (options.quick or options.only)
    try:
        return _run(plan, chosen, peer=options.peer, save=options.save or is_whole)
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 1


def _run(plan: Plan, chosen: Sequence[Scenario], *, peer: str, save: bool) -> int:
    began = time.monotonic()
    with stage(with_postgresql=plan.with_postgresql, peer=peer) as set_up:
        found = course.start(set_up, plan.starts)
        course.measure(set_up, found, chosen, plan.pace, calls=plan.calls)
        names = [subject.name for subject in set_up.served]
        summed = summaries(found.tally, EVERY)
        lines = rows.rows(summed, found.lives, names, names[-1] if peer else "")
        print(_heading(plan))
        print(table.table(lines, names))
        if (PLAIN_64.name, FLOOR) in summed:  # the driver must cost little beside what it measures
            heavy = summed[PLAIN_64.name, FLOOR]
            print(f"\nThe driver took {heavy.driver_cpu_ms_per_call:.3f} ms of CPU a call.")
        print(f"It took {time.monotonic() - began:.0f} s.")
        if save:
            print(f"Saved as {results.save(lines, subjects=names, options=msgspec.to_builtins(plan))}")
        return 0 if course.books_are_exact(set_up, found) else 1


def _heading(plan: Plan) -> str:
    pace = plan.pace
    return (
        f"{results.machine()}. Medians of {pace.rounds} rounds of {pace.window_s:g} s and more, taken in turns; of "
        f"{pace.rounds * pace.turns} where a figure lies near its target.\n"
        "Calls come 64 at once unless said otherwise, streams 16. CPU is of the serving processes: one worker, unless "
        f"said otherwise.\nStreams have {answers.CHUNKS} chunks; paced ones {1000 * answers.PACE_S:g} ms apart. "
        "A worker has a core to itself; driver,\nupstream and database share the others, and two workers have all.\n"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, and SQLite alone")
    parser.add_argument("--only", action="append", default=[], choices=[each.name for each in scenarios.EVERY])
    parser.add_argument("--peer", default="", help="another gateway to measure beside: litellm")
    parser.add_argument("--save", action="store_true", help="keep the figures in benchmarks/results/")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
