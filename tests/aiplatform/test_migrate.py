"""`manage.py migrate` on PostgreSQL, beside those who write, and one who reads for long, as `pg_dump` does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests import environment
from tests.servers import PATIENCE_S, Servers, wait_until

_BEFORE = ("usage", "0006")  # 0007 wants usage_hold for itself


@pytest.fixture
def env(servers: Servers, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Of a database that has all migrations but the last of `usage`."""
    url = servers.postgres.create_database("migrated")
    made = {**environment.bare(), "STATE_DIR": str(tmp_path), "DATABASE_URL": url}
    subprocess.run([*_migrate(), *_BEFORE], env=made, cwd=environment.ROOT, check=True)
    yield made
    servers.postgres.drop_database("migrated")


def test_writers_go_on_while_a_migration_waits_for_a_reader(env: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        log.open("wb") as out,
        psycopg.connect(env["DATABASE_URL"]) as reader,
        psycopg.connect(env["DATABASE_URL"], autocommit=True) as writer,
    ):
        reader.execute("LOCK TABLE usage_hold IN ACCESS SHARE MODE")
        migrating = subprocess.Popen(_migrate(), env=env, cwd=environment.ROOT, stdout=out, stderr=out)
        try:
            wait_until(lambda: log.read_text().count("a table is in use") >= 2, what="the second line")
            writer.execute("SET statement_timeout = '2s'")
            writer.execute("DELETE FROM usage_hold")
            reader.rollback()
            assert migrating.wait(PATIENCE_S) == 0
        finally:
            migrating.kill()
            migrating.wait()

        assert writer.execute("SELECT 1 FROM django_migrations WHERE app = 'usage' AND name LIKE '0007%'").fetchone()
    assert "Traceback" not in log.read_text()


def _migrate() -> list[str]:
    return [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
