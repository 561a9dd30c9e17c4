"""What the size of the configuration costs (`make bench-scale`): 10, 1,000 and 10,000 of everything.

    .venv/bin/python benchmarks/scale.py            under ten minutes: SQLite, and PostgreSQL with Redis
    … --only sqlite (or postgresql)                 half of that

Each installation has so many clients (each with a key, limits and a hard budget), models (each with a price, every
other one with limits), and routes. All sizes run side by side and take turns, so that their ratios hold. Usage rows
are another matter: `make bench-reports`. `budgets.py` measures one budget that everybody counts in.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from redis import Redis

sys.path.append(str(Path(__file__).parent.parent))

from benchmarks import product
from benchmarks.calls import Identity, Wish, request
from benchmarks.filling import middle
from benchmarks.loads import Load
from benchmarks.measure import ROOT, BenchmarkError, Driver, Process, free_port, python
from benchmarks.product import Installation, Providers
from tests import servers

SIZES = (10, 1_000, 10_000)
ROUNDS, WARM_UP_S, WINDOW_S = 5, 0.2, 0.6
_CONNECTIONS = 16
_RATE_PER_S = 100.0
_CHANGES = 4
_EFFECT_TIMEOUT_S = 20.0
_PAGES = {
    "the admin's home page": "/admin/",
    "its list of clients": "/admin/accounts/client/",
    "its list of keys": "/admin/accounts/apikey/",
    "its list of models": "/admin/providers/deployment/",
    "its list of providers": "/admin/providers/provider/",
    "its list of budgets": "/admin/usage/budget/",
    "its list of calls": "/admin/usage/usagerecord/",
    "its form for a budget": "/admin/usage/budget/add/",
    "its form for a route": "/admin/providers/route/add/",
}

Table = dict[str, list[str]]


class Filled(msgspec.Struct, frozen=True):
    """An installation of a size, and who may do what there."""

    size: int
    installation: Installation
    free: str
    limited: str
    session: str

    @property
    def process(self) -> Process:
        return self.installation.process


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", choices=("sqlite", "postgresql"), default="")
    only = options.parse_args().only
    try:
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aip-scale-")))
            upstream = stack.enter_context(_upstream(folder))
            driver = Driver()
            stack.callback(driver.stop)
            if only != "postgresql":
                _measure("SQLite", [_sqlite(folder, upstream, size) for size in SIZES], driver)
            if only != "sqlite":
                database = stack.enter_context(product.postgres())
                redis = stack.enter_context(servers.redis())
                filled = [_postgresql(folder, upstream, size, database, redis) for size in SIZES]
                _measure("PostgreSQL with Redis", filled, driver)
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


# --- installations ------------------------------------------------------------------------------------------------


def _sqlite(folder: Path, upstream: str, size: int) -> Filled:
    return _filled(product.on_sqlite(folder / f"sqlite_{size}", Providers(upstream, upstream)), upstream, size)


def _postgresql(
    folder: Path, upstream: str, size: int, database: product.DurablePostgres, redis: servers.Redis
) -> Filled:
    providers = Providers(upstream, upstream)
    found = product.on_postgresql(folder / f"size_{size}", providers, database, redis, workers=1)
    return _filled(found, upstream, size)


def _filled(installation: Installation, upstream: str, size: int) -> Filled:
    command = [sys.executable, "-m", "benchmarks.filling", "--size", str(size), "--base-url", f"{upstream}/v1"]
    done = subprocess.run(command, cwd=ROOT, env=installation.env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(done.stderr[-2000:])
    free, limited, session = done.stdout.split()
    return Filled(size, installation, free, limited, session)


@contextlib.contextmanager
def _upstream(folder: Path) -> Iterator[str]:
    port = free_port()
    process = python("benchmarks.upstream", "--port", str(port), port=port, env={}, log=folder / "upstream.log")
    try:
        process.start()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.stop()


# --- measuring ----------------------------------------------------------------------------------------------------


def _measure(title: str, filled: Sequence[Filled], driver: Driver) -> None:
    table: Table = {}
    try:
        table["start to the first 200, s"] = [f"{_start(each):.2f}" for each in filled]
        table["memory, MB"] = [f"{each.process.memory_mb():.0f}" for each in filled]
        _add_calls(table, filled, driver)
        if filled[0].installation.database_pid:
            _add_stores(table, filled, driver)
        _add_changes(table, filled, driver)
        for name, path in {"GET /v1/models": "/v1/models", **_PAGES}.items():
            table[f"{name}, ms"] = [_page(each, path) for each in filled]
        table["the page of metrics, ms"] = [_metrics(each) for each in filled]
        table["memory afterwards, MB"] = [f"{each.process.memory_mb():.0f}" for each in filled]
    finally:
        for each in filled:
            each.process.stop()
    width = max(map(len, table))
    print(f"\n{title:<{width}}" + "".join(f"{size:>16,}" for size in SIZES))
    for name, cells in table.items():
        print(f"{name:<{width}}" + "".join(f"{cell:>16}" for cell in cells), flush=True)


def _start(filled: Filled) -> float:
    began = time.perf_counter()
    filled.process.start()
    status, body = _call(filled, filled.free, middle("model", filled.size))
    if status != 200:
        raise BenchmarkError(f"the first call was answered {status}: {body[:500]!r}\n{filled.process.last_words()}")
    return time.perf_counter() - began


def _add_calls(table: Table, filled: Sequence[Filled], driver: Driver) -> None:
    """CPU per call; the sizes take turns."""
    kinds: dict[str, Callable[[Filled], str]] = {
        "a call of a model, key without limits": lambda its: _request(its.free, middle("model", its.size)),
        "a call of a route, with limits and a budget": lambda its: _request(its.limited, middle("route", its.size)),
    }
    for name, ask in kinds.items():
        found: dict[int, list[float]] = {each.size: [] for each in filled}
        for number in range(ROUNDS):
            for each in (*filled[number % len(filled) :], *filled[: number % len(filled)]):
                load = _load(each, ask(each), connections=_CONNECTIONS, window_s=WINDOW_S)
                figures = driver.run(load)
                if figures.failed:
                    raise BenchmarkError(f"{figures.failure}\n{each.process.last_words()}")
                found[each.size].append(1000 * figures.serving_cpu_s / len(figures.latencies_ms))
        smallest = median(found[SIZES[0]])
        table[f"{name}, CPU ms (ratio)"] = [
            f"{median(times):.3f} ({median(times) / smallest:.2f})" for times in found.values()
        ]


def _add_stores(table: Table, filled: Sequence[Filled], driver: Driver) -> None:
    """What a call with limits and a budget asks of PostgreSQL and of Redis, many at once."""
    rows: dict[str, list[str]] = {}
    for each in filled:
        before = _asked_of_stores(each)
        asked = _request(each.limited, middle("route", each.size))
        answered = driver.run(_load(each, asked, connections=_CONNECTIONS, window_s=2.0)).answered
        time.sleep(1.5)  # PostgreSQL tells its figures once a second
        transactions, commands = (now - then for now, then in zip(_asked_of_stores(each), before, strict=True))
        (connections,) = each.installation.query(
            "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()"
        )
        rows.setdefault("transactions a call, 16 at once", []).append(f"{transactions / answered:.2f}")
        rows.setdefault("commands to Redis a call", []).append(f"{commands / answered:.2f}")
        rows.setdefault("connections to PostgreSQL", []).append(f"{connections - 1}")
    table.update(rows)


def _asked_of_stores(filled: Filled) -> tuple[int, int]:
    """Transactions and scripts so far."""
    (transactions,) = filled.installation.query(
        "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
    )
    with contextlib.closing(Redis.from_url(filled.installation.env["REDIS_URL"])) as redis:
        told: Any = redis.info("commandstats")
    return int(transactions), sum(each["calls"] for name, each in told.items() if "evalsha" in name)


def _add_changes(table: Table, filled: Sequence[Filled], driver: Driver) -> None:
    """How long a change takes to come into force, and what calls at a low rate notice of it."""
    rows: dict[str, list[str]] = {}
    for each in filled:
        quiet = driver.run(_slow(each))
        driver.begin(_slow(each))
        time.sleep(0.5)
        keys = [_new_key(each, number) for number in range(_CHANGES)]
        models = [_new_model(each, number) for number in range(_CHANGES)]
        noticed = driver.end()
        for name, value in (
            ("a new key works after, ms", f"{median(keys):.0f}"),
            ("a new model works after, ms", f"{median(models):.0f}"),
            ("p99 of calls meanwhile, ms (without changes)", f"{_p99(noticed)} ({_p99(quiet)})"),
            ("the slowest call meanwhile, ms", f"{max(noticed.latencies_ms):.1f} ({max(quiet.latencies_ms):.1f})"),
        ):
            rows.setdefault(name, []).append(value)
        if noticed.failed:
            raise BenchmarkError(noticed.failure)
    table.update(rows)


def _p99(figures: Any) -> str:
    ordered = sorted(figures.latencies_ms)
    return f"{ordered[int(0.99 * len(ordered))]:.1f}"


def _slow(filled: Filled) -> Load:
    asked = _request(filled.free, middle("model", filled.size))
    return _load(filled, asked, connections=_CONNECTIONS, window_s=6.0, rate_per_s=_RATE_PER_S)


def _load(filled: Filled, asked: str, *, connections: int, window_s: float, rate_per_s: float = 0.0) -> Load:
    return Load(
        port=filled.process.port,
        request=asked,
        connections=connections,
        warm_up_s=WARM_UP_S,
        window_s=window_s,
        rate_per_s=rate_per_s,
        serving=filled.process.pids,
    )


def _request(key: str, model: str) -> str:
    return request("openai", Identity(key=key), Wish(model=model))


# --- asking -------------------------------------------------------------------------------------------------------


def _ask(
    filled: Filled, method: str, path: str, *, port: int = 0, body: Mapping[str, Any] | None = None, **headers: str
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port or filled.process.port, timeout=60)
    sent = {"content-type": "application/json", **headers}
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None, sent)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _call(filled: Filled, key: str, model: str) -> tuple[int, bytes]:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 9}
    return _ask(filled, "POST", "/v1/chat/completions", body=body, authorization=f"Bearer {key}")


def _made(filled: Filled, path: str, body: Mapping[str, Any]) -> Any:
    status, answer = _ask(filled, "POST", path, body=body, authorization=f"Bearer {filled.free}")
    if status != 201:
        raise BenchmarkError(f"{path} was answered {status}: {answer[:500]!r}")
    return json.loads(answer)


def _new_key(filled: Filled, number: int) -> float:
    """Milliseconds until it works."""
    key = _made(filled, "/api/accounts/keys", {"client": "free", "name": f"new {number}"})["key"]
    return _until(lambda: _ask(filled, "GET", "/v1/models/default", authorization=f"Bearer {key}")[0] != 401)


def _new_model(filled: Filled, number: int) -> float:
    name = f"new-model-{number}"
    _made(filled, "/api/ai-providers/deployments", {"provider": middle("host", 0), "name": name})
    who = f"Bearer {filled.free}"
    return _until(lambda: _ask(filled, "GET", f"/v1/models/{name}", authorization=who)[0] == 200)


def _until(is_so: Callable[[], bool]) -> float:
    began = time.perf_counter()
    while not is_so():
        if time.perf_counter() - began > _EFFECT_TIMEOUT_S:
            raise BenchmarkError("a change has not come into force")
        time.sleep(0.01)
    return 1000 * (time.perf_counter() - began)


def _page(filled: Filled, path: str) -> str:
    """How long it takes the second time, and its size."""
    if path.startswith("/admin"):
        return _timed(lambda: _ask(filled, "GET", path, cookie=f"sessionid={filled.session}"))
    return _timed(lambda: _ask(filled, "GET", path, authorization=f"Bearer {filled.free}"))


def _metrics(filled: Filled) -> str:
    port = int(filled.installation.env["METRICS_PORT"])
    return _timed(lambda: _ask(filled, "GET", "/metrics", port=port))


def _timed(ask: Callable[[], tuple[int, bytes]]) -> str:
    ask()
    began = time.perf_counter()
    status, body = ask()
    took_ms = 1000 * (time.perf_counter() - began)
    if status != 200:
        raise BenchmarkError(f"a page was answered {status}: {body[:500]!r}")
    return f"{took_ms:.0f} ({len(body) / 1000:,.0f} KB)"


if __name__ == "__main__":
    sys.exit(main())
