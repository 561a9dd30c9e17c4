"""The truth about a call that comes after the sweeper's guess."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import pytest
from django.db.models import Sum

from tests.usage.rows import NOW, hold, record
from usage import leases, ledger, pricing, repricing
from usage.budgets import Window, window_of
from usage.ledger import Note, Reserve, Settle
from usage.models import Budget, BudgetWindow, Day, UsageRecord
from usage.pricing import ListPrice
from usage.rows import HoldRow, RecordRow, record_row
from usage.spending import spec_of

pytestmark = pytest.mark.django_db
GUESSED, TOLD = ("interrupted", "upper_bound"), ("ok", "reported")


def _swept(**given: object) -> HoldRow:
    held = hold(**given)
    ledger.apply([Reserve(held)])
    leases.sweep(now=NOW)
    return held


def _repriced(row: RecordRow, output: str) -> RecordRow:
    price = ListPrice(
        price_id=UUID(int=9), valid_from=NOW, input_per_million=Decimal(0), output_per_million=Decimal(output)
    )
    (rates,) = pricing.timeline([price], [])
    found = repricing.adjustment(row, rates, repricing_id=UUID(int=7), reason="wrong price", author="ada", now=NOW)
    assert found is not None
    return found


def _sums(column: str) -> dict[tuple[str, str], int]:
    rows = UsageRecord.objects.order_by().values("status", "evidence").annotate(sum=Sum(column))
    return {(row["status"], row["evidence"]): row["sum"] or 0 for row in rows}


def test_it_takes_the_guess_back_and_only_once() -> None:
    held = _swept()
    for _ in range(2):
        ledger.apply([Settle(record(held))])
    assert _sums("cost_pico") == {GUESSED: 0, TOLD: 25}
    assert _sums("input_tokens") == {GUESSED: 0, TOLD: 10}
    assert _sums("output_cost_pico") == {GUESSED: 0, TOLD: 15}
    adjustments = UsageRecord.objects.filter(kind="adjustment")
    assert [(row.adjusts_id, row.is_final) for row in adjustments] == [(held.id, False)] * 2


def test_the_re_pricings_of_the_guess_go_with_it() -> None:
    held = _swept()
    more = _repriced(record_row(UsageRecord.objects.get()), "7")
    ledger.apply([Note(more)])
    assert _sums("cost_pico") == {GUESSED: 200 * 7_000_000}
    ledger.apply([Settle(record(held))])
    assert _sums("cost_pico") == {GUESSED: 0, TOLD: 25}


def test_a_known_cost_after_a_guess_without_a_price() -> None:
    held = _swept(amount_pico=None)
    assert [row.unknown_cost_rows for row in Day.objects.all()] == [1]
    ledger.apply([Settle(record(held, evidence="none", status="error", cost_pico=0))])
    assert [row.unknown_cost_rows for row in Day.objects.all()] == [0, 0]


def test_an_unknown_cost_leaves_what_a_person_has_said_of_it() -> None:
    held = _swept(amount_pico=None)
    said = _repriced(record_row(UsageRecord.objects.get()), "7")
    ledger.apply([Note(said)])
    ledger.apply([Settle(record(held, cost_pico=None))])
    assert sum(_sums("cost_pico").values()) == said.cost_pico
    assert sum(_sums("output_tokens").values()) == 5


class TestOverrun:
    """Of what was never held only that counts for which there is no room."""

    def _window(self, cap: int) -> Window:
        budget = Budget.objects.create(name="all", scope="all", cap_pico=cap, period="day")
        return window_of(spec_of(budget), NOW)

    def _settled(self, window: Window) -> RecordRow:
        held = hold(windows=f'["{window.id}"]')
        row = record(held)
        ledger.apply([Reserve(held, (window,))])
        ledger.apply([Settle(row)])
        return row

    def _figures(self) -> tuple[int, int]:
        row = BudgetWindow.objects.get()
        return row.settled_pico, row.overrun_pico

    def test_a_re_pricing_for_which_there_is_room_is_none(self) -> None:
        more = _repriced(self._settled(self._window(10**9)), "20")
        ledger.apply([Note(more)])
        assert self._figures() == (5 * 20 * 10**6, 0)

    def test_what_it_takes_beyond_the_limit_is(self) -> None:
        more = _repriced(self._settled(self._window(10**6)), "20")
        ledger.apply([Note(more)])
        assert self._figures() == (5 * 20 * 10**6, 99 * 10**6)

    def test_all_of_it_is_where_nothing_was_left(self) -> None:
        row = self._settled(self._window(10**6))
        BudgetWindow.objects.update(cap_pico=10)
        ledger.apply([Note(_repriced(row, "20"))])
        assert self._figures() == (5 * 20 * 10**6, 5 * 20 * 10**6 - 25)

    def test_a_truth_beyond_its_guess_is(self) -> None:
        window = self._window(1_000)
        held = hold(windows=f'["{window.id}"]')
        ledger.apply([Reserve(held, (window,))])
        leases.sweep(now=NOW)
        ledger.apply([Settle(record(held, cost_pico=320))])
        assert self._figures() == (320, 20)
