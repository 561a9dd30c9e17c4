"""Constant mixed load on one worker: whether its memory stays flat, and its books exact (`make soak SOAK_MINUTES=60`).

    .venv/bin/python -m benchmarks.soak --minutes 60

Plain calls, streams, hits of the cache, refusals by the provider, failovers, and callers who leave in the middle of a
stream, each at a fixed rate. Exits with 1 where the books are not exact, or memory has grown by more than a tenth
since it was warm.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import linear_regression

import msgspec

from benchmarks import answers, books, product, scenarios
from benchmarks.loads import Figures, Load
from benchmarks.measure import BenchmarkError, Driver
from benchmarks.product import Installation
from benchmarks.rounds import Subject
from benchmarks.scenarios import Scenario
from benchmarks.stage import SQLITE, stage

_MINUTE_S, _SAMPLE_S, _CONNECTIONS = 60.0, 5.0, 16
_WARM_SHARE = 0.1  # of the time, and at least a minute
_GROWTH = 1.1
_SETTLING_S = 5.0  # calls whose callers have left come to their end


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of one kind, so many a second. `status` of their answers; `leaves_after`: events, 0: never."""

    scenario: Scenario
    rate_per_s: float
    status: int = 200
    leaves_after: int = 0

    def load(self, subject: Subject) -> Load:
        load = subject.load(self.scenario, warm_up_s=0, window_s=_MINUTE_S / self.scenario.length)
        return msgspec.structs.replace(
            load,
            rate_per_s=self.rate_per_s,
            connections=_CONNECTIONS,
            status=self.status,
            leaves_after=self.leaves_after,
        )


_WRONG = msgspec.structs.replace(scenarios.PLAIN_16, name="wrong", title="refused", model=answers.WRONG)
_LEAVERS = msgspec.structs.replace(scenarios.PACED, name="leavers", title="left")
_MIX = (
    Stream(scenario=scenarios.PLAIN_16, rate_per_s=150),
    Stream(scenario=scenarios.CACHED, rate_per_s=50),
    Stream(scenario=scenarios.STREAM, rate_per_s=15),
    Stream(scenario=scenarios.FAILOVER_500, rate_per_s=15),
    Stream(scenario=_WRONG, rate_per_s=15, status=400),
    Stream(scenario=_LEAVERS, rate_per_s=5, leaves_after=20),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=60)
    minutes = max(parser.parse_args().minutes, 2)
    try:
        with stage(with_postgresql=False) as set_up:
            (subject,) = (each for each in set_up.subjects if each.kind == "product")
            subject.process.start()
            calls, samples = _soak(subject, minutes)
            time.sleep(_SETTLING_S)
            is_flat = _is_flat(samples, minutes)
            return 0 if _books_are_exact(set_up.installations[SQLITE], calls) and is_flat else 1
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 1


def _soak(subject: Subject, minutes: int) -> tuple[Counter[str], list[tuple[float, float]]]:
    """How many calls of each scenario were made, and the memory in MB by the second."""
    calls: Counter[str] = Counter()
    samples: list[tuple[float, float]] = []
    began = time.monotonic()
    with _drivers() as drivers:
        for minute in range(1, minutes + 1):
            for driver, stream in zip(drivers, _MIX, strict=True):
                driver.begin(stream.load(subject))
            ends_at = time.monotonic() + _MINUTE_S
            while time.monotonic() < ends_at:
                time.sleep(_SAMPLE_S)
                samples.append((time.monotonic() - began, subject.process.memory_mb()))
            figures = [driver.end() for driver in drivers]
            _check(figures)
            for stream, each in zip(_MIX, figures, strict=True):
                calls[stream.scenario.name] += each.answered + each.left
            print(_line(minute, samples[-1][1], figures), flush=True)
    return calls, samples


@contextlib.contextmanager
def _drivers() -> Iterator[Sequence[Driver]]:
    drivers = [Driver() for _ in _MIX]
    try:
        yield drivers
    finally:
        for driver in drivers:
            driver.stop()


def _check(figures: Sequence[Figures]) -> None:
    for stream, each in zip(_MIX, figures, strict=True):
        if each.failed:
            raise BenchmarkError(f"{stream.scenario.title}: {each.failed} failed, the first with: {each.failure}")


def _line(minute: int, memory_mb: float, figures: Sequence[Figures]) -> str:
    speed = sum(each.answered + each.left for each in figures) / _MINUTE_S
    cpu_ms = 1000 * figures[0].serving_cpu_s / (speed * _MINUTE_S)
    plain = sorted(figures[0].latencies_ms)
    p50, p99 = plain[len(plain) // 2], plain[int(len(plain) * 0.99)]
    return (
        f"minute {minute:3}: {memory_mb:6.1f} MB, {speed:6.1f} calls/s, {cpu_ms:.3f} ms of CPU a call; "
        f"plain ones p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    )


def _is_flat(samples: Sequence[tuple[float, float]], minutes: int) -> bool:
    warm_s = max(minutes * _MINUTE_S * _WARM_SHARE, _MINUTE_S)
    warm = [(at, memory) for at, memory in samples if at >= warm_s]
    slope = linear_regression(*zip(*warm, strict=True)).slope
    first, last = warm[0][1], warm[-1][1]
    verdict = "flat" if last <= first * _GROWTH else "GROWN"
    print(f"Memory from {first:.1f} MB when warm to {last:.1f} MB, {slope * 3600:+.1f} MB an hour: {verdict}.")
    return last <= first * _GROWTH


def _books_are_exact(installation: Installation, calls: Mapping[str, int]) -> bool:
    """To the call and the token but for the leavers, whose calls come to an end of their own: they are counted."""
    are = books.found(installation.query, without=_LEAVERS.model)
    told = {name: count for name, count in calls.items() if name not in {_LEAVERS.name, _WRONG.name}}
    should = books.expected(told, scenarios.EVERY, cached=are.cached, refused=calls[_WRONG.name])
    # In half an hour even the most patient circuit opens: from then on the failing provider is passed by.
    spared = max(should.failed - are.failed, 0)
    should = msgspec.structs.replace(should, failed=should.failed - spared, records=should.records - spared)
    (left,) = installation.query(f"SELECT COUNT(*) FROM usage_usagerecord WHERE requested_model = '{_LEAVERS.model}'")
    proof = json.loads(product.manage(installation.env, "verifyledger", "--json"))
    exact = are == should and left == calls[_LEAVERS.name] and proof["ok"]
    print(
        f"Books: {proof['records']:,} records, {left:,} of callers who left, verifyledger says {proof['ok']}: ", end=""
    )
    print("exact." if exact else f"WRONG: they are {are} and should be {should}, with {calls[_LEAVERS.name]} who left.")
    return exact


if __name__ == "__main__":
    sys.exit(main())
