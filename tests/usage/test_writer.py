"""The group commit, with its real thread and the real database."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from core.ids import uuid7
from tests.servers import PATIENCE_S
from tests.threads import all_taken
from tests.usage.rows import NOW, hold, record, refused_records_of
from usage import ledger
from usage.budgets import Window
from usage.idempotency import Claim
from usage.ledger import Extend, Reserve, Settle
from usage.models import Hold, Lease, UsageRecord
from usage.writer import LedgerUnavailableError, Writer

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


def test_the_journal_waits_for_nobody_elses_threads(tmp_path: Path) -> None:
    """The database hangs, and whoever else asks it something has taken all that there are."""
    held, locked, go = hold(), threading.Event(), threading.Event()

    def lock() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                if connection.vendor == "postgresql":  # SQLite's transactions begin with the lock
                    cursor.execute("LOCK TABLE usage_hold")
                locked.set()
                go.wait(PATIENCE_S)
        finally:
            connection.close()

    async def story(writer: Writer) -> None:
        hanging = threading.Thread(target=lock)
        hanging.start()
        await asyncio.to_thread(locked.wait, PATIENCE_S)
        async with all_taken():
            try:
                await asyncio.wait_for(writer.write(Reserve(held)), PATIENCE_S / 2)
                assert not go.is_set()
            finally:
                go.set()
        hanging.join()

    _with_writer(story, tmp_path)
    assert Hold.objects.get().pk == held.id


def test_a_stream_goes_on_while_the_database_is_away_unless_a_hard_budget_must_be_asked(tmp_path: Path) -> None:
    held = hold()

    async def story(writer: Writer) -> None:
        await writer.write(Reserve(held))
        await asyncio.to_thread(_rename, "usage_hold", "usage_hold_away")
        try:
            await writer.write(Extend(held.id, 100))
            with pytest.raises(LedgerUnavailableError):
                await writer.write(Extend(held.id, 100, hard=True))
            await writer.write(Settle(record(held)))
        finally:
            await asyncio.to_thread(_rename, "usage_hold_away", "usage_hold")

    _with_writer(story, tmp_path)
    assert UsageRecord.objects.get().cost_pico == 25


def test_a_key_is_nobodys_while_the_database_is_away(tmp_path: Path) -> None:
    """Whether another call has it, the database alone knows: the call is refused, and may be tried again."""
    claim = Claim(id=uuid7(), client="alice", key="k", fingerprint="f", request_id="r", created_at=NOW)

    async def story(writer: Writer) -> None:
        await asyncio.to_thread(_rename, "usage_hold", "usage_hold_away")
        try:
            with pytest.raises(LedgerUnavailableError):
                await writer.write(Reserve(hold(), idempotency=claim))
        finally:
            await asyncio.to_thread(_rename, "usage_hold_away", "usage_hold")
        await writer.write(Reserve(hold(), idempotency=claim))

    _with_writer(story, tmp_path)
    assert Hold.objects.count() == 1


def test_a_database_that_is_lost_at_the_second_look_is_away_too(tmp_path: Path) -> None:
    """A hold whose key is there already is looked for among the holds and the records: these are gone just then."""
    held = hold()

    async def story(writer: Writer) -> None:
        await writer.write(Reserve(held))
        await asyncio.to_thread(_rename, "usage_usagerecord", "usage_usagerecord_away")
        try:
            await writer.write(Reserve(held))
            with pytest.raises(LedgerUnavailableError):
                await writer.write(Reserve(held, (_HARD,)))
        finally:
            await asyncio.to_thread(_rename, "usage_usagerecord_away", "usage_usagerecord")
        await writer.write(Settle(record(held)))

    _with_writer(story, tmp_path)
    assert UsageRecord.objects.get().pk == held.id
    assert not Hold.objects.exists()


_HARD = Window(id=uuid7(), budget_id=uuid7(), name="", starts_at=NOW, ends_at=None, cap_pico=0, hard=True)


def test_a_hold_whose_caller_leaves_as_we_stop_is_taken_back(tmp_path: Path) -> None:
    async def story(writer: Writer) -> None:
        for _ in range(20):
            writer.write(Reserve(hold(lease_id=writer.lease_id))).cancel()

    _with_writer(story, tmp_path)
    assert not Hold.objects.exists()


def test_a_hold_that_cannot_be_settled_lets_the_next_process_start(tmp_path: Path) -> None:
    lost = [hold(client=name) for name in ("alice", "mallory", "bob")]
    ledger.apply([Reserve(held) for held in lost])

    async def story(_: Writer) -> None:
        assert await asyncio.to_thread(_count, Hold) == 1

    with refused_records_of("mallory"):
        _with_writer(story, tmp_path)
    assert {row.client for row in UsageRecord.objects.all()} == {"alice", "bob"}


@pytest.mark.parametrize(
    "unwritable",
    [
        {"input_tokens": 2**63},
        {"input_tokens": 2**64},
        {"end_user": "\ud800"},
        {"tags": "{"},
        {"status": None},
        {"latency_ms": math.nan},
    ],
)
def test_a_value_that_cannot_be_written_fails_alone(tmp_path: Path, unwritable: dict[str, Any]) -> None:
    """Wherever it is found out: before the statement is sent, by the statement, or when its pipeline ends."""

    async def story(writer: Writer) -> None:
        holds = [hold(lease_id=writer.lease_id) for _ in range(5)]
        await asyncio.gather(*(writer.write(Reserve(held)) for held in holds))
        records = [record(held, **(unwritable if held is holds[2] else {})) for held in holds]
        told = await asyncio.gather(*(writer.write(Settle(each)) for each in records), return_exceptions=True)
        assert [error is None for error in told] == [True, True, False, True, True]
        await writer.write(Settle(record(holds[2])))

    _with_writer(story, tmp_path)
    assert (UsageRecord.objects.count(), Hold.objects.count()) == (5, 0)


def _rename(table: str, name: str) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table} RENAME TO {name}")
    finally:
        connection.close()
