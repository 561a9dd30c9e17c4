"""What Prometheus is told: every usage row counted once, in the names of specification C.

A call costs a few additions in memory. Each process writes its tally to a file now and then, and whichever process is
asked adds all of them up; a process that has ended leaves its counts behind, so that no counter goes back.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from core.money import PICO_PER_USD
from gateway.status import ProviderStatus
from usage.rows import RecordRow
from wire.errors import ApiError

DURATION_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
OVERHEAD_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
MOST_LINES = 10_000
OTHER = "other"
_STATES = {"closed": 0, "half_open": 1, "open": 2}
_TOKENS = ("prompt", "completion", "cached", "reasoning")


class Spread(msgspec.Struct, array_like=True):
    """A histogram: how many fell under each bound, the last above all of them, and their sum in seconds."""

    counts: list[int]
    total_s: float = 0.0

    @classmethod
    def of(cls, bounds: tuple[float, ...]) -> Spread:
        return cls([0] * (len(bounds) + 1))

    def add(self, bounds: tuple[float, ...], seconds: float) -> None:
        self.counts[bisect_left(bounds, seconds)] += 1
        self.total_s += seconds

    def merge(self, other: Spread) -> None:
        self.counts = [one + two for one, two in zip(self.counts, other.counts, strict=True)]
        self.total_s += other.total_s


class Line(msgspec.Struct, array_like=True):
    """The rows of one model at one provider. `cost_pico` is the sum of the known costs."""

    statuses: dict[str, int]
    cost_pico: int = 0

    def merge(self, other: Line) -> None:
        for status, count in other.statuses.items():
            self.statuses[status] = self.statuses.get(status, 0) + count
        self.cost_pico += other.cost_pico


class Times(msgspec.Struct, array_like=True):
    """How long the rows of one provider took. Not told by model: with a thousand of them that would be megabytes."""

    duration: Spread
    overhead: Spread

    @classmethod
    def empty(cls) -> Times:
        return cls(Spread.of(DURATION_S), Spread.of(OVERHEAD_S))

    def merge(self, other: Times) -> None:
        self.duration.merge(other.duration)
        self.overhead.merge(other.overhead)


class Tally:
    """Counts of one process, or of several. `lines` are by provider and model; both are "" for what went nowhere.

    Beyond MOST_LINES of them, those of a provider's further models are one, of the model OTHER. Several processes'
    together are as many as those have: were they bounded anew, whose is OTHER would change with the order of reading,
    and counters go back. `times` are by provider. `misses`: how often the cache was asked in vain. `errors` are by
    door, HTTP status and code.
    """

    def __init__(self) -> None:
        self.lines: dict[tuple[str, str], Line] = {}
        self.times: dict[str, Times] = {}
        self.tokens = dict.fromkeys(_TOKENS, 0)
        self.misses = 0
        self.errors: dict[tuple[str, int, str], int] = {}

    def add(self, record: RecordRow) -> None:
        """Count a row: a dispatch, a call that was not sent, or an answer from the cache."""
        line = self.lines.get((record.provider, record.deployment)) or self._line(record.provider, record.deployment)
        line.statuses[record.status] = line.statuses.get(record.status, 0) + 1
        line.cost_pico += record.cost_pico or 0
        tokens = self.tokens
        tokens["prompt"] += record.input_tokens
        tokens["completion"] += record.output_tokens
        tokens["cached"] += record.cached_input_tokens
        tokens["reasoning"] += record.reasoning_tokens
        times = self.times.get(record.provider) or self._times(record.provider)
        if record.latency_ms is not None:
            times.duration.add(DURATION_S, record.latency_ms / 1000)
        if record.overhead_ms is not None:
            times.overhead.add(OVERHEAD_S, record.overhead_ms / 1000)

    def _line(self, provider: str, model: str) -> Line:
        if len(self.lines) >= MOST_LINES and (provider, model) not in self.lines:
            model = OTHER
        return self.lines.setdefault((provider, model), Line({}))

    def _times(self, provider: str) -> Times:
        return self.times.setdefault(provider, Times.empty())

    def add_error(self, surface: str, error: ApiError) -> None:
        """Count an error that a caller was answered with: many of them, as a wrong key, have no row."""
        key = surface, error.status, error.code.name
        self.errors[key] = self.errors.get(key, 0) + 1

    def encode(self) -> bytes:
        lines = [(*key, line) for key, line in self.lines.items()]
        return msgspec.msgpack.encode(_Written(self.misses, self.tokens, self.times, lines, list(self.errors.items())))

    def merge(self, encoded: bytes) -> None:
        """Raises `msgspec.DecodeError` for what another version of the platform has written."""
        written = msgspec.msgpack.decode(encoded, type=_Written)
        self.misses += written.misses
        for kind, count in written.tokens.items():
            self.tokens[kind] += count
        for provider, times in written.times.items():
            self._times(provider).merge(times)
        for provider, model, line in written.lines:
            self.lines.setdefault((provider, model), Line({})).merge(line)
        for key, count in written.errors:
            self.errors[key] = self.errors.get(key, 0) + count


class _Written(msgspec.Struct, array_like=True):
    """A tally in its file."""

    misses: int
    tokens: dict[str, int]
    times: dict[str, Times]
    lines: list[tuple[str, str, Line]]
    errors: list[tuple[tuple[str, int, str], int]]


class Tallies:
    """The tallies of all processes of one server, in files beside each other: `<server>-<process>.tally`."""

    def __init__(self, folder: Path, own: Tally, *, misses: Callable[[], int]) -> None:
        self._folder = folder
        self._own = own
        self._misses = misses
        self._server = _server_of(os.getppid())
        self._path = folder / f"{self._server}-{os.getpid()}.tally"

    def open(self) -> None:
        """Forget the tallies of servers that have ended: their counters begin anew, as Prometheus expects."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in self._folder.glob("*.tally"):
            server = path.stem.rpartition("-")[0]
            if server != _server_of(int(server.partition("-")[0])):
                path.unlink(missing_ok=True)

    def write(self) -> None:
        """Leave this process's counts for the others. Atomic."""
        self._own.misses = self._misses()
        written = self._path.with_suffix(".new")
        written.write_bytes(self._own.encode())
        written.replace(self._path)

    def all(self) -> Tally:
        """All processes' counts together, as last written. For any thread."""
        found = Tally()
        for path in self._folder.glob(f"{self._server}-*.tally"):
            # Of an older version, whose processes had the same numbers, where the kernel does not tell them apart.
            with suppress(msgspec.DecodeError):
                found.merge(path.read_bytes())
        return found


def exposition(tally: Tally, statuses: Iterable[ProviderStatus]) -> bytes:
    """Prometheus's text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(tally, statuses))
    return generate_latest(registry)


class _Collector:
    def __init__(self, tally: Tally, statuses: Iterable[ProviderStatus]) -> None:
        self._tally = tally
        self._statuses = statuses

    def collect(self) -> Iterator[Metric]:
        labels, timed = ["model", "provider"], ["provider"]
        requests = CounterMetricFamily("ai_proxy_requests", "Usage rows by how they ended", labels=[*labels, "status"])
        cost = CounterMetricFamily("ai_proxy_cost", "Known cost in US dollars", labels=labels)
        tokens = CounterMetricFamily("ai_proxy_tokens_used", "Tokens", labels=["type"])
        duration = HistogramMetricFamily("ai_proxy_request_duration_seconds", "From call to answer", labels=timed)
        overhead = HistogramMetricFamily(
            "ai_proxy_overhead_seconds", "From call to answer, without the provider's part", labels=timed
        )
        hits = 0
        for (provider, model), line in sorted(self._tally.lines.items()):
            for status, count in sorted(line.statuses.items()):
                requests.add_metric([model, provider, status], count)
            hits += line.statuses.get("cached", 0)
            cost.add_metric([model, provider], line.cost_pico / PICO_PER_USD)
        for provider, times in sorted(self._tally.times.items()):
            _add(duration, [provider], DURATION_S, times.duration)
            _add(overhead, [provider], OVERHEAD_S, times.overhead)
        for kind, total in self._tally.tokens.items():
            tokens.add_metric([kind], total)
        cache = CounterMetricFamily("ai_proxy_cache_hits", "Answers from the cache, and misses", labels=["result"])
        cache.add_metric(["hit"], hits)
        cache.add_metric(["miss"], self._tally.misses)
        breaker = GaugeMetricFamily(
            "ai_proxy_circuit_breaker_state", "0 closed, 1 half open, 2 open", labels=["provider"]
        )
        for each in self._statuses:
            breaker.add_metric([each.name], _STATES[each.circuit_state])
        yield from (requests, duration, overhead, tokens, cost, cache, breaker, self._errors())

    def _errors(self) -> Metric:
        labels = ["door", "status", "code"]
        errors = CounterMetricFamily("ai_proxy_errors", "Errors that callers were answered with", labels=labels)
        for (surface, status, code), count in sorted(self._tally.errors.items()):
            errors.add_metric([surface, str(status), code], count)
        return errors


def _add(family: HistogramMetricFamily, labels: list[str], bounds: tuple[float, ...], spread: Spread) -> None:
    total = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip((*bounds, float("inf")), spread.counts, strict=True):
        total += count
        buckets.append(("+Inf" if bound == float("inf") else repr(bound), total))
    family.add_metric(labels, buckets=buckets, sum_value=spread.total_s)


def _server_of(parent: int) -> str:
    """Its name by its process and when that began; "" once it has ended.

    The number alone would not do: in a container it is 1 after each restart, beside the files of the life before.
    """
    return f"{parent}-{_began_at_tick(parent)}" if _is_running(parent) else ""


def _began_at_tick(pid: int) -> int:
    """By proc(5), field 22 of its `stat`; 0 where there is none."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return 0


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
