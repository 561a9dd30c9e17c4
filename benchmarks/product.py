"""The product under measurement: installed by `prepare` in a temp folder, and run as the platform runs itself."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from aiplatform.supervisor import web_command
from benchmarks.calls import Identity
from benchmarks.measure import ROOT, BenchmarkError, Process, free_port
from tests import servers
from tests.environment import CLEARED

Query = Callable[[str], Sequence[Any]]


class Installation(msgspec.Struct, frozen=True):
    """A platform with priced providers. `query` answers one row of its database; `env` is that of its commands."""

    process: Process
    who: Identity
    query: Query
    env: Mapping[str, str]
    database_pid: int = 0


class Providers(msgspec.Struct, frozen=True):
    """Addresses: of the provider, and of one where nobody listens."""

    upstream: str
    nobody: str


def on_sqlite(folder: Path, providers: Providers) -> Installation:
    """The default: embedded, with SQLite."""

    def query(statement: str) -> Sequence[Any]:
        with contextlib.closing(sqlite3.connect(folder / "platform.sqlite3")) as database:
            row: Sequence[Any] = database.execute(statement).fetchone()
            return row

    return _install(folder, {}, query, providers)


class DurablePostgres(servers.Postgres):
    """The tests' PostgreSQL, but one that waits for the disk as it should."""

    def command(self) -> list[str]:
        return [*super().command(), "-c", "fsync=on"]


@contextlib.contextmanager
def postgres() -> Iterator[DurablePostgres]:
    """A PostgreSQL of one's own."""
    with tempfile.TemporaryDirectory(prefix="aip-bench-postgres-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # it runs as another user
        server = DurablePostgres(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def on_postgresql(
    folder: Path, providers: Providers, database: DurablePostgres, redis: servers.Redis, *, workers: int
) -> Installation:
    """With a database of its own on the servers."""
    url = database.create_database(folder.name)

    def query(statement: str) -> Sequence[Any]:
        with psycopg.connect(url) as connection:
            row: Sequence[Any] | None = connection.execute(statement.encode()).fetchone()
            assert row is not None
            return row

    redis_url = redis.url.removesuffix("/0") + f"/{workers}"
    settings = {"DATABASE_URL": url, "REDIS_URL": redis_url, "WEB_WORKERS": str(workers)}
    assert database.process is not None
    return msgspec.structs.replace(_install(folder, settings, query, providers), database_pid=database.process.pid)


def manage(env: Mapping[str, str], *command: str) -> str:
    """What one of the product's commands prints."""
    return _python(env, "manage.py", *command)


def _install(folder: Path, settings: Mapping[str, str], query: Query, providers: Providers) -> Installation:
    folder.mkdir()
    ports = {"GRPC_PORT": "0", "METRICS_PORT": str(free_port())}
    env = _clean() | CLEARED | dict(settings) | ports
    env |= {"STATE_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "aiplatform.settings"}
    addresses = {"UPSTREAM": providers.upstream, "NOBODY": providers.nobody}
    who = msgspec.json.decode(_python(env | addresses, "-m", "benchmarks.prepare"), type=Identity)
    port = free_port()
    command = web_command(host="127.0.0.1", port=port, workers=int(settings.get("WEB_WORKERS", 1)))
    process = Process(command=command, cwd=ROOT, env=env, port=port, log=folder / "log")
    return Installation(process, who, query, env)


def _clean() -> dict[str, str]:
    """Without it Python writes no bytecode, and every start compiles all modules."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _python(env: Mapping[str, str], *command: str) -> str:
    done = subprocess.run([sys.executable, *command], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return done.stdout
