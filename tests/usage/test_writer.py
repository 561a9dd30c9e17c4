"""The group commit, with its real thread and the real database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from django.db import connection

from tests.usage.rows import hold, record
from usage.ledger import Reserve, Settle
from usage.models import Hold, Lease, UsageRecord
from usage.writer import Writer

pytestmark = pytest.mark.django_db(transaction=True)


def _with_writer(story: Callable[[Writer], Awaitable[None]], folder: Path) -> None:
    async def run() -> None:
        writer = Writer(folder)
        await writer.start()
        try:
            await story(writer)
        finally:
            await writer.stop()

    asyncio.run(run())


def _count(model: type[Hold | UsageRecord]) -> int:
    """As another connection sees it."""
    try:
        return model._default_manager.count()
    finally:
        connection.close()


def test_what_is_awaited_is_durable(tmp_path: Path) -> None:
    async def story(writer: Writer) -> None:
        held = hold(lease_id=writer.lease_id)
        await writer.write(Reserve(held))
        assert await asyncio.to_thread(_count, Hold) == 1
        await writer.write(Settle(record(held)))
        assert await asyncio.to_thread(_count, UsageRecord) == 1

    _with_writer(story, tmp_path)


def test_many_callers_at_once_are_each_told(tmp_path: Path) -> None:
    async def story(writer: Writer) -> None:
        holds = [hold(lease_id=writer.lease_id) for _ in range(1_000)]
        await asyncio.gather(*(writer.write(Reserve(held)) for held in holds))
        await asyncio.gather(*(writer.write(Settle(record(held))) for held in holds))

    _with_writer(story, tmp_path)
    assert (Hold.objects.count(), UsageRecord.objects.count()) == (0, 1_000)


def test_a_row_that_the_database_refuses_fails_alone(tmp_path: Path) -> None:
    async def story(writer: Writer) -> None:
        good = [hold(lease_id=writer.lease_id) for _ in range(20)]
        bad = hold(lease_id=writer.lease_id, request_id=None)
        told = await asyncio.gather(
            *(writer.write(Reserve(held)) for held in [*good[:10], bad, *good[10:]]), return_exceptions=True
        )
        assert [index for index, outcome in enumerate(told) if outcome is not None] == [10]

    _with_writer(story, tmp_path)
    assert Hold.objects.count() == 20


def test_stopping_writes_what_waits_and_gives_the_lease_back(tmp_path: Path) -> None:
    async def story(writer: Writer) -> None:
        for _ in range(50):
            writer.write(Reserve(hold(lease_id=writer.lease_id)))

    _with_writer(story, tmp_path)
    assert (Hold.objects.count(), Lease.objects.count()) == (50, 0)


def test_a_database_that_takes_no_writes_is_away_and_the_journal_keeps_what_it_refused(tmp_path: Path) -> None:
    """Its refusal is of another class than a lost connection: it must not count as a bad row, or the row is lost."""
    held, other = hold(), hold()

    async def story(writer: Writer) -> None:
        await asyncio.to_thread(_rename, "usage_hold", "usage_hold_away")
        try:
            await writer.write(Reserve(held))
            await writer.write(Settle(record(held)))
        finally:
            await asyncio.to_thread(_rename, "usage_hold_away", "usage_hold")
        await writer.write(Settle(record(other)))

    _with_writer(story, tmp_path)
    assert set(UsageRecord.objects.values_list("pk", flat=True)) == {held.id, other.id}
    assert not Hold.objects.exists()


def _rename(table: str, name: str) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table} RENAME TO {name}")
    finally:
        connection.close()
