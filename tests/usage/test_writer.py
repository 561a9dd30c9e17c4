"""The group commit, with its real thread and the real database."""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from core.ids import uuid7
from tests.servers import PATIENCE_S, wait_until
from tests.threads import all_taken
from tests.usage.rows import NOW, hold, record, rename
from usage import leases, ledger, writer
from usage.budgets import Window
from usage.idempotency import Claim
from usage.journal import Journal
from usage.ledger import Entry, Extend, Note, Refusal, Reserve, Settle, Void
from usage.models import Budget, BudgetWindow, Hold, Lease, UsageRecord
from usage.writer import LedgerUnavailableError, Writer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _slow_is_not_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a busy machine takes to commit. Where the database hangs, the test calls `_watch_it`."""
    monkeypatch.setattr(writer, "_LOOK_EVERY_S", PATIENCE_S)


def _watch_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_LOOK_EVERY_S", 0.1)


def _with_writer(story: Callable[[Writer], Awaitable[None]], folder: Path) -> None:
    async def run() -> None:
        writer = Writer(folder)
        await writer.start()
        try:
            await story(writer)
            await asyncio.to_thread(wait_until, lambda: writer._journal.is_empty, what="the journal to be replayed")
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
        await asyncio.to_thread(rename, "usage_hold", "usage_hold_away")
        try:
            await writer.write(Reserve(held))
            await writer.write(Settle(record(held)))
        finally:
            await asyncio.to_thread(rename, "usage_hold_away", "usage_hold")
        await writer.write(Settle(record(other)))

    _with_writer(story, tmp_path)
    assert set(UsageRecord.objects.values_list("pk", flat=True)) == {held.id, other.id}
    assert not Hold.objects.exists()


def test_the_journal_waits_for_nobody_elses_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database hangs, and whoever else asks it something has taken all that there are."""
    _watch_it(monkeypatch)
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
        await asyncio.to_thread(rename, "usage_hold", "usage_hold_away")
        try:
            await writer.write(Extend(held.id, 100))
            with pytest.raises(LedgerUnavailableError):
                await writer.write(Extend(held.id, 100, hard=True))
            await writer.write(Settle(record(held)))
        finally:
            await asyncio.to_thread(rename, "usage_hold_away", "usage_hold")

    _with_writer(story, tmp_path)
    assert UsageRecord.objects.get().cost_pico == 25


def test_a_key_is_nobodys_while_the_database_is_away(tmp_path: Path) -> None:
    """Whether another call has it, the database alone knows: the call is refused, and may be tried again."""
    claim = Claim(id=uuid7(), client="alice", key="k", fingerprint="f", request_id="r", created_at=NOW)

    async def story(writer: Writer) -> None:
        await asyncio.to_thread(rename, "usage_hold", "usage_hold_away")
        try:
            with pytest.raises(LedgerUnavailableError):
                await writer.write(Reserve(hold(), idempotency=claim))
        finally:
            await asyncio.to_thread(rename, "usage_hold_away", "usage_hold")
        await writer.write(Reserve(hold(), idempotency=claim))

    _with_writer(story, tmp_path)
    assert Hold.objects.count() == 1


def test_a_refused_hold_whose_commit_hangs_is_taken_back_by_whoever_finds_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own process may not live to hear of the commit."""
    _watch_it(monkeypatch)
    apply, thaw = ledger.apply, threading.Event()

    def hang_after_the_commit(entries: Sequence[Entry], **how: bool) -> dict[int, Refusal]:
        refused = apply(entries, **how)
        thaw.wait(PATIENCE_S)
        return refused

    monkeypatch.setattr(ledger, "apply", hang_after_the_commit)

    async def story(writer: Writer) -> None:
        held = hold(lease_id=writer.lease_id)
        try:
            with pytest.raises(LedgerUnavailableError):
                await writer.write(Reserve(held, (_ROOM,)))
            kept = writer._journal
            await asyncio.to_thread(wait_until, lambda: not kept.is_empty, timeout_s=PATIENCE_S / 2)
            assert msgspec.json.encode(Void(held.id, lost=held)) in kept.path.read_bytes()
        finally:
            thaw.set()

    _with_writer(story, tmp_path)
    assert not Hold.objects.exists()


def test_a_journalled_hold_whose_caller_has_left_meanwhile_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _watch_it(monkeypatch)
    apply, thaw, lost = ledger.apply, threading.Event(), iter([True])

    def hang_and_fail_once(entries: Sequence[Entry], **how: bool) -> dict[int, Refusal]:
        if next(lost, False):
            thaw.wait(PATIENCE_S)
            raise OperationalError("server closed the connection unexpectedly")
        return apply(entries, **how)

    monkeypatch.setattr(ledger, "apply", hang_and_fail_once)

    async def story(writer: Writer) -> None:
        try:
            writer.write(Reserve(hold(lease_id=writer.lease_id))).cancel()
            await writer.write(Note(record(hold())))  # in the journal, as what came before it
        finally:
            thaw.set()
        await asyncio.to_thread(wait_until, lambda: _count(UsageRecord) == 1)

    _with_writer(story, tmp_path)
    assert not Hold.objects.exists()


def test_what_neither_database_nor_journal_keeps_is_refused(tmp_path: Path) -> None:
    async def story(writer: Writer) -> None:
        await asyncio.to_thread(rename, "usage_hold", "usage_hold_away")
        file = writer._journal._file
        own, full = os.dup(file), os.open("/dev/full", os.O_RDWR)
        os.dup2(full, file)
        try:
            with pytest.raises(LedgerUnavailableError):
                await writer.write(Reserve(hold()))
        finally:
            os.dup2(own, file)
            for each in (own, full):
                os.close(each)
            await asyncio.to_thread(rename, "usage_hold_away", "usage_hold")

    _with_writer(story, tmp_path)
    assert not Hold.objects.exists()


def test_too_many_that_wait_are_refused_and_what_has_happened_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MAX_WAITING", 2)
    held = hold()
    ledger.apply([Reserve(held)])

    async def story(writer: Writer) -> None:
        waiting = [writer.write(Reserve(hold())) for _ in range(2)]
        with pytest.raises(LedgerUnavailableError):
            await writer.write(Reserve(hold()))
        await asyncio.gather(writer.write(Settle(record(held))), *waiting)

    _with_writer(story, tmp_path)
    assert (Hold.objects.count(), UsageRecord.objects.count()) == (2, 1)


def test_the_lease_is_kept_while_there_is_no_end_of_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who let it lapse would have its calls settled by others while they are under way."""
    _leave_behind(tmp_path, [Note(record(hold())) for _ in range(1_500)])
    monkeypatch.setattr(writer, "MAX_BATCH", 1)
    monkeypatch.setattr(writer, "_RENEW_EVERY_S", 0.05)
    apply, seen = ledger.apply, dict[bool, list[datetime]]()

    def slowly(entries: Sequence[Entry], *, replayed: bool = False, refusing: bool = True) -> dict[int, Refusal]:
        seen.setdefault(replayed, []).append(Lease.objects.get().seen_at)
        time.sleep(0.06)
        return apply(entries, replayed=replayed, refusing=refusing)

    monkeypatch.setattr(ledger, "apply", slowly)

    async def story(writer: Writer) -> None:
        await asyncio.gather(*(writer.write(Note(record(hold()))) for _ in range(30)))

    _with_writer(story, tmp_path)
    assert len(set(seen[True])) >= 3
    assert len(set(seen[False][-10:])) >= 3


def test_what_was_sent_has_its_hold_whatever_its_budget_has_become(tmp_path: Path) -> None:
    """It was journalled while its budget merely counted; made hard since, that refuses others."""
    window = msgspec.structs.replace(_ROOM, id=_open_window(), hard=False)
    BudgetWindow.objects.update(cap_pico=0)
    Budget.objects.update(hard=True)
    lease_id = uuid7()
    leases.renew(lease_id, "elsewhere")
    held = hold(windows=f'["{window.id}"]', lease_id=lease_id, deadline_at=timezone.now() + timedelta(minutes=5))
    _leave_behind(tmp_path, [Reserve(held, (window,))])

    async def story(_: Writer) -> None:
        await asyncio.to_thread(wait_until, lambda: _count(Hold) == 1, what="the replay")

    _with_writer(story, tmp_path)
    assert BudgetWindow.objects.get().held_pico == held.amount_pico


def test_a_database_that_is_lost_at_the_second_look_is_away_too(tmp_path: Path) -> None:
    """A hold whose key is there already is looked for among the holds and the records: these are gone just then."""
    held = hold()

    async def story(writer: Writer) -> None:
        await writer.write(Reserve(held))
        await asyncio.to_thread(rename, "usage_usagerecord", "usage_usagerecord_away")
        try:
            await writer.write(Reserve(held))
            with pytest.raises(LedgerUnavailableError):
                await writer.write(Reserve(held, (_HARD,)))
        finally:
            await asyncio.to_thread(rename, "usage_usagerecord_away", "usage_usagerecord")
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


_UNWRITABLE = {"end_user": "\ud800"}


def test_what_the_journal_cannot_keep_fails_alone(tmp_path: Path) -> None:
    async def story(writer: Writer) -> None:
        await asyncio.to_thread(rename, "usage_hold", "usage_hold_away")
        try:
            await writer.write(Reserve(hold()))
            asked = (writer.write(Reserve(hold(**more))) for more in ({}, _UNWRITABLE, {}))
            told = await asyncio.gather(*asked, return_exceptions=True)
            assert [type(error) for error in told] == [type(None), LedgerUnavailableError, type(None)]
        finally:
            await asyncio.to_thread(rename, "usage_hold_away", "usage_hold")

    _with_writer(story, tmp_path)
    assert Hold.objects.count() == 3


def test_while_the_database_hangs_all_are_answered_soon_and_nothing_piles_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the first must wait to find it out. What the journal cannot keep fails alone, and ends no watch."""
    _watch_it(monkeypatch)
    monkeypatch.setattr(writer, "STALL_S", 3.0)  # far above what the others take
    apply, thaw = ledger.apply, threading.Event()

    def hang(entries: Sequence[Entry], **how: bool) -> dict[int, Refusal]:
        thaw.wait(PATIENCE_S)
        return apply(entries, **how)

    monkeypatch.setattr(ledger, "apply", hang)

    async def story(writing: Writer) -> None:
        try:
            await writing.write(Reserve(hold()))
            for _ in range(3):
                began_s = time.monotonic()
                asked = (writing.write(Reserve(hold(**more))) for more in ({}, _UNWRITABLE, {}))
                told = await asyncio.gather(*asked, return_exceptions=True)
                assert time.monotonic() - began_s < writer.STALL_S
                assert [type(error) for error in told] == [type(None), LedgerUnavailableError, type(None)]
            assert len(writing._waiting) == 0
        finally:
            thaw.set()

    _with_writer(story, tmp_path)
    assert Hold.objects.count() == 7


def test_a_long_replay_keeps_neither_a_start_nor_a_caller_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes meanwhile is written between two parts of it, also what must ask a hard budget."""
    _leave_behind(tmp_path, [Note(record(hold())) for _ in range(700)])
    asked, order = threading.Event(), _in_order(monkeypatch)
    order.before_replays = lambda: asked.wait(PATIENCE_S)

    async def story(writer: Writer) -> None:
        written = writer.write(Reserve(hold(lease_id=writer.lease_id), (_ROOM,)))
        asked.set()
        await written
        await asyncio.to_thread(wait_until, lambda: _count(UsageRecord) == 700)

    _with_writer(story, tmp_path)
    assert order.of_applying == ["replayed", "written", "replayed", "replayed"]
    assert not list(tmp_path.iterdir())
    assert Hold.objects.count() == 1


def test_a_hold_that_is_still_in_the_journal_is_taken_back_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, asked, order = hold(), threading.Event(), _in_order(monkeypatch)
    order.before_replays = lambda: asked.wait(PATIENCE_S)

    async def story(writer: Writer) -> None:
        writer._journal.append([*(Note(record(hold())) for _ in range(300)), Reserve(held)])
        first = writer.write(Note(record(hold())))
        await asyncio.to_thread(wait_until, lambda: "replaying" in order.of_all)
        taken_back = writer.write(Void(held.id))
        asked.set()
        await asyncio.gather(first, taken_back)
        await asyncio.to_thread(wait_until, lambda: writer._journal.is_empty)

    _with_writer(story, tmp_path)
    assert not Hold.objects.exists()


def test_a_settle_whose_hold_is_still_in_the_journal_goes_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it, the settle would find no hold: all of it would be overrun, or in no window at all."""
    window = msgspec.structs.replace(_ROOM, id=_open_window(), hard=False)
    held, asked, order = hold(windows=f'["{window.id}"]'), threading.Event(), _in_order(monkeypatch)
    order.before_replays = lambda: asked.wait(PATIENCE_S)

    async def story(writer: Writer) -> None:
        writer._journal.append([*(Note(record(hold())) for _ in range(300)), Reserve(held, (window,))])
        first = writer.write(Note(record(hold())))
        await asyncio.to_thread(wait_until, lambda: "replaying" in order.of_all)
        settled = writer.write(Settle(record(held, cost_pico=held.amount_pico)))
        asked.set()
        await asyncio.gather(first, settled)
        await asyncio.to_thread(wait_until, lambda: writer._journal.is_empty)

    _with_writer(story, tmp_path)
    found = BudgetWindow.objects.get()
    assert (found.held_pico, found.settled_pico, found.overrun_pico) == (0, held.amount_pico, 0)


def _open_window() -> UUID:
    budget = Budget.objects.create(name="all", scope="all", cap_pico=10**9, period="total", hard=False)
    return BudgetWindow.objects.create(id=uuid7(), budget=budget, starts_at=NOW, cap_pico=10**9).pk


_ROOM = Window(id=uuid7(), budget_id=uuid7(), name="", starts_at=NOW, ends_at=None, cap_pico=10**9, hard=True)


def _leave_behind(folder: Path, entries: Sequence[Entry]) -> None:
    """A dead process's journal."""
    dead = Journal(folder / "dead.journal")
    dead.append(entries)
    dead.close()


class _Order:
    """In which what comes by itself and what is replayed was asked of the database."""

    def __init__(self) -> None:
        self.of_all: list[str] = []
        self.before_replays: Callable[[], object] = lambda: None

    @property
    def of_applying(self) -> list[str]:
        return [what for what in self.of_all if what != "replaying"]


def _in_order(monkeypatch: pytest.MonkeyPatch) -> _Order:
    apply, order = ledger.apply, _Order()

    def applied(entries: Sequence[Entry], *, replayed: bool = False, refusing: bool = True) -> dict[int, Refusal]:
        if replayed:
            order.of_all.append("replaying")
            order.before_replays()
        refused = apply(entries, replayed=replayed, refusing=refusing)
        order.of_all.append("replayed" if replayed else "written")
        return refused

    monkeypatch.setattr(ledger, "apply", applied)
    return order
