"""One foreground process that runs the others: the web server, and Celery's worker with its beat.

Each runs in a process group of its own. One that dies is started again; when the supervisor is told to stop, all stop;
when it is killed outright, the kernel tells them to stop (Linux). Nothing here knows Django.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from aiplatform import printing
from aiplatform.stopping import GRACE_S, KILLED_AFTER_S

_STOP_GRACE_S = KILLED_AFTER_S
_READY_TIMEOUT_S = 60
_POLL_S = 0.1
_BACK_OFF_S = (0.5, 1, 2, 4, 8, 15, 30)
_SETTLED_S = 60  # a child that ran this long dies for a new reason: the back-off starts again
_MAX_EARLY_DEATHS = 3  # before the first answer: a fault of set-up, which more tries would only hide
# Most of them wait, for the database, a provider or a mail server: long ones keep no others from beginning in time, and
# threads cost less memory than two processes would.
_JOBS_AT_ONCE = 8
_PR_SET_PDEATHSIG = 1
# Without the environment's proxies: they know nothing of this machine's own addresses.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
# In a container, and on a machine where people try things, Celery runs as root: it need not say so at each start.
_CELERY = [sys.executable, "-W", "ignore:::celery.platforms", "-m", "celery", "--quiet", "-A", "aiplatform"]


class StartError(Exception):
    """The platform cannot start; the message is the one line that people read."""


@dataclass
class Child:
    """A process that should always be running. `output` takes what it prints (None: where ours goes)."""

    name: str
    command: Sequence[str]
    output: IO[bytes] | None = None
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    deaths: int = 0
    start_again_at: float = 0.0

    def start(self, env: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            self.command,
            env=env,
            process_group=0,
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=self.output,
            preexec_fn=dying_with(os.getpid()),  # noqa: PLW1509  # the supervisor's other thread only prints
        )
        self.started_at = time.monotonic()

    def signal(self, number: int) -> None:
        """To the whole group: what a dead parent left behind is reached too."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                return

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None


@dataclass
class Supervisor:
    """Runs `children` until told to stop. `url` is where the web server answers `/livez`."""

    children: Sequence[Child]
    url: str
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    _stop_signals: int = 0

    def run(self, on_ready: Callable[[], None]) -> None:
        """Returns when all children have ended. Raises `StartError` where the web server never answers."""
        handlers = {number: signal.signal(number, self._told_to_stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for child in self.children:
                child.start(self.env)
            self._wait_until_ready()
            if not self._stop_signals:
                on_ready()
            while not self._stop_signals:
                self._revive()
                time.sleep(_POLL_S)
        finally:
            self._stop_children()
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _told_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stop_signals += 1

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while not self._stop_signals and not _answers(f"{self.url}/livez"):
            self._revive()
            if any(child.deaths >= _MAX_EARLY_DEATHS for child in self.children):
                raise StartError("A part of the platform does not start: the lines above say why.")
            if time.monotonic() > deadline:
                raise StartError(f"The web server does not answer at {self.url} after {_READY_TIMEOUT_S} s.")
            time.sleep(_POLL_S)

    def _revive(self) -> None:
        now = time.monotonic()
        for child in self.children:
            if child.process is not None and not child.is_running:
                self._note_death(child, now)
            elif child.process is None and now >= child.start_again_at:
                child.start(self.env)

    def _note_death(self, child: Child, now: float) -> None:
        assert child.process is not None
        child.signal(signal.SIGKILL)
        code = child.process.returncode
        child.deaths = 1 if now - child.started_at > _SETTLED_S else child.deaths + 1
        wait_s = _BACK_OFF_S[min(child.deaths, len(_BACK_OFF_S)) - 1]
        child.process, child.start_again_at = None, now + wait_s
        printing.say(f"{child.name} ended ({_reason(code)}); starting it again in {wait_s:g} s.")

    def _stop_children(self) -> None:
        """SIGTERM, the grace period, SIGKILL; a second Ctrl-C cuts the grace short."""
        first_signals = self._stop_signals
        for child in self.children:
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_GRACE_S
        while any(child.is_running for child in self.children) and time.monotonic() < deadline:
            if self._stop_signals > first_signals:
                break
            time.sleep(_POLL_S / 2)
        for child in self.children:
            child.signal(signal.SIGKILL)
            if child.process is not None:
                child.process.wait()


def web_command(*, host: str, port: int, workers: int) -> list[str]:
    """Uvicorn with the platform's ASGI application."""
    options = {
        "--host": host,
        "--port": port,
        "--workers": workers,
        "--loop": "uvloop",
        "--http": "aiplatform.http_server:Protocol",
        "--ws": "aiplatform.websocket_server:Protocol",
        "--lifespan": "on",
        "--log-level": "warning",
        # Longer than the idle time of the usual load balancers and SDK pools, so that they close first.
        "--timeout-keep-alive": 75,
        "--timeout-graceful-shutdown": GRACE_S,
    }
    pairs = [str(word) for option in options.items() for word in option]
    return [
        sys.executable,
        "-m",
        "uvicorn",
        "aiplatform.asgi:application",
        "--no-access-log",
        "--no-server-header",
        "--no-proxy-headers",  # Django alone asks for them: `aiplatform.asgi`
        *pairs,
    ]


def worker_command(*, state_dir: Path, embedded: bool) -> list[str]:
    """Celery's worker; `embedded`: with beat inside it, on the filesystem broker, where no other worker listens."""
    jobs = ["--pool", "threads", "--concurrency", str(_JOBS_AT_ONCE)]
    worker = [*_CELERY, "worker", "--loglevel", "WARNING", *jobs]
    if not embedded:
        return worker
    schedule = ["--beat", "--schedule", str(state_dir / "celery" / "schedule")]
    alone = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    return [*worker, *alone, *schedule]


def beat_command(*, state_dir: Path) -> list[str]:
    """Celery's schedule: one in an installation."""
    schedule = str(state_dir / "celery" / "schedule")
    return [*_CELERY, "beat", "--loglevel", "WARNING", "--schedule", schedule, "--pidfile="]


@contextmanager
def alone_in(state_dir: Path) -> Iterator[None]:
    """Keeps others out who would serve from this folder meanwhile: its limits and its schedule know one of them.

    Raises `StartError` where there is one already. The kernel lets go of it with the process, however that ends.
    """
    folder = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(folder, state_dir)
        yield
    finally:
        os.close(folder)


def check_port(host: str, port: int, *, setting: str = "PORT", is_shared: bool = False) -> None:
    """Raises `StartError` where the address cannot be listened on; `setting`: where the port comes from.

    `is_shared`: others may listen there too that share it as well.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT if is_shared else socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror:
        raise StartError(f"HOST={host} is not an address of this machine.") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            example = f"{setting}={port + 1}"
            raise StartError(f"Port {port} is in use: choose another with {setting}, for example {example}.") from None
        raise StartError(f"Cannot listen on HOST={host} {setting}={port}: {error.strerror}.") from None


def check_certificate(certificate: Path, key: Path) -> None:
    """Raises `StartError` where the files (PEM) are no certificate and its key."""
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key, password="")
    except ssl.SSLError:
        raise StartError(
            "GRPC_TLS_CERTIFICATE and GRPC_TLS_KEY must name a certificate and its key, as PEM without a password."
        ) from None
    except OSError as error:
        raise StartError(f"GRPC_TLS_CERTIFICATE or GRPC_TLS_KEY cannot be read: {error.strerror}.") from None


def local_url(host: str, port: int) -> str:
    """The address at which this machine reaches a server that listens on `host`."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(host, host)  # noqa: S104  # compared, not bound
    return f"http://{f'[{name}]' if ':' in name and '[' not in name else name}:{port}"


def dying_with(parent: int, number: int = signal.SIGTERM) -> Callable[[], None] | None:
    """For `preexec_fn`: the kernel sends the new process a signal when `parent` dies (Linux alone can)."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def ask_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask_kernel


def _lock(folder: int, state_dir: Path) -> None:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StartError(f"Another one serves from STATE_DIR={state_dir}: stop it, or choose another folder.") from None


def _answers(url: str) -> bool:
    try:
        with _OPENER.open(url, timeout=2) as answer:
            return int(answer.status) == 200
    except (OSError, http.client.HTTPException):
        return False


def _reason(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:  # most real-time signals have no name
        return f"signal {-code}"
