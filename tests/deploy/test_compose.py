"""docker-compose.yml, run without containers: the same commands and variables as plain processes on real servers."""

from __future__ import annotations

import functools
import http.client
import http.server
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.fernet import Fernet

from aiplatform.stopping import KILLED_AFTER_S
from tests import environment
from tests.servers import PATIENCE_S, Servers, free_port, wait_until

_DOTENV = {
    "POSTGRES_PASSWORD": "postgres",
    "SECRET_KEY": "for-tests-alone-" + "x" * 40,
    "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
    "WEB_WORKERS": "2",
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((environment.ROOT / "docker-compose.yml").read_text())
    return loaded


@pytest.fixture
def run_env(servers: Servers, tmp_path: Path) -> Callable[[dict[str, Any]], dict[str, str]]:
    """A service's environment, with this machine's addresses in place of the containers'."""
    database = "compose"
    servers.postgres.drop_database(database)
    servers.postgres.create_database(database)
    port, grpc_port = str(free_port()), free_port()

    def env(service: dict[str, Any]) -> dict[str, str]:
        given = {name: _interpolated(str(value)) for name, value in service["environment"].items()}
        given["DATABASE_URL"] = servers.postgres.url(database)
        given["REDIS_URL"] = given["REDIS_URL"].replace("redis:6379", f"127.0.0.1:{servers.redis.port}")
        mine = {"STATE_DIR": str(tmp_path / "state"), "PORT": port, "GRPC_PORT": str(grpc_port)}
        return {**environment.bare(), **given, **mine}

    return env


def test_the_services_of_the_file_answer_a_call_together(
    compose: dict[str, Any], run_env: Callable[[dict[str, Any]], dict[str, str]], tmp_path: Path
) -> None:
    services = compose["services"]
    setup = _run(services["setup"]["command"], run_env(services["setup"]))
    assert "aip_" in setup
    env = run_env(services["web"])
    add = ["addprovider", "--name", "Demo", "--kind", "demo", "--model", "demo"]
    _run(["python", "manage.py", *add, "--input-price", "1", "--output-price", "2"], env)
    key = _run(["python", "manage.py", "mintkey", "--client", "shop", "--quiet"], env).strip()

    with ExitStack() as running:
        processes = [
            running.enter_context(_running(services[name]["command"], run_env(services[name]), tmp_path / name))
            for name in ("web", "grpc", "worker", "beat")
        ]
        port = int(env["PORT"])
        wait_until(lambda: _answers(port), what=f"web: {(tmp_path / 'web').read_text()}")

        # A process that is stopped while it starts may end with an error: beat is up when it keeps its schedule.
        wait_until(lambda: list((tmp_path / "state" / "celery").glob("schedule*")), what="beat")

        answer = _chat(port, key)

        assert answer["choices"][0]["message"]["content"]
        assert all(process.poll() is None for process in processes)
    assert "Error" not in (tmp_path / "beat").read_text()


def test_every_part_is_there_once_set_up_and_only_the_web_is_open(compose: dict[str, Any]) -> None:
    services = compose["services"]

    assert set(services) >= {"postgres", "redis", "setup", "web", "grpc", "worker", "beat"}
    assert [name for name, service in services.items() if "ports" in service] == ["web", "grpc"]
    for name in ("web", "grpc", "worker", "beat"):
        assert services[name]["depends_on"] == {"setup": {"condition": "service_completed_successfully"}}


def test_redis_is_bounded_and_throws_nothing_out(compose: dict[str, Any]) -> None:
    """Kept answers leave room within its bound, and a counter that was thrown out would limit nobody."""
    server, *options = compose["services"]["redis"]["command"]

    assert server == "redis-server"
    given = dict(zip(options[::2], options[1::2], strict=True))
    assert given["--maxmemory"].endswith("gb")
    assert given["--maxmemory-policy"] == "noeviction"


def test_nobody_is_killed_before_its_calls_are_settled(compose: dict[str, Any]) -> None:
    for name in ("web", "grpc"):
        assert int(compose["services"][name]["stop_grace_period"].removesuffix("s")) >= KILLED_AFTER_S + 5


def test_who_answers_calls_is_asked_whether_it_lives(compose: dict[str, Any]) -> None:
    services = compose["services"]

    assert "healthcheck" not in services["web"]  # the image's own
    with socket.create_server(("127.0.0.1", 0)) as listening:
        env = {**environment.bare(), "GRPC_PORT": str(listening.getsockname()[1])}
        _, *command = services["grpc"]["healthcheck"]["test"]
        _run(command, env)
    dead = subprocess.run(_words(command), env=env, capture_output=True, timeout=PATIENCE_S, check=False)
    assert dead.returncode != 0


def test_the_images_health_check_asks_no_proxy(tmp_path: Path) -> None:
    """Docker sets HTTP_PROXY in containers where its own client has one."""
    [words] = re.findall(r"HEALTHCHECK [^\n]*\\\n +CMD (\[.*\])", (environment.ROOT / "Dockerfile").read_text())
    (tmp_path / "livez").touch()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        env = {**environment.bare(), "PORT": str(server.server_port), "http_proxy": "http://127.0.0.1:9"}
        try:
            _run(json.loads(words), env)
        finally:
            server.shutdown()


def test_no_secret_has_a_default(compose: dict[str, Any]) -> None:
    text = json.dumps(compose)

    for name in ("SECRET_KEY", "ENCRYPTION_KEYS", "POSTGRES_PASSWORD"):
        assert f"${{{name}:?" in text
        assert f"${{{name}:-" not in text


def test_the_image_runs_as_nobody_special_and_starts_the_web() -> None:
    lines = (environment.ROOT / "Dockerfile").read_text().splitlines()

    assert "USER 10001" in lines
    assert lines[-1] == 'CMD ["python", "manage.py", "serve", "--only", "web"]'
    assert any("--require-hashes" in line for line in lines)


def _interpolated(value: str) -> str:
    """Compose's `${NAME:-default}` and `${NAME:?message}`."""
    return re.sub(
        r"\$\{(\w+)(?::([-?])([^}]*))?\}", lambda m: _DOTENV.get(m[1]) or (m[3] if m[2] == "-" else ""), value
    )


def _words(command: list[str] | str) -> list[str]:
    words = shlex.split(command) if isinstance(command, str) else command
    return [sys.executable, *words[1:]] if words[0] == "python" else words


def _run(command: list[str] | str, env: Mapping[str, str]) -> str:
    done = subprocess.run(
        _words(command), env=env, cwd=environment.ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def _running(command: list[str] | str, env: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(
            _words(command), env=env, cwd=environment.ROOT, stdout=out, stderr=out, process_group=0
        )
    try:
        yield process
        process.terminate()
        assert process.wait(40) in (0, -signal.SIGTERM)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(port: int) -> bool:
    try:
        return _request(port, "GET", "/readyz").status == 200
    except OSError:
        return False


def _chat(port: int, key: str) -> Any:
    body = json.dumps({"model": "demo", "messages": [{"role": "user", "content": "Hello"}]})
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    return json.loads(_request(port, "POST", "/v1/chat/completions", body, headers).read())


def _request(
    port: int, method: str, path: str, body: str | None = None, headers: Mapping[str, str] | None = None
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.request(method, path, body, dict(headers or {}))
    return connection.getresponse()
