"""A PostgreSQL that may be killed and frozen, installations on it whose budgets are there before they start, a seed."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from tests import product as products
from tests import servers as real
from tests.faults import load
from tests.product import Product, Template
from tests.servers import Postgres, Redis, wait_until
from tests.upstream import Upstream

SEED = int(os.environ.get("FAULT_SEED") or random.randrange(1_000_000))
_PLAYS = 3
_numbers = itertools.count(1)


def pytest_report_header() -> str:
    return f"faults: FAULT_SEED={SEED} plays them again"


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    load.say(f"FAULT_SEED={SEED}")
    return random.Random(f"{SEED} {request.node.name}")


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A budget, written before the installation starts, so that every worker knows it from its first call."""

    name: str
    cap_pico: int
    scope: str = "client"
    hard: bool = True
    period: str = "total"


class MortalPostgres(Postgres):
    """Killed and frozen with all its backends, each of which has a session of its own.

    It may be given fewer connections at its next start.
    """

    max_connections = 300

    def command(self) -> list[str]:
        few = f"max_connections={self.max_connections}"
        return [word.replace("max_connections=300", few) for word in super().command()]

    def kill(self) -> None:
        backends = self._signal_all(signal.SIGKILL)
        super().kill()
        wait_until(lambda: not any(map(real.is_alive, backends)), what="PostgreSQL's end")

    def freeze(self) -> None:
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: int) -> list[int]:
        """The postmaster is stopped first, so that it forks no other meanwhile."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)
        backends = children(self.process.pid)
        for pid in [*backends, self.process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return backends


def children(parent: int) -> list[int]:
    """The processes that it has started itself."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(entry.name))
    return found


@pytest.fixture(scope="session")
def mortal_postgres() -> Iterator[MortalPostgres]:
    with real._folder("aip-mortal-") as folder:
        yield from real._running(MortalPostgres(folder))


@pytest.fixture(scope="session")
def mortal_template(states: Path, session_upstream: Upstream, mortal_postgres: MortalPostgres) -> Template:
    folder = states / "mortal-template"
    return products.production_template(folder, upstream_url=session_upstream.url, postgres=mortal_postgres)


NewInstallation = Callable[..., AbstractContextManager[Product]]


@pytest.fixture
def postgres(mortal_postgres: MortalPostgres) -> Iterator[MortalPostgres]:
    """Running before and after, whatever a test does to it."""
    yield mortal_postgres
    if mortal_postgres.process is None:
        mortal_postgres.start()
    else:
        mortal_postgres.thaw()


@pytest.fixture
def own_redis() -> Iterator[Redis]:
    with real.redis() as server:
        yield server


@pytest.fixture
def new_installation(
    mortal_template: Template,
    postgres: MortalPostgres,
    own_redis: Redis,
    states: Path,
) -> NewInstallation:
    """`with new_installation(workers=4, limits=[…], sql=[…]) as product`; `beside`: another host on its database."""

    @contextlib.contextmanager
    def made(
        *,
        workers: int = 2,
        limits: Iterable[Limit] = (),
        sql: Iterable[str] = (),
        env: Mapping[str, str] | None = None,
        beside: Product | None = None,
        jobs: bool = False,
    ) -> Iterator[Product]:
        assert mortal_template.database is not None
        number = next(_numbers)
        state_dir = states / f"mortal-{number}"
        shutil.copytree(mortal_template.state_dir, state_dir, ignore=shutil.ignore_patterns("static"))
        (state_dir / "static").symlink_to(mortal_template.state_dir / "static")
        url = (
            beside.env["DATABASE_URL"]
            if beside
            else postgres.create_database(f"faults_{number}", template=mortal_template.database)
        )
        own = {"DATABASE_URL": url, "REDIS_URL": own_redis.url, "WEB_WORKERS": str(workers)}
        product = Product(mortal_template, state_dir=state_dir, env={**own, **(env or {})}, jobs=jobs)
        try:
            for limit in limits:
                write(product, limit)
            for statement in sql:
                product.sql(statement)
            product.start()
            yield product
        finally:
            with contextlib.suppress(ProcessLookupError):
                if postgres.process is not None:
                    postgres.thaw()
            product.close()
            if postgres.process is not None and beside is None:
                postgres.drop_database(f"faults_{number}")

    return made


class DatabaseWasSlowError(Exception):
    """A test could not be played: a process waited 0.75 s for a commit, and refused what a hard budget bounds."""


def require_a_quick_database(statuses: Iterable[str]) -> None:
    """Once all that must hold anyway has been looked at. Raises DatabaseWasSlowError."""
    if "503 LEDGER_UNAVAILABLE" in statuses:
        raise DatabaseWasSlowError


def again_if_the_database_was_slow(test: Callable[..., None]) -> Callable[..., None]:
    """Plays a test again, up to three times in all, where it could not be played."""

    @functools.wraps(test)
    def played(*, upstream: Upstream, **given: object) -> None:
        for _ in range(_PLAYS - 1):
            try:
                return test(upstream=upstream, **given)
            except DatabaseWasSlowError:
                load.say("The database was slow: once more.")
            upstream.reset()
        return test(upstream=upstream, **given)

    return played


def write(product: Product, limit: Limit) -> None:
    """For the client of the limit's name, or for all."""
    product.sql(
        "INSERT INTO usage_budget (id, name, scope, subject, cap_pico, period, time_zone, hard, is_active, created_at) "
        "VALUES (%s, %s, %s, %s, %s, %s, 'UTC', %s, true, now())",
        *(uuid4(), limit.name, limit.scope, limit.name if limit.scope == "client" else ""),
        *(limit.cap_pico, limit.period, limit.hard),
    )
