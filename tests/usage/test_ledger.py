"""What may and may not happen to a ledger row, on both databases."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from core.ids import uuid7
from tests.usage.rows import NOW, hold, record, refused_records_of
from usage import leases, ledger
from usage.ledger import Note, Reserve, Settle, Void
from usage.models import Hold, Lease, UsageRecord
from usage.rows import HoldRow, RecordRow

pytestmark = pytest.mark.django_db


def test_rows_in_memory_have_the_columns_of_their_tables() -> None:
    for shape, model in ((HoldRow, Hold), (RecordRow, UsageRecord)):
        assert set(shape.__struct_fields__) == {field.column for field in model._meta.concrete_fields}


def test_a_hold_becomes_its_record() -> None:
    held = hold()
    ledger.apply([Reserve(held)])
    assert Hold.objects.get().amount_pico == 300
    ledger.apply([Settle(record(held))])
    row = UsageRecord.objects.get()
    assert not Hold.objects.exists()
    assert (row.pk, row.client, row.tags, row.started_at) == (held.id, "alice", {"team": "search"}, NOW)
    assert (row.cost_pico, row.input_tokens, row.evidence) == (25, 10, "reported")


def test_applying_an_entry_again_changes_nothing() -> None:
    held = hold()
    for _ in range(3):
        ledger.apply([Reserve(held)], replayed=True)
    for _ in range(3):
        ledger.apply([Reserve(held), Settle(record(held))], replayed=True)
    assert (Hold.objects.count(), UsageRecord.objects.count()) == (0, 1)


def test_a_settle_without_a_hold_is_a_record_all_the_same() -> None:
    ledger.apply([Settle(record(hold()))])
    assert UsageRecord.objects.get().cost_pico == 25


def test_what_meets_in_one_batch_is_all_written() -> None:
    """A settle whose hold is there, one whose hold is not, and a row that needs none."""
    held, unheld, noted = hold(), hold(), hold()
    ledger.apply([Reserve(held)])
    ledger.apply([Settle(record(held)), Settle(record(unheld)), Note(record(noted))])
    assert set(UsageRecord.objects.values_list("pk", flat=True)) == {held.id, unheld.id, noted.id}


@pytest.mark.parametrize("is_held", [True, False])
def test_of_two_settles_of_a_call_in_one_batch_the_first_counts(*, is_held: bool) -> None:
    held = hold()
    ledger.apply([Reserve(held)] if is_held else [])
    ledger.apply([Settle(record(held)), Settle(record(held, cost_pico=99))])
    assert UsageRecord.objects.get().cost_pico == 25


def test_a_void_leaves_no_trace() -> None:
    held = hold()
    ledger.apply([Reserve(held)])
    ledger.apply([Void(held.id)])
    assert not Hold.objects.exists()
    assert not UsageRecord.objects.exists()


def test_a_note_needs_no_hold() -> None:
    ledger.apply([Note(record(hold(), status="refused", cost_pico=0))])
    assert UsageRecord.objects.get().status == "refused"


def test_a_batch_is_written_whole_or_not_at_all() -> None:
    good, bad = hold(), hold(client="x" * 10_000, request_id=None)
    with pytest.raises(DatabaseError):
        ledger.apply([Reserve(good), Reserve(bad)])


def test_the_sweeper_settles_the_holds_of_the_dead_at_their_upper_bound() -> None:
    alive = uuid7()
    leases.renew(alive, "here")
    mine = hold(lease_id=alive, deadline_at=timezone.now() + timedelta(minutes=5))
    lost = hold(lease_id=uuid7(), deadline_at=timezone.now() + timedelta(minutes=5))
    ledger.apply([Reserve(mine), Reserve(lost)])
    assert leases.sweep(now=timezone.now()) == 1
    row = UsageRecord.objects.get()
    assert (row.pk, row.status, row.evidence, row.cost_pico) == (lost.id, "interrupted", "upper_bound", 300)
    assert (row.input_tokens, row.output_tokens, row.tags) == (100, 200, {"team": "search"})
    assert Hold.objects.get().pk == mine.id
    assert leases.sweep(now=timezone.now()) == 0


def test_the_sweeper_settles_what_is_long_past_its_deadline_even_of_the_living() -> None:
    alive = uuid7()
    leases.renew(alive, "here")
    now = timezone.now()
    late = hold(lease_id=alive, deadline_at=now - leases.LEASE - timedelta(seconds=1))
    not_yet = hold(lease_id=alive, deadline_at=now - timedelta(seconds=1))
    ledger.apply([Reserve(late), Reserve(not_yet)])
    assert leases.sweep(now=now) == 1
    assert Hold.objects.get().pk == not_yet.id


def test_a_sweep_settles_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "SWEEP_LIMIT", 2)
    ledger.apply([Reserve(hold()) for _ in range(3)])
    assert [leases.sweep(now=timezone.now()) for _ in range(3)] == [2, 1, 0]


def test_a_sweep_that_the_database_lets_down_fails() -> None:
    """No row is at fault, and whoever sweeps must hear of it."""
    ledger.apply([Reserve(hold()), Reserve(hold())])
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE usage_day RENAME TO usage_day_away")
    with pytest.raises(DatabaseError):
        leases.sweep(now=timezone.now())


def test_a_hold_that_cannot_be_settled_stops_no_other() -> None:
    holds = [hold(client="mallory" if n == 2 else "alice") for n in range(5)]
    ledger.apply([Reserve(held) for held in holds])
    with refused_records_of("mallory"):
        assert leases.sweep(now=timezone.now()) == 4
        assert [row.pk for row in Hold.objects.all()] == [holds[2].id]
        assert leases.sweep(now=timezone.now()) == 0


def test_the_sweepers_guess_never_beats_the_truth() -> None:
    held = hold()
    ledger.apply([Reserve(held)])
    guess = Settle(record(held, status="interrupted", evidence="upper_bound", cost_pico=300), swept=True)
    ledger.apply([Settle(record(held))])
    ledger.apply([guess])
    assert UsageRecord.objects.get().cost_pico == 25


def test_of_a_call_that_was_never_made_the_sweeper_guesses_nothing() -> None:
    held = hold()
    ledger.apply([Reserve(held)])
    ledger.apply([Void(held.id)])
    ledger.apply([Settle(record(held, status="interrupted", evidence="upper_bound", cost_pico=300), swept=True)])
    assert not UsageRecord.objects.exists()


def test_a_released_lease_is_gone_and_no_other() -> None:
    alive, other = uuid7(), uuid7()
    leases.renew(alive, "here")
    leases.renew(alive, "here")
    leases.renew(other, "there")
    assert Lease.objects.count() == 2
    leases.release(alive)
    assert [(lease.pk, lease.process) for lease in Lease.objects.all()] == [(other, "there")]


def test_who_has_not_been_seen_for_long_is_forgotten() -> None:
    for minutes in (59, 61):
        Lease.objects.create(id=uuid7(), process=str(minutes), seen_at=timezone.now() - timedelta(minutes=minutes))
    leases.sweep(now=timezone.now())
    assert [lease.process for lease in Lease.objects.all()] == ["59"]


@pytest.mark.only_on("postgresql")
def test_on_postgresql_the_table_is_partitioned_by_its_key() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT partstrat FROM pg_partitioned_table WHERE partrelid = 'usage_usagerecord'::regclass")
        assert cursor.fetchone() == ("r",)


@pytest.mark.django_db(transaction=True)
@pytest.mark.only_on("postgresql")  # SQLite has one writer
def test_the_sweeper_does_not_wait_for_who_is_settling_a_lost_call_just_now() -> None:
    """Who waited for it, with others in hand that the settling process wants next, would wait in a circle."""
    late, lost = hold(), hold()
    ledger.apply([Reserve(late), Reserve(lost)])
    begun, go_on = threading.Event(), threading.Event()

    def settle() -> None:
        with transaction.atomic():
            Hold.objects.select_for_update().get(pk=late.id)  # as far as a settle has come that waits for a budget
            begun.set()
            go_on.wait(10)
            ledger.apply([Settle(record(late))])
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        truth = pool.submit(settle)
        assert begun.wait(10)
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '2s'")
        try:
            assert leases.sweep(now=timezone.now()) == 1
        finally:
            go_on.set()
            connection.close()
        truth.result(10)
    assert {row.pk: row.status for row in UsageRecord.objects.all()} == {late.id: "ok", lost.id: "interrupted"}
