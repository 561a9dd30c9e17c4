"""Who is taken for dead, and who isn't: real writers with a short lease, on the real database."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from core.ids import uuid7
from tests.servers import PATIENCE_S, wait_until
from tests.usage.rows import hold, refused_records_of, rename
from usage import leases, ledger, writer
from usage.ledger import Reserve
from usage.models import Hold, UsageRecord
from usage.rows import HoldRow
from usage.writer import Writer

pytestmark = pytest.mark.django_db(transaction=True)
LEASE_S = 3.0


@pytest.fixture(autouse=True)
def _short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE", timedelta(seconds=LEASE_S))
    for name in ("_RENEW_EVERY_S", "_SWEEP_EVERY_S", "_RETRY_EVERY_S"):
        monkeypatch.setattr(writer, name, LEASE_S / 8)


@pytest.mark.only_on("postgresql")  # SQLite's one writer at a time, in memory, is a test's own trouble
def test_41_after_an_outage_longer_than_a_lease_the_living_are_not_taken_for_dead(tmp_path: Path) -> None:
    """All leases have lapsed by then, also of those who will renew theirs in a moment. The dead are swept later."""

    async def story() -> None:
        async with AsyncExitStack() as stack:
            living = [await _started(tmp_path / name, stack) for name in ("a", "b")]
            kept = [_hold_of(each.lease_id) for each in living]
            for each, held in zip(living, kept, strict=True):
                await each.write(Reserve(held))
            await asyncio.sleep(LEASE_S * 1.25)  # each of them may sweep now
            await asyncio.to_thread(rename, "usage_lease", "usage_lease_away")
            await asyncio.sleep(LEASE_S * 1.25)
            await asyncio.to_thread(rename, "usage_lease_away", "usage_lease")
            lost = _hold_of(uuid7())
            await living[0].write(Reserve(lost))
            await asyncio.to_thread(wait_until, lambda: lost.id not in _held(), what="the sweep")
            assert await asyncio.to_thread(_held) == {held.id for held in kept}

    asyncio.run(story())


def test_41_who_starts_waits_for_the_time_of_a_lease_before_it_sweeps(tmp_path: Path) -> None:
    """It cannot know whether the database was there for the others."""
    ledger.apply([Reserve(_hold_of(uuid7()))])
    began_s = time.monotonic()
    assert _swept_s(tmp_path) - began_s >= LEASE_S


def test_1_a_hold_that_cannot_be_settled_stops_no_other(tmp_path: Path) -> None:
    ledger.apply([Reserve(hold(client=name)) for name in ("alice", "mallory", "bob")])
    with refused_records_of("mallory"):
        _swept_s(tmp_path, left=1)
    assert {row.client for row in UsageRecord.objects.all()} == {"alice", "bob"}


def test_40_a_leap_of_the_databases_clock_makes_nobody_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resumed laptop's: no time has passed by the monotonic clock, and all leases are old."""
    renew, leap, leapt = leases.renew, timedelta(0), threading.Event()

    def renewed(lease_id: UUID, process: str) -> datetime:
        seen_at = renew(lease_id, process) + leap
        if leap:
            leapt.set()
        return seen_at

    monkeypatch.setattr(leases, "renew", renewed)

    async def story() -> None:
        nonlocal leap
        async with AsyncExitStack() as stack:
            mine = await _started(tmp_path, stack)
            await asyncio.sleep(LEASE_S * 1.25)
            began_s, leap = time.monotonic(), timedelta(hours=1)
            assert await asyncio.to_thread(leapt.wait, PATIENCE_S)
            await mine.write(Reserve(_hold_of(uuid7())))
            await asyncio.to_thread(wait_until, lambda: not _held(), what="the sweep")
            assert time.monotonic() - began_s >= LEASE_S

    asyncio.run(story())


def _swept_s(folder: Path, *, left: int = 0) -> float:
    """When a process that starts now has swept all holds but so many."""

    async def story() -> float:
        async with AsyncExitStack() as stack:
            await _started(folder, stack)
            await asyncio.to_thread(wait_until, lambda: len(_held()) == left, what="the sweep")
            return time.monotonic()

    return asyncio.run(story())


async def _started(folder: Path, stack: AsyncExitStack) -> Writer:
    made = Writer(folder)
    await made.start()
    stack.push_async_callback(made.stop)
    return made


def _hold_of(lease_id: UUID) -> HoldRow:
    now = timezone.now()
    return hold(lease_id=lease_id, started_at=now, deadline_at=now + timedelta(minutes=10))


def _held() -> set[UUID]:
    """As another connection sees it."""
    try:
        return set(Hold.objects.values_list("pk", flat=True))
    finally:
        connection.close()
