"""Django's `manage.py migrate`, safe beside traffic: no writer queues for long behind a migration that waits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError, connections

# Whoever wants a table that a migration waits for waits with it: less than it takes for a database to count as away.
_LOCK_TIMEOUT = "400ms"
_PAUSE_S = 3.0
_PATIENCE_S = 240.0  # Helm gives an upgrade's set-up five minutes
_LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL's documentation, "PostgreSQL Error Codes"

log = structlog.get_logger(__name__)


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        if connections[options["database"]].vendor != "postgresql":
            super().handle(*args, **options)
            return
        give_up_at = time.monotonic() + _PATIENCE_S
        while not self._is_done(*args, **options):
            if time.monotonic() > give_up_at:
                raise CommandError(
                    f"A table has been in use for {_PATIENCE_S / 60:g} minutes. What was migrated before stays so: "
                    "migrate again once whoever reads it, a backup say, has ended."
                )
            log.warning("a table is in use: its migration is tried again", in_s=_PAUSE_S)
            time.sleep(_PAUSE_S)

    def _is_done(self, *args: Any, **options: Any) -> bool:
        """Those that are done are not done again; one that had to give way was undone, or begins anew."""
        try:
            with _impatient(options["database"]):
                super().handle(*args, **options)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
            return False
        return True


@contextmanager
def _impatient(database: str) -> Iterator[None]:
    """A session that gives up waiting for a lock."""
    connection = connections[database]
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{_LOCK_TIMEOUT}'")
    try:
        yield
    finally:
        connection.close()
