"""Days of 23 and 25 hours, month ends, a zone of +05:45, a call across midnight, and clocks that jump."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.utils import timezone

from core.ids import uuid7
from gateway import calls, settlement
from tests.faults import load
from tests.usage.rows import hold, record
from usage import leases, ledger, queries
from usage import writer as writers
from usage.budgets import BudgetSpec, Window, window_of
from usage.ledger import Reserve, Settle
from usage.models import Budget, BudgetWindow, Day, Hold, Lease

pytestmark = [pytest.mark.faults, pytest.mark.django_db]
ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Santiago"]
MONTHS = [(2026, 2), (2026, 3), (2026, 4), (2026, 9), (2026, 10), (2026, 11), (2024, 2)]


@pytest.mark.parametrize("zone", ZONES)
def test_38_the_days_of_a_month_add_up_to_it(zone: str, rng: random.Random) -> None:
    """In budgets and in reports of the zone, for months whose days have 23, 24 and 25 hours."""
    days, months = _budget("days", "day", zone), _budget("months", "month", zone)
    cost_of: dict[date, int] = {}
    lengths = set()
    for year, month in MONTHS:
        moments = []
        for start, end in _days(year, month, ZoneInfo(zone)):
            lengths.add((end - start) // timedelta(minutes=30) / 2)
            # The first and the last moment of each day, and some between.
            moments += [start, end - timedelta(microseconds=1_000)]
            moments += [start + rng.random() * (end - start) for _ in range(3)]
        entries = [_spent(moment, rng.randrange(1, 10**9), days, months) for moment in moments]
        ledger.apply([reserve for reserve, _ in entries])
        ledger.apply([settle for _, settle in entries])
        for (_, settle), moment in zip(entries, moments, strict=True):
            day = moment.astimezone(ZoneInfo(zone)).date()
            cost_of[day] = cost_of.get(day, 0) + (settle.record.cost_pico or 0)

    for year, month in MONTHS:
        ends = list(_days(year, month, ZoneInfo(zone)))
        first, last = ends[0][0], ends[-1][1]
        expected = {day: cost for day, cost in cost_of.items() if (day.year, day.month) == (year, month)}
        by_day = queries.grouped(first, last, by="day", time_zone=ZoneInfo(zone))
        by_month = queries.grouped(first, last, by="month", time_zone=ZoneInfo(zone))
        assert {group.key: group.cost_pico for group in by_day} == {day.isoformat(): c for day, c in expected.items()}
        assert [(group.key, group.cost_pico) for group in by_month] == [(f"{year}-{month:02}", sum(expected.values()))]
        budgeted = BudgetWindow.objects.filter(budget_id=days.id, starts_at__gte=first, starts_at__lt=last)
        (whole,) = BudgetWindow.objects.filter(budget_id=months.id, starts_at=first)
        assert [row.settled_pico for row in budgeted.order_by("starts_at")] == list(expected.values())
        assert whole.settled_pico == sum(expected.values())
        assert whole.ends_at == last
    load.say(f"row 38: {zone}: {len(cost_of)} days of {sorted(lengths)} hours in {len(MONTHS)} months, all equal")


def test_39_a_call_across_midnight_belongs_to_the_day_it_started() -> None:
    started, ended = datetime(2026, 12, 31, 23, 59, 59, 900_000, UTC), datetime(2027, 1, 1, 0, 0, 7, tzinfo=UTC)
    days, months = _budget("days", "day", "UTC"), _budget("months", "month", "UTC")

    reserve, settle = _spent(started, 77, days, months, ended_at=ended)
    ledger.apply([reserve])
    ledger.apply([settle])

    windows = {row.budget.name: row for row in BudgetWindow.objects.select_related("budget")}
    assert {name: (row.starts_at.date().isoformat(), row.settled_pico) for name, row in windows.items()} == {
        "days": ("2026-12-31", 77),
        "months": ("2026-12-01", 77),
    }
    assert [str(row.day) for row in Day.objects.all()] == ["2026-12-31"]
    by: dict[str, str] = {}
    for grain in ("hour", "day", "week", "month"):
        (group,) = queries.grouped(started - timedelta(days=2), ended + timedelta(days=2), by=grain)
        by[grain] = group.key
    assert by == {"hour": "2026-12-31T23:00:00+00:00", "day": "2026-12-31", "week": "2026-W53", "month": "2026-12"}
    midnight = datetime(2027, 1, 1, tzinfo=UTC)
    assert queries.totals(midnight, midnight + timedelta(days=1)).requests == 0
    load.say(f"row 39: {by}")


@pytest.mark.parametrize("jump", [timedelta(hours=-1), timedelta(hours=1)])
def test_40_leases_are_by_the_databases_clock(jump: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lease times are written in SQL; the process's own clock jumps an hour, and nothing of it is asked."""
    alive, dead = uuid7(), uuid7()
    _lease(alive, seconds_ago=13)
    _lease(dead, seconds_ago=17)
    far = timezone.now() + timedelta(hours=3)
    ledger.apply([Reserve(hold(lease_id=alive, deadline_at=far)), Reserve(hold(lease_id=dead, deadline_at=far))])
    jumped = timezone.now() + jump
    monkeypatch.setattr(timezone, "now", lambda: jumped)

    swept = leases.sweep(now=jumped)

    assert swept == 1
    assert list(Hold.objects.values_list("lease_id", flat=True)) == [alive]
    leases.renew(alive, "mine")
    with connection.cursor() as cursor:
        cursor.execute("SELECT CURRENT_TIMESTAMP")
        (database_now,) = cursor.fetchone()
    if isinstance(database_now, str):
        database_now = datetime.fromisoformat(database_now).replace(tzinfo=UTC)
    assert abs(Lease.objects.get(pk=alive).seen_at - database_now) < timedelta(seconds=5)


@pytest.mark.parametrize("jump", [timedelta(hours=-1), timedelta(hours=1)])
def test_40_deadlines_are_by_the_monotonic_clock(jump: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of a call's deadline, before and after the wall clock jumps."""

    class Jumping(datetime):
        offset = timedelta(0)

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + cls.offset

    monkeypatch.setattr(calls, "datetime", Jumping)
    monkeypatch.setattr(settlement, "datetime", Jumping)
    call = _call(timeout_s=30.0)
    before = call.left_s
    Jumping.offset = jump

    assert before is not None
    assert call.left_s is not None
    assert 0 <= before - call.left_s < 5


@pytest.mark.parametrize("jump", [timedelta(hours=-1), timedelta(hours=1)])
@pytest.mark.django_db(transaction=True)
def test_40_a_jump_moves_no_deadline_of_a_hold(
    jump: timedelta, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also before the process has asked the database again what time it is: a living call must not be swept."""

    class Jumping(datetime):
        offset = timedelta(0)

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + cls.offset

    monkeypatch.setattr(writers, "datetime", Jumping)

    async def story() -> tuple[datetime, datetime]:
        writer = writers.Writer(tmp_path)
        await writer.start()
        try:
            before = writer.now
            Jumping.offset = jump
            after = writer.now
            due = after + timedelta(seconds=5)
            await writer.write(Reserve(hold(lease_id=writer.lease_id, deadline_at=due)))
            assert await asyncio.to_thread(_sweep) == 0
            return before, after
        finally:
            await writer.stop()

    before, after = asyncio.run(story())
    assert abs(after - before) < timedelta(seconds=2)
    load.say(f"row 40: a jump of {jump} moves a deadline by {(after - before).total_seconds():.3f} s")


def _sweep() -> int:
    try:
        return leases.sweep(now=datetime.now(UTC))
    finally:
        connection.close()


def _call(*, timeout_s: float) -> calls.Call:
    empty: Any = None
    return calls.Call(
        request_id="r",
        surface="s",
        caller=empty,
        dialect=empty,
        envelope=empty,
        provider=None,
        end_user="",
        tags="{}",
        timeout_s=timeout_s,
        started=time.perf_counter(),
        started_at=datetime.now(UTC),
    )


def _lease(lease_id: UUID, *, seconds_ago: int) -> None:
    """As the database's clock has it."""
    ago = f"now() - interval '{seconds_ago} seconds'"
    if connection.vendor == "sqlite":
        ago = f"strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '-{seconds_ago} seconds')"
    with connection.cursor() as cursor:
        key = lease_id.hex if connection.vendor == "sqlite" else lease_id
        cursor.execute(f"INSERT INTO usage_lease (id, process, seen_at) VALUES (%s, 'there', {ago})", [key])


def _budget(name: str, period: Literal["day", "month"], zone: str) -> BudgetSpec:
    cap_pico = 10**15
    row = Budget.objects.create(name=name, scope="all", cap_pico=cap_pico, period=period, time_zone=zone)
    return BudgetSpec(
        id=row.pk, name=name, scope="all", subject="", cap_pico=cap_pico, period=period, time_zone=zone, hard=True
    )


def _spent(moment: datetime, cost_pico: int, *budgets: BudgetSpec, **more: Any) -> tuple[Reserve, Settle]:
    windows: tuple[Window, ...] = tuple(window_of(spec, moment) for spec in budgets)
    listed = ",".join(f'"{window.id}"' for window in windows)
    held = hold(windows=f"[{listed}]", started_at=moment.astimezone(UTC), amount_pico=cost_pico)
    return Reserve(held, windows), Settle(record(held, cost_pico=cost_pico, **more))


def _days(year: int, month: int, zone: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
    """The days of a month as its people's calendars have them: (first moment, end), in UTC."""
    first = date(year, month, 1)
    following = (first + timedelta(days=31)).replace(day=1)
    dates = [first + timedelta(days=n) for n in range((following - first).days + 1)]
    midnights = [datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC) for day in dates]
    yield from pairwise(midnights)
