"""What the ledger asks of its database."""

from __future__ import annotations

from datetime import timedelta, timezone

import pytest
import structlog
from django.db import connection

from tests.usage.rows import NOW, hold
from usage import ledger, sql
from usage.ledger import Reserve
from usage.models import Hold

pytestmark = pytest.mark.django_db


def test_a_database_that_forgets_commits_is_refused() -> None:
    sql.require_durable_commits()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = off")
        with pytest.raises(sql.NotDurableError, match="synchronous_commit is off"):
            sql.require_durable_commits()


@pytest.mark.django_db(transaction=True)
@pytest.mark.only_on("postgresql")
def test_where_a_server_forgets_by_default_our_connections_do_not() -> None:
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


@pytest.mark.parametrize("microseconds", [0, 5])
def test_a_time_is_stored_as_django_would_store_it(microseconds: int) -> None:
    """Reports compare SQLite's times as texts."""
    moment = NOW + timedelta(microseconds=microseconds)
    mine = hold(started_at=moment, deadline_at=moment.astimezone(timezone(timedelta(hours=5, minutes=30))))
    ledger.apply([Reserve(mine)])

    assert Hold.objects.filter(started_at=moment, deadline_at=moment).count() == 1
    stored = Hold.objects.get()
    assert (stored.started_at, stored.deadline_at, stored.lease_id) == (moment, moment, mine.lease_id)
    Hold.objects.update(started_at=moment)
    with connection.cursor() as cursor:
        cursor.execute("SELECT CAST(started_at AS text), CAST(deadline_at AS text) FROM usage_hold")
        by_django, by_ledger = cursor.fetchone() or ("", "?")
    assert by_django == by_ledger
