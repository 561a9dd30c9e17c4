"""The real product as real processes, in a folder of its own and on a free port.

Embedded (SQLite, no Redis) or production (PostgreSQL, Redis, several workers). A product starts from a template that
was migrated and bootstrapped once, so that it is up in about a second.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from cryptography.fernet import Fernet
from psycopg.rows import dict_row

from aiplatform.supervisor import Child, beat_command, web_command, worker_command
from tests import environment
from tests.servers import PATIENCE_S, Postgres, Redis, free_port, is_alive, wait_until

_START_TIMEOUT_S = 60
_STOP_TIMEOUT_S = 30
# As text or as JSON.
_IN_FORCE = re.compile(
    r"^(?=.*the configuration is in force)(?=.*\bprocess\W+(\d+))(?=.*\brevision\W+(\d+))", re.MULTILINE
)
_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Template:
    """A set-up installation, to be copied. `database` is its name on the PostgreSQL server, where it uses one."""

    state_dir: Path
    env: Mapping[str, str]
    database: str | None
    admin_password: str
    key: str
    manage_key: str
    keys: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A whole HTTP answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()

    def json(self) -> Any:
        return json.loads(self.content)


class Product:
    """A running installation."""

    def __init__(self, template: Template, *, state_dir: Path, env: Mapping[str, str], jobs: bool) -> None:
        self.admin_password = template.admin_password
        self.key = template.key
        self.manage_key = template.manage_key
        self.keys = template.keys
        self.state_dir = state_dir
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.env = {**template.env, **env, "STATE_DIR": str(state_dir), "PORT": str(self.port)}
        self._log = (state_dir / "log").open("ab")
        self._workers = int(self.env["WEB_WORKERS"] or 1)
        self.web = self._child("web", web_command(host="127.0.0.1", port=self.port, workers=self._workers))
        self.jobs = self._jobs() if jobs else []

    def start(self) -> None:
        for child in (self.web, *self.jobs):
            child.start(self.env)
        wait_until(self._is_ready, timeout_s=_START_TIMEOUT_S, what=f"the product; its log: {self.log()[-3000:]}")

    def stop(self) -> None:
        """SIGTERM, and wait until all has ended."""
        for child in (self.web, *self.jobs):
            child.signal(signal.SIGTERM)
        for child in (self.web, *self.jobs):
            _end(child)

    def kill_web(self) -> None:
        """SIGKILL to the web server and its workers."""
        self.web.signal(signal.SIGKILL)
        _end(self.web)

    def restart(self) -> None:
        """Stop what runs, start again on the same port and data."""
        self.stop()
        self.start()

    def close(self) -> None:
        self.stop()
        self._log.close()

    def url(self, path: str) -> str:
        return self.base_url + path

    def log(self) -> str:
        """All that its processes have printed."""
        return (self.state_dir / "log").read_text(errors="replace")

    def until_in_force(self) -> None:
        """Wait until what the configuration is now is in force in every web process, as each of them says itself."""
        (newest,) = self.sql("SELECT number FROM catalogue_revision")
        wait_until(lambda: self._serving(newest["number"]) >= self._workers, what="the change to be in force")

    def _serving(self, revision: int) -> int:
        """How many web processes serve by that revision or a later one."""
        said = {int(process): int(number) for process, number in _IN_FORCE.findall(self.log())}
        return sum(number >= revision and is_alive(process) for process, number in said.items())

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = PATIENCE_S,
    ) -> Answer:
        """One HTTP call; `body` is sent as JSON (bytes as they are), `key` as Bearer."""
        with self.opened(method, path, body=body, key=key, headers=headers, timeout_s=timeout_s) as answer:
            content = answer.read()
            lowered = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(status=answer.status, headers=lowered, content=content)

    @contextlib.contextmanager
    def opened(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = PATIENCE_S,
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer while it still comes, for streams; leaving the block hangs up."""
        with (
            self.asking(method, path, body=body, key=key, headers=headers, timeout_s=timeout_s) as connection,
            connection.getresponse() as answer,
        ):
            yield answer

    @contextlib.contextmanager
    def asking(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = PATIENCE_S,
    ) -> Iterator[http.client.HTTPConnection]:
        """A call whose answer is not waited for; leaving the block hangs up."""
        sent = dict(headers or {})
        if key:
            sent["Authorization"] = f"Bearer {key}"
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request(method, path, data, sent)
            yield connection
        finally:
            connection.close()

    def chat(self, text: str = "Hello", *, model: str = "demo", key: str | None = None, **fields: Any) -> Answer:
        """A plain chat completion through the OpenAI door."""
        body = {"model": model, "messages": [{"role": "user", "content": text}], **fields}
        return self.request("POST", "/v1/chat/completions", body=body, key=key or self.key)

    def manage(self, *words: str, stdin: str = "") -> str:
        """What `manage.py` prints. Raises where it fails."""
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            env=self.env,
            input=stdin,
            cwd=environment.ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def sql(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Run a statement on its database, `%s` for values; its rows, if it has any."""
        if url := self.env["DATABASE_URL"]:
            return _on_postgres(url, query, values)
        return _on_sqlite(self.state_dir / "platform.sqlite3", query, values)

    def _is_ready(self) -> bool:
        if not self.web.is_running:
            raise AssertionError(f"The web server ended: {self.log()[-3000:]}")
        try:
            return self.request("GET", "/readyz", timeout_s=5).status == 200
        except OSError:
            return False

    def _jobs(self) -> list[Child]:
        embedded = not self.env["REDIS_URL"]
        jobs = [self._child("worker", worker_command(state_dir=self.state_dir, embedded=embedded))]
        if not embedded:
            jobs.append(self._child("beat", beat_command(state_dir=self.state_dir)))
        return jobs

    def _child(self, name: str, command: Sequence[str]) -> Child:
        return Child(name, command, output=self._log)


@contextlib.contextmanager
def embedded(
    template: Template, *, folder: Path, env: Mapping[str, str] | None = None, jobs: bool = False
) -> Iterator[Product]:
    """A product of one's own on SQLite; `jobs`: with Celery."""
    state_dir = _copy_of(template.state_dir, folder)
    yield from _running(Product(template, state_dir=state_dir, env=env or {}, jobs=jobs))


@contextlib.contextmanager
def production(
    template: Template,
    *,
    folder: Path,
    postgres: Postgres,
    redis: Redis,
    env: Mapping[str, str] | None = None,
    workers: int = 2,
    jobs: bool = False,
) -> Iterator[Product]:
    """A product of one's own on PostgreSQL and Redis. `postgres` is the server that holds the template's database."""
    assert template.database is not None
    state_dir = _copy_of(template.state_dir, folder)
    name = f"product_{next(_numbers)}"
    own = {
        "DATABASE_URL": postgres.create_database(name, template=template.database),
        "REDIS_URL": redis.url,
        "WEB_WORKERS": str(workers),
    }
    try:
        yield from _running(Product(template, state_dir=state_dir, env={**own, **(env or {})}, jobs=jobs))
    finally:
        if postgres.process is not None:
            postgres.drop_database(name)


def embedded_template(folder: Path, *, upstream_url: str) -> Template:
    return _template(folder, {}, upstream_url, database=None)


def production_template(folder: Path, *, upstream_url: str, postgres: Postgres) -> Template:
    """With `DJANGO_ENV=production`: the secrets come from the environment."""
    database = f"template_{next(_numbers)}"
    env = {
        "DJANGO_ENV": "production",
        "SECRET_KEY": "for-tests-alone-" + "x" * 40,
        "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "DATABASE_URL": postgres.create_database(database),
        "EGRESS_ALLOWED_NETWORKS": "127.0.0.0/8",  # where the scripted provider is
    }
    return _template(folder, env, upstream_url, database=database)


def _template(folder: Path, env: Mapping[str, str], upstream_url: str, *, database: str | None) -> Template:
    folder.mkdir(parents=True, exist_ok=True)
    full = {**environment.bare(), **env, "STATE_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.prepare"],
        env=full | {"UPSTREAM_URL": upstream_url},
        cwd=environment.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Template(state_dir=folder, env=full, database=database, **json.loads(done.stdout))


def _copy_of(state_dir: Path, folder: Path) -> Path:
    """The static files are shared: nobody changes them."""
    copy = folder / f"state-{next(_numbers)}"
    shutil.copytree(state_dir, copy, ignore=shutil.ignore_patterns("static"))
    (copy / "static").symlink_to(state_dir / "static")
    return copy


def _running(product: Product) -> Iterator[Product]:
    try:
        product.start()
        yield product
    finally:
        product.close()


def _end(child: Child) -> None:
    """Wait until it has ended, and see to it that nothing of its group is left."""
    if child.process is None:
        return
    try:
        child.process.wait(_STOP_TIMEOUT_S)
    finally:
        child.signal(signal.SIGKILL)
        child.process.wait()
        child.process = None


def _on_postgres(url: str, query: str, values: Sequence[Any]) -> list[dict[str, Any]]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        cursor = connection.execute(query, values or None)
        return cursor.fetchall() if cursor.description else []


def _on_sqlite(path: Path, query: str, values: Sequence[Any]) -> list[dict[str, Any]]:
    with contextlib.closing(sqlite3.connect(path, timeout=20)) as connection:
        connection.row_factory = sqlite3.Row
        rows = connection.execute(query.replace("%s", "?") if values else query, values).fetchall()
        connection.commit()
        return [dict(row) for row in rows]
