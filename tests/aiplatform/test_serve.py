"""`manage.py serve`, as `make run` starts it: from nothing to a first call, and again."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from aiplatform.supervisor import alone_in
from tests import environment
from tests.servers import PATIENCE_S, free_port, is_alive, wait_until


def _env(folder: Path, port: int, **more: str) -> dict[str, str]:
    return {**environment.bare(), "STATE_DIR": str(folder / "state"), "PORT": str(port), **more}


@contextmanager
def _serving(folder: Path, env: Mapping[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The command and what it has printed once it is ready."""
    log = folder / "log"
    with log.open("wb") as out:
        command = [sys.executable, "manage.py", "serve"]
        process = subprocess.Popen(command, env=env, cwd=environment.ROOT, stdout=out, stderr=out)
    try:
        wait_until(lambda: process.poll() is not None or "Try it" in log.read_text(), what="the banner")
        yield process, log.read_text()
    finally:
        process.terminate()
        process.wait(40)


def _paste(banner: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the banner's last line in a shell with the same settings, as a person would."""
    (line,) = [line.strip() for line in banner.splitlines() if line.strip().startswith("curl")]
    return subprocess.run(["sh", "-c", line], env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def test_the_first_start_prints_all_that_is_needed_and_the_second_no_secret(tmp_path: Path) -> None:
    env = _env(tmp_path, free_port())

    with _serving(tmp_path, env) as (process, banner):
        first = json.loads(_paste(banner, env).stdout)
        family = _family(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(40) == 0
        assert not any(map(is_alive, family))

    assert f"http://127.0.0.1:{env['PORT']}/admin/" in banner
    assert re.search(r"User +admin\n +Password +\S+\n", banner)
    assert first["choices"][0]["message"]["content"]

    with _serving(tmp_path, env) as (_, banner):
        second = json.loads(_paste(banner, env).stdout)

    assert "aip_" not in banner
    assert "mintkey" in banner
    assert second["choices"][0]["message"]["content"]


def test_killed_outright_it_leaves_nothing_running(tmp_path: Path) -> None:
    with _serving(tmp_path, _env(tmp_path, free_port())) as (process, _):
        family = _family(process)

        process.kill()

        wait_until(lambda: not any(map(is_alive, family)), what="the children to notice")


def test_a_worker_that_is_killed_takes_its_beat_along(tmp_path: Path) -> None:
    """Also where nobody is there any more to end what it leaves behind."""
    with _serving(tmp_path, _env(tmp_path, free_port())) as (process, _):
        _family(process)
        ((worker, (beat,)),) = [(child, own) for child in _children(process.pid) if (own := _children(child))]

        process.send_signal(signal.SIGSTOP)
        os.kill(worker, signal.SIGKILL)

        wait_until(lambda: not is_alive(beat), what="the beat to end")
        process.kill()


def _family(supervisor: subprocess.Popen[bytes]) -> list[int]:
    """The web server, the worker and its beat, once all are there."""
    wait_until(lambda: len(_descendants(supervisor.pid)) >= 3, what="the worker's beat")
    return _descendants(supervisor.pid)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _descendants(pid: int) -> list[int]:
    return [each for child in _children(pid) for each in (child, *_descendants(child))]


def _refused(env: Mapping[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", "serve"],
        env=env,
        cwd=environment.ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 1
    (line,) = (done.stdout + done.stderr).splitlines()
    return line


def test_a_port_in_use_stops_the_start_with_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        line = _refused(_env(tmp_path, port))

    assert f"Port {port} is in use" in line
    assert "PORT=" in line


def test_a_folder_that_another_one_serves_from_stops_the_start_with_one_line(tmp_path: Path) -> None:
    env = _env(tmp_path, free_port())
    state = Path(env["STATE_DIR"])
    state.mkdir()

    with alone_in(state):
        line = _refused(env)

    assert f"Another one serves from STATE_DIR={state}" in line
    assert not (state / "platform.sqlite3").exists()


@pytest.mark.parametrize("name", ["GRPC_PORT", "METRICS_PORT"])
def test_a_port_for_two_servers_stops_the_start_with_one_line(tmp_path: Path, name: str) -> None:
    port = free_port()  # specification C's PORT is the default of GRPC_PORT

    line = _refused(_env(tmp_path, port, **{name: str(port)}))

    assert f"PORT and {name} are both {port}: choose another {name}" in line


def test_a_certificate_that_is_none_stops_the_start_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("no key")
    files = {"GRPC_TLS_CERTIFICATE": str(tmp_path / "cert.pem"), "GRPC_TLS_KEY": str(tmp_path / "key.pem")}
    env = _env(tmp_path, free_port(), GRPC_PORT=str(free_port()), **files)

    missing = _refused(env)
    (tmp_path / "cert.pem").write_text("no certificate")
    strange = _refused(env)

    assert "GRPC_TLS_KEY cannot be read: No such file or directory." in missing
    assert "GRPC_TLS_KEY must name a certificate and its key" in strange


def test_several_web_workers_ask_for_redis(tmp_path: Path) -> None:
    line = _refused(_env(tmp_path, free_port(), WEB_WORKERS="2"))

    assert "WEB_WORKERS=2 needs REDIS_URL" in line


def test_a_database_that_does_not_answer_stops_the_start_with_one_line(tmp_path: Path) -> None:
    line = _refused(_env(tmp_path, free_port(), DATABASE_URL=f"postgres://u@127.0.0.1:{free_port()}/n"))

    assert "The database does not answer" in line
    assert "refused" in line


def test_a_web_server_waits_for_its_database_and_still_ends_when_told_to(tmp_path: Path) -> None:
    env = _env(tmp_path, free_port(), DATABASE_URL=f"postgres://u@127.0.0.1:{free_port()}/n")
    log = tmp_path / "log"

    with log.open("wb") as out:
        command = [sys.executable, "manage.py", "serve", "--only", "web"]
        process = subprocess.Popen(command, env=env, cwd=environment.ROOT, stdout=out, stderr=out)
    try:
        wait_until(lambda: log.read_text().count("waits for it") >= 2, what="the second line")
        process.terminate()
        assert process.wait(PATIENCE_S) == -signal.SIGTERM
    finally:
        process.kill()

    assert all("waits for it" in line and "refused" in line for line in log.read_text().splitlines())
