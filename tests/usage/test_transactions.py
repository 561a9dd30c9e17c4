"""What the ledger's transactions promise, on the drivers' own cursors."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.db import transaction as django_transaction

from core.ids import uuid7
from tests.servers import wait_until
from tests.usage.rows import NOW, hold, record
from usage import ledger, sql
from usage.idempotency import Claim
from usage.ledger import Note, Reserve, Settle
from usage.models import Hold, UsageRecord
from usage.rollups import ROLLUPS
from usage.sql import Insert
from usage.transactions import Cursor, snapshot, transaction

pytestmark = pytest.mark.django_db(transaction=True)


def _elsewhere(work: Callable[[], Any]) -> Any:
    """Its outcome, on another connection."""

    def closing() -> Any:
        try:
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(closing).result(20)


def _asked(sql: str, *values: int) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()


def _cut_off() -> None:
    """The server ends this connection."""
    (pid,) = _asked("SELECT pg_backend_pid()")
    assert _elsewhere(lambda: _asked("SELECT pg_terminate_backend(%s, 5000)", pid)) == (True,)


class OursError(Exception):
    pass


def _fails(work: Callable[[Cursor], None]) -> None:
    with transaction() as cursor:
        cursor.rows("SELECT 1")
        work(cursor)
        raise OursError


def test_of_what_fails_nothing_stays() -> None:
    with pytest.raises(OursError):
        _fails(lambda cursor: sql.insert(cursor, Insert("usage_hold", [hold()])))
    assert not Hold.objects.exists()


@pytest.mark.only_on("postgresql")
def test_why_it_failed_is_told_where_it_cannot_even_be_rolled_back_and_the_next_one_is_fine() -> None:
    with pytest.raises(OursError):
        _fails(lambda _: _cut_off())
    ledger.apply([Note(record(hold()))])
    assert UsageRecord.objects.count() == 1


@pytest.mark.only_on("postgresql")
def test_a_connection_that_broke_is_given_up() -> None:
    _cut_off()
    with pytest.raises(DatabaseError, match="terminating connection"):
        ledger.apply([Note(record(hold()))])
    ledger.apply([Note(record(hold()))])
    assert UsageRecord.objects.count() == 1


@pytest.mark.only_on("postgresql")
def test_a_batch_that_waits_for_a_rebuild_keeps_no_table_from_it() -> None:
    """The rebuild of rollups locks one table after the other: whoever had a later one first would wait in a circle."""
    is_prepared, go_on = threading.Event(), threading.Event()

    def batches() -> None:
        for _ in range(10):  # by now as statements whose plan the server keeps
            ledger.apply([Note(record(hold()))])
        is_prepared.set()
        go_on.wait(20)
        ledger.apply([Note(record(hold()))])

    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(_elsewhere, batches)
        assert is_prepared.wait(20)
        with django_transaction.atomic(), connection.cursor() as cursor:
            first, *others = (rollup.table for rollup in ROLLUPS)
            cursor.execute(f"LOCK TABLE {first} IN SHARE ROW EXCLUSIVE MODE")
            go_on.set()
            wait_until(lambda: _asked("SELECT count(*) FROM pg_locks WHERE NOT granted") == (1,))
            cursor.execute(f"LOCK TABLE {', '.join(others)} IN SHARE ROW EXCLUSIVE MODE")
        written.result(20)
    assert UsageRecord.objects.count() == 11


@contextmanager
def _round_trips(folder: Path) -> Iterator[list[int]]:
    """How many there were, once it is left."""
    told, protocol = list[int](), (folder / "protocol").open("w+")
    raw: Any = connection.connection
    raw.pgconn.trace(protocol.fileno())
    try:
        yield told
    finally:
        raw.pgconn.untrace()
        protocol.seek(0)
        told.append(protocol.read().count("ReadyForQuery"))
        protocol.close()


@pytest.mark.only_on("postgresql")
def test_statements_wait_for_the_next_one_that_is_read(tmp_path: Path) -> None:
    claim = Claim(id=uuid7(), client="alice", key="k", fingerprint="f", request_id="r", created_at=NOW)
    held = hold()
    connection.ensure_connection()
    with _round_trips(tmp_path) as holds:
        ledger.apply([Reserve(held), Reserve(hold())])
    with _round_trips(tmp_path) as keys:
        ledger.apply([Reserve(hold(), idempotency=claim)])
    with _round_trips(tmp_path) as settles:
        ledger.apply([Settle(record(held)), Note(record(hold()))])
    assert (holds, keys, settles) == ([1], [2], [2])


def test_what_is_read_in_a_snapshot_is_of_one_moment_in_one_within_it_too() -> None:
    def write() -> None:
        ledger.apply([Note(record(hold()))])

    with snapshot():
        before = UsageRecord.objects.count()
        _elsewhere(write)
        with snapshot():
            assert UsageRecord.objects.count() == before
        assert UsageRecord.objects.count() == before
    assert UsageRecord.objects.count() == before + 1
