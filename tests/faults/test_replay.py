"""What a journal's replay and the sweeper meet in one batch; found by rows 7 and 3, and shown here in process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from core.ids import uuid7
from tests.servers import wait_until
from tests.usage.rows import NOW, hold, record
from usage import leases, ledger
from usage.budgets import BudgetSpec, Window, window_of
from usage.ledger import Entry, Note, Refusal, Reserve, Settle, Void
from usage.models import Budget, BudgetWindow, Hold, UsageRecord
from usage.writer import LedgerUnavailableError, Writer

pytestmark = pytest.mark.django_db


def test_a_call_that_was_held_and_settled_in_the_journal_leaves_no_hold() -> None:
    """And its budget's window, which nobody has opened before, counts it once, without an overrun."""
    window = _window()
    held = hold(windows=f'["{window.id}"]')
    for _ in range(2):
        ledger.apply([Reserve(held, (window,)), Settle(record(held))], replayed=True)

    row = BudgetWindow.objects.get()
    assert (Hold.objects.count(), UsageRecord.objects.count()) == (0, 1)
    assert (row.held_pico, row.settled_pico, row.overrun_pico) == (0, 25, 0)


def test_a_hold_that_was_voided_in_the_journal_is_never_swept() -> None:
    window = _window()
    held = hold(windows=f'["{window.id}"]')
    ledger.apply([Reserve(held, (window,)), Void(held.id)], replayed=True)

    assert leases.sweep(now=timezone.now()) == 0
    assert not UsageRecord.objects.exists()


def test_of_two_settles_in_one_batch_the_first_counts() -> None:
    held = hold()
    ledger.apply([Reserve(held)])
    cancelled = record(held, status="cancelled", evidence="estimated", cost_pico=99)
    ledger.apply([Settle(record(held)), Settle(cancelled)])

    assert UsageRecord.objects.get().cost_pico == 25


def test_the_sweeper_takes_a_hold_away_whose_record_is_there_already() -> None:
    """It would else break off at each look, and with it all that the writer's thread does."""
    held = hold(lease_id=uuid7(), deadline_at=timezone.now() + timedelta(minutes=5))
    ledger.apply([Reserve(held), Note(record(held))])

    assert leases.sweep(now=timezone.now()) == 1
    assert (Hold.objects.count(), UsageRecord.objects.get().status) == (0, "ok")


def _window(*, hard: bool = False) -> Window:
    row = Budget.objects.create(name="b", scope="all", cap_pico=1_000, hard=hard, period="day")
    return window_of(
        BudgetSpec(
            id=row.pk, name="b", scope="all", subject="", cap_pico=1_000, period="day", time_zone="UTC", hard=hard
        ),
        NOW,
    )


@pytest.mark.django_db(transaction=True)
def test_a_hold_whose_commit_was_not_heard_of_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database commits and dies before it says so: the hard budget's caller is refused, and nothing stays held."""
    window = _window(hard=True)
    apply, lost = ledger.apply, iter([True])

    def deaf(entries: Sequence[Entry], **how: bool) -> dict[int, Refusal]:
        refused = apply(entries, **how)
        if next(lost, False):
            raise OperationalError("server closed the connection unexpectedly")
        return refused

    monkeypatch.setattr(ledger, "apply", deaf)

    async def story() -> None:
        writer = Writer(tmp_path)
        await writer.start()
        try:
            deadline_at = timezone.now() + timedelta(minutes=5)
            held = hold(windows=f'["{window.id}"]', lease_id=writer.lease_id, deadline_at=deadline_at)
            with pytest.raises(LedgerUnavailableError):
                await writer.write(Reserve(held, (window,)))
            await asyncio.to_thread(wait_until, _nothing_is_held)
        finally:
            await writer.stop()

    asyncio.run(story())
    assert BudgetWindow.objects.get().held_pico == 0
    assert not UsageRecord.objects.exists()


def _nothing_is_held() -> bool:
    try:
        return not Hold.objects.exists()
    finally:
        connection.close()
