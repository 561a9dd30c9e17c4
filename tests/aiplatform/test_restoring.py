"""Back to a backup, by the commands that docs/operations.md shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests import environment
from tests.conftest import NewProduct
from tests.environment import manage
from tests.servers import Servers, wait_until

# A process that ends leaves its newest rows in a file beside the database's, unless it closes its connections before.
_FILL = (
    "import os; from django.utils import timezone; from tests.admin import demo; "
    "demo.fill(now=timezone.now(), calls=20); os._exit(0)"
)
_ADD = (
    "import os; from accounts.models import Client; "
    "Client.objects.bulk_create(Client(name=f'after-{n}') for n in range(2000)); os._exit(0)"
)
_COUNT = "from accounts.models import Client; print(Client.objects.filter(name__startswith='after').count())"


def _documented(about: str) -> tuple[str, str]:
    """The page's commands under the comments that begin with `about`: those that back up, and those that restore."""
    section = (environment.ROOT / "docs/operations.md").read_text().split("## Backup")[1].split("\n## ")[0]
    backup, restore = re.findall(rf"^    # {about}.*\n((?:    [^#].*\n)+)", section, re.MULTILINE)
    return backup.replace(".venv/bin/python", sys.executable), restore


def _run(commands: str, folder: Path, **env: str) -> None:
    subprocess.run(["sh", "-e", "-c", commands], check=True, cwd=folder, env={**os.environ, **env})


def test_an_embedded_installation_goes_back_to_its_backup(tmp_path: Path) -> None:
    env = {"STATE_DIR": str(tmp_path / "var")}
    backup, restore = _documented("embedded")
    manage("migrate", "-v0", **env)
    manage("shell", "-c", _FILL, **env)
    before = manage("verifyledger", **env)
    _run(backup, tmp_path)
    manage("shell", "-c", _ADD, **env)
    assert (tmp_path / "var/platform.sqlite3-wal").stat().st_size

    _run(restore, tmp_path)

    assert manage("verifyledger", **env) == before
    assert "20 records" in before
    assert manage("shell", "-v0", "-c", _COUNT, **env) == "0\n"


def test_an_installation_on_postgresql_goes_back_to_its_backup(servers: Servers, tmp_path: Path) -> None:
    servers.postgres.drop_database("torn")
    servers.postgres.drop_database("restored")
    state = {"STATE_DIR": str(tmp_path / "state")}
    torn = {**state, "DATABASE_URL": servers.postgres.create_database("torn")}
    restored = {**state, "DATABASE_URL": servers.postgres.create_database("restored")}
    path = f"{servers.postgres.binaries}:{os.environ['PATH']}"
    backup, restore = _documented("PostgreSQL")
    manage("migrate", "-v0", **torn)
    manage("shell", "-c", _FILL, **torn)

    _run(backup, tmp_path, PATH=path, DATABASE_URL=torn["DATABASE_URL"])
    _run(restore, tmp_path, PATH=path, DATABASE_URL=restored["DATABASE_URL"])

    assert manage("verifyledger", **restored) == manage("verifyledger", **torn)


def test_calls_after_a_backup_was_put_back_beside_a_running_platform_are_in_its_books(
    new_product: NewProduct,
) -> None:
    """Against the advice to stop it first: the file that it has open has no name any more, and ends with it."""
    with new_product() as product:
        database = product.state_dir / "platform.sqlite3"
        backup = product.state_dir / "backup.sqlite3"
        product.sql("VACUUM INTO %s", str(backup))

        for file in (f"{database}-wal", f"{database}-shm"):
            Path(file).unlink()
        backup.replace(database)
        assert product.chat().status == 200

        wait_until(lambda: product.sql("SELECT id FROM usage_usagerecord"), what="the call's record")
        assert "taken away or replaced" in product.log()
