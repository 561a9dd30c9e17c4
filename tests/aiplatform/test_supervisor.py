"""The supervisor, with small children of its own instead of the web server and the worker."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from celery import Celery

from aiplatform.supervisor import StartError, check_port, local_url, worker_command
from tests import environment
from tests.servers import PATIENCE_S, free_port, is_alive, redis, wait_until

_SERVER = """
import http.server, os, pathlib, sys
class Alive(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
pathlib.Path("web.pid").write_text(str(os.getpid()))
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Alive).serve_forever()
"""
# A worker with a child of its own, as Celery's has its beat.
_WORKER = """
import os, pathlib, subprocess, sys, time
beat = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path("beat.pid").write_text(str(beat.pid))
pathlib.Path("worker.pid").write_text(str(os.getpid()))
try:
    time.sleep(600)
finally:
    beat.kill()
"""
_STUBBORN = """
import os, pathlib, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path("worker.pid").write_text(str(os.getpid()))
time.sleep(600)
"""
# What it says first is no HTTP.
_BABBLER = """
import pathlib, socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    while True:
        connection = server.accept()[0]
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n" if pathlib.Path("babbled").exists() else b"hello\\n")
        pathlib.Path("babbled").touch()
        connection.close()
"""
# Jobs that last until the test has seen what it waits for.
_JOBS = """
import pathlib, sys, time
from core.jobs import app
@app.task(name="long")
def long(name):
    pathlib.Path(name).touch()
    while not pathlib.Path("seen").exists(): time.sleep(0.05)
@app.task(name="short")
def short(): pathlib.Path("short").touch()
"""
_SUPERVISE = """
import sys
from aiplatform import supervisor
port, web, worker, grace_s = sys.argv[1:]
supervisor._STOP_GRACE_S, supervisor._BACK_OFF_S, supervisor._READY_TIMEOUT_S = float(grace_s), (0.2,), 60
children = [supervisor.Child("The web server", [sys.executable, "-c", web, port]),
            supervisor.Child("The worker", [sys.executable, "-c", worker])]
try:
    supervisor.Supervisor(children, url=f"http://127.0.0.1:{port}").run(lambda: print("ready", flush=True))
except supervisor.StartError as error:
    sys.exit(str(error))
"""


class Run:
    """A supervisor in a process of its own; its children write their ids beside its output."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self.process = process

    def said(self) -> str:
        return (self.folder / "out").read_text()

    def pid(self, name: str) -> int:
        file, said = self.folder / f"{name}.pid", ""

        def is_said() -> bool:  # a child that was started again writes it anew
            nonlocal said
            said = file.read_text() if file.exists() else ""
            return bool(said)

        wait_until(is_said, what=name)
        return int(said)

    def is_ready(self) -> bool:
        return "ready" in self.said()


@contextmanager
def _supervising(
    folder: Path, *, web: str = _SERVER, worker: str = _WORKER, grace_s: float = 1.5, output: int | None = None
) -> Iterator[Run]:
    # A proxy that nobody is: what stays on this machine must not ask it.
    env = {**environment.bare(), "PYTHONPATH": str(environment.ROOT), "http_proxy": "http://127.0.0.1:9"}
    words = (str(free_port()), textwrap.dedent(web), textwrap.dedent(worker), str(grace_s))
    script = [sys.executable, "-c", _SUPERVISE, *words]
    with (folder / "out").open("wb") as out:
        to = out if output is None else output
        process = subprocess.Popen(script, cwd=folder, env=env, stdout=to, stderr=to)
    try:
        yield Run(folder, process)
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_everything_and_leaves_no_orphan(tmp_path: Path, number: int) -> None:
    with _supervising(tmp_path) as run:
        wait_until(run.is_ready)
        pids = [run.pid(name) for name in ("web", "worker", "beat")]

        run.process.send_signal(number)

        assert run.process.wait(10) == 0
        assert not any(map(is_alive, pids))


def test_a_child_that_will_not_stop_is_killed_after_the_grace_period(tmp_path: Path) -> None:
    with _supervising(tmp_path, worker=_STUBBORN) as run:
        wait_until(run.is_ready)
        stubborn = run.pid("worker")

        run.process.terminate()

        assert run.process.wait(10) == 0
        assert not is_alive(stubborn)


def test_a_second_signal_cuts_the_grace_period_short(tmp_path: Path) -> None:
    with _supervising(tmp_path, worker=_STUBBORN, grace_s=PATIENCE_S) as run:
        wait_until(run.is_ready)
        run.pid("worker")

        run.process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            run.process.wait(0.4)
        run.process.send_signal(signal.SIGINT)

        assert run.process.wait(PATIENCE_S / 2) == 0


_NAMELESS = 40  # a real-time signal, of which Python knows the first and the last by name


@pytest.mark.parametrize(
    ("name", "number", "said"),
    [
        ("web", signal.SIGKILL, "The web server ended (signal SIGKILL)"),
        ("web", _NAMELESS, "The web server ended (signal 40)"),
        ("worker", signal.SIGKILL, "The worker ended (signal SIGKILL)"),
    ],
)
def test_a_child_that_dies_is_started_again_and_said_so(tmp_path: Path, name: str, number: int, said: str) -> None:
    with _supervising(tmp_path) as run:
        wait_until(run.is_ready)
        before, beat = run.pid(name), run.pid("beat")

        os.kill(before, number)

        wait_until(lambda: run.pid(name) != before)
        assert f"{said}; starting it again in 0.2 s." in run.said()
        if name == "worker":
            assert not is_alive(beat)  # its group went with it


def test_a_child_is_started_again_also_where_nobody_can_be_told(tmp_path: Path) -> None:
    """Its log was piped into a program that has ended meanwhile."""
    reader, writer = os.pipe()
    with _supervising(tmp_path, output=writer) as run:
        os.close(writer)
        before = run.pid("worker")
        with os.fdopen(reader, "rb") as said:
            assert said.readline() == b"ready\n"

        os.kill(before, signal.SIGKILL)

        wait_until(lambda: run.pid("worker") != before)
        run.process.terminate()
        assert run.process.wait(10) == 0


def test_a_supervisor_that_is_killed_takes_its_children_along(tmp_path: Path) -> None:
    with _supervising(tmp_path) as run:
        wait_until(run.is_ready)
        pids = [run.pid(name) for name in ("web", "worker")]

        run.process.kill()

        wait_until(lambda: not any(map(is_alive, pids)))
        # As Celery does on SIGTERM, this stand-in would stop its own child; Python's default handler cannot.
        os.kill(run.pid("beat"), signal.SIGKILL)


def test_a_part_that_never_starts_ends_the_start_with_one_line(tmp_path: Path) -> None:
    with _supervising(tmp_path, web="raise SystemExit('no such thing')") as run:
        assert run.process.wait(15) == 1

        lines = run.said().splitlines()
        assert lines.count("no such thing") == 3
        assert lines[-1] == "A part of the platform does not start: the lines above say why."


def test_who_answers_in_another_language_is_waited_for(tmp_path: Path) -> None:
    with _supervising(tmp_path, web=_BABBLER) as run:
        wait_until(run.is_ready)

        assert (run.folder / "babbled").exists()


def test_long_jobs_keep_no_short_one_waiting(tmp_path: Path) -> None:
    """A proof of the books, a re-pricing and two slow mail servers: the alert rules are looked at all the same."""
    (tmp_path / "jobs_of_a_test.py").write_text(_JOBS)
    long = [f"long{number}" for number in range(4)]
    with redis() as broker:
        paths = os.pathsep.join([str(tmp_path), str(environment.ROOT)])
        env = {**environment.bare(), "REDIS_URL": broker.url, "STATE_DIR": str(tmp_path), "PYTHONPATH": paths}
        command = [*worker_command(state_dir=tmp_path, embedded=False), "--include", "jobs_of_a_test"]
        worker = subprocess.Popen(command, cwd=tmp_path, env=env)
        try:
            with Celery(broker=broker.url, set_as_current=False) as asked:
                for name in long:
                    asked.send_task("long", [name])
                wait_until((tmp_path / long[0]).exists)
                asked.send_task("short")
                wait_until((tmp_path / "short").exists)
            assert all((tmp_path / name).exists() for name in long)
        finally:
            (tmp_path / "seen").touch()
            worker.terminate()
            worker.wait(30)


def test_a_port_in_use_is_named_with_its_variable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(StartError, match=rf"Port {port} is in use.*PORT={port + 1}"):
            check_port("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_that_is_not_ours_is_named_with_its_variable(host: str) -> None:
    with pytest.raises(StartError, match=f"HOST={host}"):
        check_port(host, free_port())


def test_a_free_port_is_fine() -> None:
    check_port("127.0.0.1", free_port())


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("::1", "http://[::1]:8000"),
        ("ai.example.com", "http://ai.example.com:8000"),
    ],
)
def test_the_address_that_is_shown_can_be_opened_on_this_machine(host: str, url: str) -> None:
    assert local_url(host, 8000) == url
