"""From SQLite to PostgreSQL, by the commands that docs/operations.md shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import environment
from tests.environment import manage
from tests.servers import Servers

_FILL = "from django.utils import timezone; from tests.admin import demo; demo.fill(now=timezone.now(), calls=40)"


def _documented(file: Path) -> list[list[str]]:
    """The arguments of each `manage.py` line of the page's section."""
    page = (environment.ROOT / "docs/operations.md").read_text()
    section = page.split("## From SQLite to PostgreSQL")[1].split("\n## ")[0]
    lines = re.findall(r"^    manage\.py (.+)$", section, re.MULTILINE)
    return [
        [word.strip('"').replace("moved.json", str(file)) for word in re.findall(r'"[^"]+"|\S+', line)]
        for line in lines
    ]


@pytest.mark.timeout(300)
def test_the_books_balance_in_postgresql_as_they_did(servers: Servers, tmp_path: Path) -> None:
    servers.postgres.drop_database("moved")
    before = {"STATE_DIR": str(tmp_path / "state"), "TIME_ZONE": "UTC"}
    after = {**before, "DATABASE_URL": servers.postgres.create_database("moved")}
    manage("migrate", "-v0", **before)
    manage("shell", "-c", _FILL, **before)
    dump, *others = _documented(tmp_path / "moved.json")

    manage(*dump, **before)
    told = [manage(*each, **after) for each in others]

    assert dump[0] == "dumpdata"
    assert told[-1] == manage("verifyledger", **before)
    assert "40 records" in told[-1]
