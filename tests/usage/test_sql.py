"""What the ledger asks of its database."""

from __future__ import annotations

import pytest
import structlog
from django.db import connection

from usage import sql

pytestmark = pytest.mark.django_db


def test_a_database_that_forgets_commits_is_refused() -> None:
    sql.require_durable_commits()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = off")
        with pytest.raises(sql.NotDurableError, match="synchronous_commit is off"):
            sql.require_durable_commits()


@pytest.mark.django_db(transaction=True)
def test_where_a_server_forgets_by_default_our_connections_do_not() -> None:
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("ALTER ROLE CURRENT_USER SET synchronous_commit = off")
    try:
        connection.close()
        sql.require_durable_commits()
        with connection.cursor() as cursor:
            cursor.execute("SHOW synchronous_commit")
            assert cursor.fetchone() == ("on",)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER ROLE CURRENT_USER RESET synchronous_commit")


def test_a_server_that_never_waits_for_its_disk_is_told_of() -> None:
    """The tests' own is one: its data outlives the server, and not its machine."""
    with structlog.testing.capture_logs() as told:
        sql.require_durable_commits()
    assert ["fsync is off" in each["event"] for each in told] == [True] * (connection.vendor == "postgresql")
