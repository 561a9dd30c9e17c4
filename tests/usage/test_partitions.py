"""Months made ahead, rows that came too early, and retention."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.db import connection
from django.test import override_settings
from django.utils import timezone

from core.ids import lower_bound
from tests.usage.rows import NOW, hold, record
from usage import books, ledger, partitions, tasks
from usage.budgets import BudgetSpec, Window, window_of
from usage.ledger import Note, Reserve, Settle
from usage.models import Budget, BudgetWindow, Day, Purge, Quarter, UsageRecord

pytestmark = pytest.mark.django_db
LONG_AGO = datetime(2025, 3, 31, 23, 59, tzinfo=UTC)


def on_postgresql() -> bool:
    return connection.vendor == "postgresql"


def second_connection() -> psycopg.Connection[tuple[Any, ...]]:
    """Another process's, in a transaction of its own."""
    facts = connection.get_connection_params()
    return psycopg.connect(**{name: facts[name] for name in ("host", "port", "dbname", "user")})


def note(at: datetime, cost_pico: int = 25) -> None:
    ledger.apply([Note(record(hold(started_at=at), cost_pico=cost_pico))])


@pytest.fixture
def total_budget() -> Window:
    """One that counts for ever."""
    row = Budget.objects.create(name="total", scope="all", cap_pico=10**15, period="total")
    spec = BudgetSpec(
        id=row.pk, name="total", scope="all", subject="", cap_pico=10**15, period="total", time_zone="UTC", hard=True
    )
    return window_of(spec, NOW)


def test_months_begin_at_utc_midnight() -> None:
    assert partitions.month_of(datetime(2026, 12, 31, 23, 59, tzinfo=UTC), 1) == datetime(2027, 1, 1, tzinfo=UTC)
    assert partitions.month_of(datetime(2026, 1, 1, tzinfo=UTC), -1) == datetime(2025, 12, 1, tzinfo=UTC)


def test_after_a_migration_the_coming_months_are_there() -> None:
    if on_postgresql():
        assert partitions.make_months(now=timezone.now()) == []
        note(timezone.now() + timedelta(days=31 * partitions.MONTHS_AHEAD - 5))
        assert partitions.rows_without_month() == 0


def test_a_month_made_too_late_takes_its_rows_in() -> None:
    note(LONG_AGO)
    note(LONG_AGO + timedelta(minutes=1))
    if on_postgresql():
        assert partitions.rows_without_month() == 2
        assert len(partitions.make_months(now=LONG_AGO)) == 5
        assert partitions.rows_without_month() == 0
    assert UsageRecord.objects.count() == 2
    assert books.prove().is_balanced


def test_rows_that_were_loaded_from_elsewhere_get_their_months() -> None:
    for at in (LONG_AGO, LONG_AGO + timedelta(days=1), LONG_AGO + timedelta(days=100)):
        note(at)
    if on_postgresql():
        made = [name[-7:] for name in partitions.make_months(now=timezone.now())]
        assert made == ["2025_03", "2025_04", "2025_07"]
        assert partitions.rows_without_month() == 0
    assert UsageRecord.objects.count() == 3
    assert books.prove().is_balanced


def test_a_range_of_keys_reads_one_month_alone() -> None:
    if on_postgresql():
        now = timezone.now()
        start, end = partitions.month_of(now), partitions.month_of(now, 1)
        plan = UsageRecord.objects.filter(id__gte=lower_bound(start), id__lt=lower_bound(end)).explain()
        assert f"usage_usagerecord_{now:%Y_%m}" in plan
        assert "default" not in plan
        assert f"usage_usagerecord_{end:%Y_%m}" not in plan


def test_retention_takes_old_months_and_keeps_their_sums(total_budget: Window) -> None:
    windows = f'["{total_budget.id}"]'
    for at, cost in ((LONG_AGO, 7), (LONG_AGO + timedelta(minutes=2), 11), (NOW, 13)):
        held = hold(started_at=at, windows=windows)
        ledger.apply([Reserve(held, (total_budget,))])
        ledger.apply([Settle(record(held, cost_pico=cost))])
    if on_postgresql():
        partitions.make_months(now=LONG_AGO)

    assert partitions.purge(keep_months=12, now=NOW) == 2
    assert partitions.purge(keep_months=12, now=NOW) == 0

    assert [row.cost_pico for row in UsageRecord.objects.all()] == [13]
    assert sum(row.cost_pico for row in Day.objects.all()) == 31
    window = BudgetWindow.objects.get()
    assert (window.opening_pico, window.settled_pico) == (18, 31)
    purge = Purge.objects.get()
    assert (purge.before, purge.rows, int(purge.cost_pico)) == (datetime(2025, 11, 1, tzinfo=UTC), 2, 18)
    assert books.prove().is_balanced
    books.rebuild_rollups()
    assert sum(row.cost_pico for row in Day.objects.all()) == 31


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/New_York"])
def test_after_a_purge_the_sums_are_proved_from_its_first_whole_day_on(zone: str) -> None:
    border = datetime(2026, 10, 1, tzinfo=UTC)
    with override_settings(TIME_ZONE=zone):
        for hours in (-30, -1, 0, 1, 20):
            note(border + timedelta(hours=hours))
        assert partitions.purge(keep_months=1, now=NOW) == 2
        assert books.prove().differences == ()
        day = (border + timedelta(hours=20)).astimezone(ZoneInfo(zone)).date()
        Quarter.objects.filter(starts_at=border).update(calls=9)
        Day.objects.filter(day=day).update(calls=9)
        assert len(books.prove().differences) == 2
        books.rebuild_rollups()
        assert books.prove().differences == ()
    assert [sum(row.calls for row in table.objects.all()) for table in (Quarter, Day)] == [5, 5]


def test_records_of_unknown_cost_go_too(total_budget: Window) -> None:
    held = hold(started_at=LONG_AGO, windows=f'["{total_budget.id}"]')
    ledger.apply([Reserve(held, (total_budget,))])
    ledger.apply([Settle(record(held, cost_pico=None))])
    partitions.make_months(now=LONG_AGO)

    assert partitions.purge(keep_months=1, now=NOW) == 1

    assert (int(Purge.objects.get().cost_pico), BudgetWindow.objects.get().opening_pico) == (0, 0)
    assert books.prove().is_balanced


def test_on_a_border_of_months_the_later_one_stays() -> None:
    border = datetime(2026, 10, 1, tzinfo=UTC)
    note(border - timedelta(milliseconds=1))
    note(border)
    assert partitions.purge(keep_months=1, now=NOW) == 1
    assert UsageRecord.objects.get().started_at == border


def test_a_purge_goes_in_bounded_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "PURGE_BATCH_ROWS", 2)
    for minute in range(5):
        note(LONG_AGO + timedelta(minutes=minute))
    assert partitions.purge(keep_months=1, now=NOW) == 5
    assert Purge.objects.get().rows == 5
    assert books.prove().is_balanced


def test_without_retention_every_row_stays() -> None:
    note(LONG_AGO)
    tasks.keep_months()
    assert UsageRecord.objects.count() == 1
    with override_settings(RETENTION_MONTHS=1):
        tasks.keep_months()
    assert UsageRecord.objects.count() == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.only_on("postgresql")
def test_a_month_that_is_being_read_is_dropped_the_next_time() -> None:
    note(LONG_AGO)
    partitions.make_months(now=LONG_AGO)
    with second_connection() as reader:
        reader.execute("SELECT count(*) FROM usage_usagerecord")
        assert partitions.purge(keep_months=1, now=NOW) == 0
    assert books.prove().is_balanced
    assert partitions.purge(keep_months=1, now=NOW) == 1
    assert books.prove().is_balanced


@pytest.mark.django_db(transaction=True)
@pytest.mark.only_on("postgresql")
def test_two_workers_at_the_months_at_once_take_turns() -> None:
    note(LONG_AGO)  # in no month
    with second_connection() as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [partitions._ADVISORY_LOCK])
        assert partitions.purge(keep_months=1, now=NOW) == 0
    assert partitions.purge(keep_months=1, now=NOW) == 1
    assert books.prove().is_balanced
