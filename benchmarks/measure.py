"""The processes under measurement: how they are started and stopped, put under load, and asked for their memory."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import msgspec

from benchmarks.loads import Figures, Load

ROOT = Path(__file__).parent.parent
_START_TIMEOUT_S = 90
_STOP_TIMEOUT_S = 30
_POLL_S = 0.005
_LOG_CHARS = 2_000


class BenchmarkError(Exception):
    """The benchmark cannot go on; the message is the one line that people read."""


class Process:
    """A server on loopback, started anew at will on the port it has. `cores`: those it may run on, if not all."""

    def __init__(self, *, command: Sequence[str], cwd: Path, env: Mapping[str, str], port: int, log: Path) -> None:
        self.command = command
        self.cwd = cwd
        self.env = env
        self.port = port
        self.log = log
        self.cores: Sequence[int] = ()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pids(self) -> tuple[int, ...]:
        """Its own and its descendants'."""
        assert self._process is not None
        return with_descendants(self._process.pid)

    def start(self) -> None:
        """Returns once connections are accepted."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, cwd=self.cwd, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        if self.cores:
            os.sched_setaffinity(self._process.pid, self.cores)
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not _accepts(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise BenchmarkError(f"{' '.join(self.command[:4])} does not start:\n{self.last_words()}")
            time.sleep(_POLL_S)

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def last_words(self) -> str:
        """The end of its log."""
        return self.log.read_text()[-_LOG_CHARS:]

    def memory_mb(self) -> float:
        """Resident, in 10^6 bytes: that of the process, or of the worker, that has most."""
        return max(_memory_mb(pid) for pid in self.pids)


class Driver:
    """The load driver's process, and the loads it has run."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.driver"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def begin(self, load: Load) -> None:
        """Start a load; `end` has its figures."""
        stdin, _ = self._pipes()
        stdin.write(msgspec.json.encode(load) + b"\n")
        stdin.flush()

    def end(self) -> Figures:
        """What has come of it. Waits for it."""
        _, stdout = self._pipes()
        line = stdout.readline()
        if not line:
            raise BenchmarkError("the load driver has died: see above")
        return msgspec.json.decode(line, type=Figures)

    def run(self, load: Load) -> Figures:
        """Both."""
        self.begin(load)
        return self.end()

    def stop(self) -> None:
        stdin, stdout = self._pipes()
        stdin.close()
        self._process.wait()
        stdout.close()

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout


def python(module: str, *options: str, port: int, env: Mapping[str, str], log: Path) -> Process:
    """A module of ours, or uvicorn, as a server."""
    command = [sys.executable, "-m", module, *options]
    return Process(command=command, cwd=ROOT, env={**os.environ, **env}, port=port, log=log)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def with_descendants(pid: int) -> tuple[int, ...]:
    """The process, its children and theirs. A database's helpers come and go meanwhile."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return (pid,)
    return (pid, *(each for child in children for each in with_descendants(int(child))))


def _memory_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise BenchmarkError("the system tells no memory of a process: Linux does")


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
