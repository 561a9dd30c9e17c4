"""Everything that runs during a benchmark: upstream, floor, installations, peer and driver, and their end."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from benchmarks import peer as peers
from benchmarks import product
from benchmarks.measure import Driver, Process, free_port, python, with_descendants
from benchmarks.product import Installation, Providers
from benchmarks.rounds import Subject
from tests import servers

UPSTREAM, FLOOR = "upstream", "floor"
SQLITE, POSTGRESQL, WORKERS = "SQLite", "PostgreSQL", "2 workers"
_MEMORY, _ROOM_BYTES = Path("/dev/shm"), 10**9


class Stage(msgspec.Struct, frozen=True):
    """`subjects` are not started but for the upstream; whatever is started is stopped with the stage."""

    driver: Driver
    subjects: Sequence[Subject]
    installations: Mapping[str, Installation]

    @property
    def served(self) -> list[Subject]:
        """All but the upstream."""
        return [subject for subject in self.subjects if subject.kind != "upstream"]


@contextlib.contextmanager
def stage(*, with_postgresql: bool, peer: str = "", on_disk: bool = True) -> Iterator[Stage]:
    """`peer`: another gateway to measure beside, by name. `on_disk` False: the data is in memory, where that can be."""
    with contextlib.ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="aip-bench-", dir=_place(on_disk=on_disk)))
        )
        upstream = stack.enter_context(_upstream(folder))
        address = f"http://127.0.0.1:{upstream.port}"
        providers = Providers(address, stack.enter_context(_nobody()))
        driver = Driver()
        stack.callback(driver.stop)
        installations = _install(stack, folder, providers, with_postgresql=with_postgresql)
        subjects = [
            Subject(name=UPSTREAM, kind="upstream", process=upstream),
            Subject(name=FLOOR, kind="floor", process=_floor(folder, address)),
            *(_subject(name, installation) for name, installation in installations.items()),
        ]
        if peer:
            subjects.append(peers.subject(peer, folder, address))
        for subject in subjects:
            stack.callback(subject.process.stop)
        set_up = Stage(driver, subjects, installations)
        _part(set_up)
        yield set_up


def _part(set_up: Stage) -> None:
    """A core for whoever is measured, the others for the rest: what shares a core changes what a call costs.

    Two workers have all of them.
    """
    *others, last = sorted(os.sched_getaffinity(0))
    if not others:
        return
    for subject in set_up.served:
        if subject.name != WORKERS:
            subject.process.cores = [last]
    upstreams = [pid for each in set_up.subjects if each not in set_up.served for pid in each.process.pids]
    databases = [pid for each in set_up.subjects if each.database_pid for pid in with_descendants(each.database_pid)]
    for pid in {set_up.driver.pid, *upstreams, *databases}:
        os.sched_setaffinity(pid, others)


def _place(*, on_disk: bool) -> str | None:
    """None: where temporary files go."""
    has_room = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM_BYTES  # containers often have 64 MB of it
    return str(_MEMORY) if has_room and not on_disk else None


def _install(
    stack: contextlib.ExitStack, folder: Path, providers: Providers, *, with_postgresql: bool
) -> dict[str, Installation]:
    installations = {SQLITE: product.on_sqlite(folder / "sqlite", providers)}
    if with_postgresql:
        database = stack.enter_context(product.postgres())
        redis = stack.enter_context(servers.redis())
        for name, workers in ((POSTGRESQL, 1), (WORKERS, 2)):
            installations[name] = product.on_postgresql(
                folder / f"workers_{workers}", providers, database, redis, workers=workers
            )
    return installations


def _subject(name: str, installation: Installation) -> Subject:
    return Subject(
        name=name,
        kind="workers" if name == WORKERS else "product",
        process=installation.process,
        who=installation.who,
        database_pid=installation.database_pid,
    )


def _floor(folder: Path, upstream: str) -> Process:
    """As the platform's own web process, in all that uvicorn can be told."""
    port = free_port()
    options = ["--host", "127.0.0.1", "--port", str(port), "--loop", "uvloop", "--http", "httptools"]
    quiet = ["--no-access-log", "--no-server-header", "--no-proxy-headers", "--log-level", "warning"]
    quiet += ["--timeout-keep-alive", "75"]
    return python(
        "uvicorn",
        "benchmarks.floor:application",
        *options,
        *quiet,
        port=port,
        env={"UPSTREAM": upstream},
        log=folder / "floor.log",
    )


@contextlib.contextmanager
def _upstream(folder: Path) -> Iterator[Process]:
    port = free_port()
    process = python("benchmarks.upstream", "--port", str(port), port=port, env={}, log=folder / "upstream.log")
    try:
        process.start()
        yield process
    finally:
        process.stop()


@contextlib.contextmanager
def _nobody() -> Iterator[str]:
    """An address that refuses connections: the port is taken, and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
