"""The processes under measurement: how they are started and stopped, put under load, and asked for their memory."""

from __future__ import annotations

import json
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

from benchmarks.driver import Figures, Load

HERE = Path(__file__).parent
_START_TIMEOUT_S = 60
_STOP_TIMEOUT_S = 30
_POLL_S = 0.005
_LOG_CHARS = 2_000


class BenchmarkError(Exception):
    """The benchmark cannot go on; the message is the one line that people read."""


class Process:
    """A server on loopback, started anew at will on the port it has."""

    def __init__(self, *, command: Sequence[str], cwd: Path, env: Mapping[str, str], port: int, log: Path) -> None:
        self.command = command
        self.cwd = cwd
        self.env = env
        self.port = port
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Returns once connections are accepted."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, cwd=self.cwd, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not _accepts(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise BenchmarkError(f"{self.command[2]} does not start:\n{self.last_words()}")
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
        """Resident, in 10^6 bytes."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / 1e6
        raise BenchmarkError("the system tells no memory of a process: Linux does")


class Driver:
    """The load driver's process, and the loads it has run."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "driver.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def run(self, load: Load) -> Figures:
        """Raises `BenchmarkError` where a call was not answered 200."""
        stdin, stdout = self._pipes()
        stdin.write(msgspec.json.encode(load) + b"\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise BenchmarkError("the load driver has died: see above")
        figures = msgspec.json.decode(line, type=Figures)
        if figures.failed:
            raise BenchmarkError(f"{figures.failed} calls failed, the first with: {figures.failure}")
        return figures

    def stop(self) -> None:
        stdin, stdout = self._pipes()
        stdin.close()
        self._process.wait()
        stdout.close()

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout


def uvicorn(application: str, *, cwd: Path, env: Mapping[str, str], log: Path) -> Process:
    """One worker, as the platform runs it (`aiplatform.supervisor.web_command`)."""
    port = free_port()
    options = ["--host", "127.0.0.1", "--port", str(port), "--loop", "uvloop", "--http", "httptools"]
    quiet = ["--no-access-log", "--no-server-header", "--log-level", "warning", "--timeout-keep-alive", "75"]
    return Process(
        command=[sys.executable, "-m", "uvicorn", application, *options, *quiet, "--lifespan", "on"],
        cwd=cwd,
        env={**os.environ, **env},
        port=port,
        log=log,
    )


def request(path: str, body: Mapping[str, object], *, key: str = "none") -> str:
    """A whole HTTP request, as SDKs send one."""
    encoded = json.dumps(body, separators=(",", ":"))
    lines = [
        f"POST {path} HTTP/1.1",
        "host: 127.0.0.1",
        f"authorization: Bearer {key}",
        "content-type: application/json",
        "accept: application/json",
        "user-agent: benchmark/1.0",
        f"content-length: {len(encoded)}",
    ]
    return "\r\n".join([*lines, "", encoded])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def descendants(pid: int) -> list[int]:
    """The children of a process and theirs."""
    children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [grandchild for child in children for grandchild in descendants(child)]


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
