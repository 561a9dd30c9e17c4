"""What the gateway costs a call, beside the least that any gateway on our stack costs (`make bench`).

    .venv/bin/python benchmarks/run.py            under three minutes: SQLite, and PostgreSQL with Redis
    .venv/bin/python benchmarks/run.py --quick    under 45 seconds: SQLite alone
    … --save                                      keep the figures in benchmarks/results/

Everything runs on loopback, in processes of its own and a temp folder. Figures hold for one machine at one time: only
the ratios of one run are to be compared. Afterwards the books must be exact to the call, the token and the
pico-dollar; otherwise it exits with 1. Targets are printed, never enforced. Linux alone has the clocks it reads.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

import msgspec

sys.path.append(str(Path(__file__).parent.parent))

from benchmarks import product, report, scenarios
from benchmarks.measure import HERE, BenchmarkError, Driver, Process, free_port, uvicorn
from benchmarks.product import ROOT, Installation
from benchmarks.report import FLOOR, UPSTREAM, Life
from benchmarks.scenarios import PLAIN_1, Results, Subject

SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"
_PACE_MS = 10.0


class Plan(msgspec.Struct, frozen=True):
    """How long, and how often."""

    rounds: int
    warm_up_s: float
    window_s: float
    starts: int
    with_postgresql: bool


FULL = Plan(rounds=5, warm_up_s=0.2, window_s=0.6, starts=3, with_postgresql=True)
QUICK = Plan(rounds=2, warm_up_s=0.15, window_s=0.4, starts=1, with_postgresql=False)


def main() -> int:
    options = _options()
    plan = QUICK if options.quick else FULL
    try:
        return _run(plan, save=options.save)
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 1


def _run(plan: Plan, *, save: bool) -> int:
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aip-bench-")))
        upstream = stack.enter_context(_upstream(folder))
        driver = Driver()
        stack.callback(driver.stop)
        installations, database_pid = _install(stack, folder, upstream, plan)
        subjects = _subjects(folder, upstream, installations, database_pid)
        served = [subject for subject in subjects if not subject.is_upstream]
        for subject in served:
            stack.callback(subject.process.stop)

        lives, first_calls = _start(driver, served, plan.starts)
        results = scenarios.run_rounds(
            driver, subjects, rounds=plan.rounds, warm_up_s=plan.warm_up_s, window_s=plan.window_s
        )
        for subject in served:
            lives[subject.name].after_mb = subject.process.memory_mb()
        names = [subject.name for subject in served]
        rows = report.rows(scenarios.summaries(results), lives, names)
        print(_heading(plan))
        print(report.table(rows, names))
        print(f"\n{_load_note(results)} It took {time.monotonic() - began:.0f} s.")
        if save:
            print(f"Saved as {report.save(rows, options=msgspec.to_builtins(plan))}")
        return 0 if _books_are_exact(installations, results, first_calls) else 1


def _install(
    stack: contextlib.ExitStack, folder: Path, upstream: Process, plan: Plan
) -> tuple[dict[str, Installation], int]:
    """The installations by name, and PostgreSQL's pid (0: not there)."""
    address = f"http://127.0.0.1:{upstream.port}/v1"
    installations = {SQLITE: product.on_sqlite(folder / "sqlite", address)}
    if not plan.with_postgresql:
        return installations, 0
    found = stack.enter_context(product.on_postgresql(folder / "postgresql", address))
    if found is None:
        print("PostgreSQL and Redis are not measured: `make test` brings them.")
        return installations, 0
    installations[POSTGRESQL], database_pid = found
    return installations, database_pid


def _subjects(
    folder: Path, upstream: Process, installations: Mapping[str, Installation], database_pid: int
) -> list[Subject]:
    address = f"http://127.0.0.1:{upstream.port}/v1"
    floor = uvicorn("benchmarks.floor:application", cwd=ROOT, env={"UPSTREAM": address}, log=folder / "floor.log")
    subjects = [
        Subject(name=UPSTREAM, process=upstream, is_upstream=True),
        Subject(name=FLOOR, process=floor),
    ]
    for name, installation in installations.items():
        subjects.append(
            Subject(
                name=name,
                process=installation.process,
                key=installation.key,
                doors=("openai", "anthropic"),
                database_pid=database_pid if name == POSTGRESQL else 0,
            )
        )
    return subjects


def _start(driver: Driver, served: Sequence[Subject], starts: int) -> tuple[dict[str, Life], dict[str, int]]:
    """Start each so many times, the last time for good. Their start-up, and how many calls that took."""
    times: dict[str, list[float]] = {subject.name: [] for subject in served}
    calls = dict.fromkeys(times, 0)
    for number in range(starts):
        for subject in served:
            began = time.perf_counter()
            subject.process.start()
            # A window of no length: one call, and whatever else the connection makes until it is told to end.
            figures = scenarios.figures_of(
                driver, subject, scenarios.load_of(PLAIN_1, subject, warm_up_s=0, window_s=0)
            )
            times[subject.name].append(time.perf_counter() - began)
            calls[subject.name] += figures.answered
            if number + 1 < starts:
                subject.process.stop()
    lives = {
        subject.name: Life(start_up_s=median(times[subject.name]), idle_mb=subject.process.memory_mb())
        for subject in served
    }
    return lives, calls


def _books_are_exact(
    installations: Mapping[str, Installation], results: Results, first_calls: Mapping[str, int]
) -> bool:
    exact = True
    for name, installation in installations.items():
        are = product.books(installation.query)
        should = product.books_of(scenarios.answered(results, name) + first_calls[name], cached=are.cached)
        exact = exact and are == should
        verdict = "exact" if are == should else f"WRONG, they should say {should}"
        print(
            f"Books on {name}: {are.records:,} records for {should.records:,} answered calls, {are.holds} holds left, "
            f"{are.input_tokens:,} + {are.output_tokens:,} tokens, ${are.cost_pico / 1e12:,.6f}: {verdict}."
        )
    return exact


def _heading(plan: Plan) -> str:
    return (
        f"{report.machine()}. "
        f"One worker each; medians of {plan.rounds} rounds of {plan.window_s:g} s, taken in turns.\n"
        f"CPU is of the serving process. Streams have 100 chunks; paced: {_PACE_MS:g} ms apart. "
        "PostgreSQL runs with Redis, and without fsync.\n"
    )


def _load_note(results: Results) -> str:
    """The driver must cost little beside what it measures."""
    heavy = scenarios.summaries(results)[scenarios.PLAIN_64.title, FLOOR]
    return (
        f"The driver took {heavy.driver_cpu_ms_per_call:.3f} ms of CPU a call, the floor {heavy.cpu_ms_per_call:.3f}."
    )


@contextlib.contextmanager
def _upstream(folder: Path) -> Iterator[Process]:
    port = free_port()
    command = [sys.executable, str(HERE / "upstream.py"), "--port", str(port), "--pace-ms", str(_PACE_MS)]
    process = Process(command=command, cwd=HERE, env={}, port=port, log=folder / "upstream.log")
    try:
        process.start()
        yield process
    finally:
        process.stop()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, and SQLite alone")
    parser.add_argument("--save", action="store_true", help="keep the figures in benchmarks/results/")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
