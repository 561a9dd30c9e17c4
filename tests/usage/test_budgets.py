"""Budgets in the ledger: what fits is held, what does not is refused, and what was billed is settled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from django.utils import timezone

from core.ids import uuid7
from tests.usage.rows import NOW, hold, record
from usage import leases, ledger, periods
from usage.books import prove
from usage.budgets import BudgetExceededError, Budgets, BudgetSpec, Window, window_of
from usage.ledger import Entry, Extend, HoldGoneError, Note, Reserve, Settle, Void
from usage.models import Budget, BudgetWindow, Hold, UsageRecord
from usage.periods import Period
from usage.rows import HoldRow

pytestmark = pytest.mark.django_db


def _window(*, name: str = "team", cap: int = 1_000, hard: bool = True, scope: str = "client") -> Window:
    budget = Budget.objects.create(
        name=name, scope=scope, subject="" if scope == "all" else "alice", cap_pico=cap, hard=hard, period="month"
    )
    return window_of(
        BudgetSpec(
            id=budget.pk,
            name=name,
            scope=scope,
            subject=budget.subject,
            cap_pico=cap,
            period="month",
            time_zone="UTC",
            hard=hard,
        ),
        NOW,
    )


def _held(*windows: Window, amount: int = 300, **given: Any) -> HoldRow:
    listed = ",".join(f'"{window.id}"' for window in windows)
    return hold(amount_pico=amount, windows=f"[{listed}]", **given)


def _figures(window: Window) -> tuple[int, int, int]:
    row = BudgetWindow.objects.get(pk=window.id)
    return row.held_pico, row.settled_pico, row.overrun_pico


def _refused(*entries: Entry) -> list[int]:
    return sorted(ledger.apply(entries))


def test_a_hold_is_taken_and_its_cost_settled() -> None:
    window = _window()
    held = _held(window)
    assert _refused(Reserve(held, (window,))) == []
    assert _figures(window) == (300, 0, 0)
    ledger.apply([Settle(record(held))])
    assert _figures(window) == (0, 25, 0)


def test_of_a_batch_exactly_what_fits_is_taken_and_the_rest_refused_alone() -> None:
    window = _window(cap=1_000)
    free = hold()
    holds = [_held(window) for _ in range(5)]
    assert _refused(*(Reserve(held, (window,)) for held in holds), Reserve(free)) == [3, 4]
    assert _figures(window) == (900, 0, 0)
    assert set(Hold.objects.values_list("pk", flat=True)) == {held.id for held in holds[:3]} | {free.id}


def test_one_of_several_budgets_without_room_refuses_and_nothing_is_held_in_the_others() -> None:
    wide, narrow = _window(name="wide"), _window(name="narrow", cap=100)
    error = ledger.apply([Reserve(_held(wide, narrow), (wide, narrow))])[0]
    assert isinstance(error, BudgetExceededError)
    assert (error.name, error.cap_pico, error.left_pico, error.wanted_pico) == ("narrow", 100, 100, 300)
    assert error.window_id == narrow.id
    assert _figures(wide)[0] == 0


def test_a_soft_budget_counts_and_refuses_nothing() -> None:
    window = _window(cap=100, hard=False)
    assert _refused(Reserve(_held(window), (window,))) == []
    assert _figures(window) == (300, 0, 0)


def test_what_a_settle_frees_and_no_more_is_room_in_the_same_batch() -> None:
    window = _window(cap=300)
    first, too_much, second = _held(window), _held(window, amount=276), _held(window, amount=275)
    ledger.apply([Reserve(first, (window,))])
    assert _refused(Settle(record(first)), Reserve(too_much, (window,)), Reserve(second, (window,))) == [1]
    assert _figures(window) == (275, 25, 0)


def test_money_billed_beyond_the_hold_is_an_overrun() -> None:
    window = _window(cap=300)
    held = _held(window)
    ledger.apply([Reserve(held, (window,))])
    ledger.apply([Settle(record(held, cost_pico=420))])
    assert _figures(window) == (0, 420, 120)
    assert BudgetWindow.objects.get().left_pico == -120


def test_a_void_gives_back_all() -> None:
    window = _window()
    held = _held(window)
    ledger.apply([Reserve(held, (window,))])
    ledger.apply([Void(held.id)])
    assert _figures(window) == (0, 0, 0)


def test_a_hold_grows_while_there_is_room() -> None:
    window = _window(cap=500)
    held = _held(window)
    ledger.apply([Reserve(held, (window,))])
    assert _refused(Extend(held.id, 150)) == []
    assert _refused(Extend(held.id, 100)) == [0]
    assert _figures(window)[0] == Hold.objects.get().amount_pico == 450
    ledger.apply([Settle(record(held, cost_pico=440))])
    assert _figures(window) == (0, 440, 0)


def test_a_hold_that_is_gone_does_not_grow_where_a_hard_budget_asks() -> None:
    """Swept meanwhile, or in the journal alone: nothing was taken, so more may not be spent."""
    window = _window()
    held = _held(window)
    ledger.apply([Reserve(held, (window,))])
    leases.sweep(now=timezone.now())
    refused = ledger.apply([Extend(held.id, 150, hard=True), Extend(held.id, 150)])
    assert {index: type(error) for index, error in refused.items()} == {0: HoldGoneError}
    assert _figures(window) == (0, 300, 0)


def test_an_unknown_cost_takes_nothing_from_a_soft_budget() -> None:
    window = _window(hard=False)
    held = _held(window)
    ledger.apply([Reserve(hold(id=held.id, windows=held.windows, amount_pico=None), (window,))])
    ledger.apply([Settle(record(held, cost_pico=None))])
    assert _figures(window) == (0, 0, 0)


def test_the_sweeper_settles_the_bound_and_the_truth_corrects_it() -> None:
    window = _window()
    held = _held(window)
    ledger.apply([Reserve(held, (window,))])
    leases.sweep(now=timezone.now())
    assert _figures(window) == (0, 300, 0)
    for _ in range(2):
        ledger.apply([Settle(record(held))])
    assert _figures(window) == (0, 25, 0)


def test_applying_again_moves_no_figure() -> None:
    window = _window()
    held, note = _held(window), record(_held(window), cost_pico=7)
    for _ in range(3):
        ledger.apply([Reserve(held, (window,))], replayed=True)
    assert _figures(window) == (300, 0, 0)
    for _ in range(3):
        ledger.apply([Reserve(held, (window,)), Settle(record(held)), Note(note)], replayed=True)
    ledger.apply([Reserve(held, (window,))], replayed=True)  # its settle is in the replay's next batch
    assert _figures(window) == (0, 32, 7)
    assert (Hold.objects.count(), UsageRecord.objects.count()) == (0, 2)


def test_a_call_that_was_sent_is_held_though_its_budget_was_made_hard_before_the_journal_was_replayed() -> None:
    window = _window(cap=100)
    assert ledger.apply([Reserve(_held(window), (window,))], replayed=True, refusing=False) == {}
    assert _figures(window) == (300, 0, 0)
    assert Hold.objects.exists()


@pytest.mark.parametrize(
    ("amount", "cost", "overrun"), [(300, 300, 0), (300, 420, 120), (None, None, 0), (None, 25, 25)]
)
def test_a_call_that_began_and_ended_in_a_journal_counts_as_any_other(
    amount: int | None, cost: int | None, overrun: int
) -> None:
    """Also one whose model has no price."""
    window = _window(hard=False)
    held = msgspec.structs.replace(_held(window), amount_pico=amount)
    for _ in range(2):
        ledger.apply([Reserve(held, (window,)), Settle(record(held, cost_pico=cost))], replayed=True, refusing=False)
    assert _figures(window) == (0, cost or 0, overrun)
    assert (Hold.objects.count(), UsageRecord.objects.count()) == (0, 1)


def test_a_deleted_budget_counts_no_more_and_stops_nothing() -> None:
    window = _window()
    held = _held(window)
    ledger.apply([Reserve(held, (window,))])
    Budget.objects.all().delete()
    ledger.apply([Settle(record(held)), Reserve(_held(window), (window,))])
    assert UsageRecord.objects.count() == Hold.objects.count() == 1
    assert not BudgetWindow.objects.exists()


def test_a_raise_of_one_window_is_room_in_it() -> None:
    window = _window(cap=300)
    ledger.apply([Reserve(_held(window), (window,))])
    assert _refused(Reserve(_held(window), (window,))) == [0]
    BudgetWindow.objects.update(raised_pico=300)
    assert _refused(Reserve(_held(window), (window,))) == []


def test_a_budget_that_was_made_soft_or_inactive_refuses_no_more() -> None:
    window = _window(cap=100)
    Budget.objects.update(hard=False)
    assert _refused(Reserve(_held(window), (window,))) == []
    Budget.objects.update(hard=True, is_active=False)
    assert _refused(Reserve(_held(window), (window,))) == []


class TestWhichBudgets:
    def _spec(self, scope: str, subject: str, period: str = "day") -> BudgetSpec:
        return BudgetSpec(
            id=uuid7(),
            name=f"{scope} {subject}",
            scope=scope,
            subject=subject,
            cap_pico=1,
            period=period,  # type: ignore[arg-type]  # a test's own words
            time_zone="Europe/Berlin",
            hard=True,
        )

    def _names(self, budgets: Budgets, now: datetime = NOW, **given: Any) -> list[str]:
        asked: dict[str, Any] = {
            "client": "alice",
            "key_id": UUID(int=2),
            "end_user": "u1",
            "tags": {"team": "search"},
            "provider": "openai",
        }
        return sorted(window.name for window in budgets.windows(now=now, **asked | given))

    def test_a_call_counts_in_each_that_is_about_it(self) -> None:
        mine = [
            self._spec("all", ""),
            self._spec("client", "alice"),
            self._spec("key", str(UUID(int=2))),
            self._spec("end_user", "u1"),
            self._spec("tag", "team=search"),
            self._spec("provider", "openai"),
        ]
        others = [self._spec("client", "bob"), self._spec("tag", "team=ads"), self._spec("end_user", "")]
        budgets = Budgets([*mine, *others])
        assert self._names(budgets) == sorted(spec.name for spec in mine)
        assert not Budgets([])

    def test_a_call_without_an_end_user_counts_in_no_end_users_budget(self) -> None:
        assert self._names(Budgets([self._spec("end_user", "u1")]), end_user="") == []

    def test_a_new_day_in_its_zone_is_a_new_window(self) -> None:
        budgets = Budgets([self._spec("all", "")])
        facts: dict[str, Any] = {"client": "", "key_id": None, "end_user": "", "tags": {}, "provider": ""}
        before = datetime(2026, 10, 25, 22, 59, tzinfo=UTC)  # 23:59 in Berlin, on the day of 25 hours
        first = budgets.windows(now=before, **facts)[0]
        assert first.ends_at is not None
        assert first.ends_at - first.starts_at == timedelta(hours=25)
        second = budgets.windows(now=before + timedelta(minutes=1), **facts)[0]
        assert second.starts_at == first.ends_at
        assert second.id != first.id
        assert budgets.windows(now=before, **facts)[0].id == first.id


@pytest.mark.parametrize(
    ("period", "moment", "starts_at", "ends_at"),
    [
        ("week", "2026-03-29T12:00+02:00", "2026-03-23T00:00+01:00", "2026-03-30T00:00+02:00"),
        ("week", "2026-10-19T00:00+02:00", "2026-10-19T00:00+02:00", "2026-10-26T00:00+01:00"),
        ("month", "2026-02-28T23:59+01:00", "2026-02-01T00:00+01:00", "2026-03-01T00:00+01:00"),
        ("month", "2026-12-31T23:59+01:00", "2026-12-01T00:00+01:00", "2027-01-01T00:00+01:00"),
    ],
)
def test_weeks_begin_on_monday_and_months_on_the_first_also_where_clocks_change(
    period: Period, moment: str, starts_at: str, ends_at: str
) -> None:
    began = periods.start_of(period, datetime.fromisoformat(moment), ZoneInfo("Europe/Berlin"))
    assert began == datetime.fromisoformat(starts_at)
    assert periods.end_of(period, began, ZoneInfo("Europe/Berlin")) == datetime.fromisoformat(ends_at)


@pytest.mark.parametrize(
    ("period", "time_zone", "expected"),
    [
        ("day", "Europe/Berlin", "e47fcda0-68de-5de3-9c67-c85b18342e0c"),
        ("month", "UTC", "1e6ecac1-521b-5031-9f61-1a2b60940406"),
        ("total", "UTC", "c351b783-9615-538f-9801-c47ec7f72392"),
    ],
)
def test_a_period_keeps_its_window_from_one_version_to_the_next(period: Period, time_zone: str, expected: str) -> None:
    """With another id it would begin anew in its middle, with all of its limit to spend."""
    spec = BudgetSpec(UUID(int=7), "team", "all", "", 1, period, time_zone, hard=True)
    assert window_of(spec, NOW).id == UUID(expected)


def test_a_period_that_is_full_takes_no_further_cost_and_no_settle_fails() -> None:
    """A column has 64 bits: what does not fit is recorded, and says itself that it does not count in the window."""
    full, other = _window(hard=False), _window(name="all", scope="all", hard=False)
    most = 9_000_000 * 10**12
    first, second = _held(full, other), _held(full)
    ledger.apply([Reserve(first, (full, other)), Reserve(second, (full,))])
    BudgetWindow.objects.filter(pk=full.id).update(opening_pico=most - 30, settled_pico=most - 30)

    ledger.apply([Settle(record(first))])
    ledger.apply([Settle(record(second))])

    assert _figures(full) == (0, most - 5, 0)
    assert _figures(other) == (0, 25, 0)
    assert UsageRecord.objects.get(pk=first.id).windows == [str(full.id), str(other.id)]
    assert UsageRecord.objects.get(pk=second.id).windows == []
    assert prove().is_balanced


def test_money_that_comes_back_makes_room_in_a_full_period() -> None:
    full = _window(hard=False)
    held = _held(full)
    ledger.apply([Reserve(held, (full,))])
    most = 9_000_000 * 10**12
    BudgetWindow.objects.filter(pk=full.id).update(opening_pico=most, settled_pico=most)
    back = msgspec.structs.replace(record(held, cost_pico=-40), id=uuid7(), kind="adjustment", is_final=False)

    ledger.apply([Settle(record(held)), Note(back)])

    assert _figures(full) == (0, most - 40, 0)


def test_what_an_extended_hold_may_write_is_in_the_row_that_the_sweeper_leaves() -> None:
    held = hold(output_tokens=100)
    ledger.apply([Reserve(held)])
    ledger.apply([Extend(held.id, 150, output_tokens=50)])

    leases.sweep(now=timezone.now())

    row = UsageRecord.objects.get()
    assert (row.status, row.output_tokens, row.cost_pico) == ("interrupted", 150, 450)
