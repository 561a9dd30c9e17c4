"""The product under measurement: set up by its own commands in a temp folder, and its books read back afterwards."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.measure import BenchmarkError, Process, uvicorn
from benchmarks.upstream import COMPLETION_TOKENS, PACED_MODEL, PROMPT_TOKENS

ROOT = Path(__file__).parent.parent
MODELS = ("fast", PACED_MODEL)
_INPUT_USD_PER_MILLION, _OUTPUT_USD_PER_MILLION = 3, 15
_PICO_PER_TOKEN = 1_000_000  # of a dollar, at one dollar per million tokens
# What would make the product other than its default: empty counts as unset, and hides a `.env` in the checkout.
_UNSET = (
    *("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "DEEPSEEK_API_KEY", "GOOGLE_AI_API_KEY", "AI_ENCRYPTION_KEY"),
    *("REDIS_URL", "REDIS_ADDR", "DATABASE_URL", "DJANGO_ENV", "SECRET_KEY", "ENCRYPTION_KEYS", "LOG_LEVEL"),
    *("MAX_BODY_BYTES", "TIME_ZONE", "PYTHONDONTWRITEBYTECODE"),
)

Query = Callable[[str], Sequence[Any]]


class Books(msgspec.Struct, frozen=True):
    """What the ledger says, or should say. Costs are in pico-dollars."""

    records: int
    cached: int
    not_ok: int
    holds: int
    input_tokens: int
    output_tokens: int
    cost_pico: int


class Installation(msgspec.Struct, frozen=True):
    """A platform with one priced provider. `query` answers one row of its database."""

    process: Process
    key: str
    query: Query


def books_of(calls: int, *, cached: int) -> Books:
    """What the ledger must say after so many answered calls, of them so many from the cache."""
    input_tokens, output_tokens = (calls - cached) * PROMPT_TOKENS, (calls - cached) * COMPLETION_TOKENS
    dollars = input_tokens * _INPUT_USD_PER_MILLION + output_tokens * _OUTPUT_USD_PER_MILLION
    return Books(calls, cached, 0, 0, input_tokens, output_tokens, dollars * _PICO_PER_TOKEN)


def books(query: Query) -> Books:
    """What the ledger says."""
    sums = "COALESCE(SUM(input_tokens), 0), COALESCE(SUM(output_tokens), 0), COALESCE(SUM(cost_pico), 0)"
    cached = "COALESCE(SUM(CASE WHEN status = 'cached' THEN 1 ELSE 0 END), 0)"
    not_ok = (
        "COALESCE(SUM(CASE WHEN status = 'cached' OR (status = 'ok' AND evidence = 'reported') THEN 0 ELSE 1 END), 0)"
    )
    records, hits, others, *totals = query(f"SELECT COUNT(*), {cached}, {not_ok}, {sums} FROM usage_usagerecord")
    (holds,) = query("SELECT COUNT(*) FROM usage_hold")
    return Books(int(records), int(hits), int(others), int(holds), *(int(total) for total in totals))


def on_sqlite(folder: Path, upstream: str) -> Installation:
    """The default: embedded, with SQLite."""

    def query(statement: str) -> Sequence[Any]:
        with contextlib.closing(sqlite3.connect(folder / "platform.sqlite3")) as database:
            row: Sequence[Any] = database.execute(statement).fetchone()
            return row

    return _install(folder, {}, query, upstream)


@contextlib.contextmanager
def on_postgresql(folder: Path, upstream: str) -> Iterator[tuple[Installation, int] | None]:
    """The same with PostgreSQL and Redis, and PostgreSQL's pid; None where those servers are not to be had."""
    try:
        import psycopg  # noqa: PLC0415

        from tests import servers  # noqa: PLC0415
    except ImportError:
        yield None
        return
    with servers.postgres() as postgres, servers.redis() as redis:
        url = postgres.url()

        def query(statement: str) -> Sequence[Any]:
            with psycopg.connect(url) as database:
                row: Sequence[Any] | None = database.execute(statement.encode()).fetchone()
                assert row is not None
                return row

        assert postgres.process is not None
        yield _install(folder, {"DATABASE_URL": url, "REDIS_URL": redis.url}, query, upstream), postgres.process.pid


def _install(folder: Path, settings: Mapping[str, str], query: Query, upstream: str) -> Installation:
    folder.mkdir()
    env = {**dict.fromkeys(_UNSET, ""), **settings, "GRPC_PORT": "0", "STATE_DIR": str(folder)}
    _manage(env, "serve", "--only", "setup")  # migrate, collectstatic, bootstrap
    prices = ["--input-price", str(_INPUT_USD_PER_MILLION), "--output-price", str(_OUTPUT_USD_PER_MILLION)]
    models = [word for model in MODELS for word in ("--model", model, *prices)]
    _manage(env, "addprovider", "--name", "Benchmark", "--kind", "custom", "--base-url", upstream, *models)
    key = _manage(env, "mintkey", "--client", "benchmark", "--quiet").strip()
    process = uvicorn("aiplatform.asgi:application", cwd=ROOT, env=env, log=folder / "log")
    return Installation(process, key, query)


def _manage(env: Mapping[str, str], *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchmarkError(f"manage.py {' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return done.stdout
