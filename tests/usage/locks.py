"""Who waits for whom in the database."""

from __future__ import annotations

from django.db import connection

from tests.servers import wait_until


def until_one_waits() -> None:
    """For another's lock, in PostgreSQL. SQLite tells nobody."""
    if connection.vendor == "postgresql":
        wait_until(_one_waits, what="one to wait for the other")


def _one_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
        return cursor.fetchone() is not None
