"""Past calls at another price: exact, repeatable, in the period and the budgets of the call itself."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.db.models import Sum
from hypothesis import given
from hypothesis import strategies as st

from core.ids import time_of, uuid7_of
from tests.servers import PATIENCE_S
from tests.usage.rows import NOW, hold, record
from usage import books, budgets, corrections, ledger, pricing, queries, repricing
from usage.budgets import BudgetSpec
from usage.ledger import Note, Reserve, Settle
from usage.models import Budget, BudgetWindow, Repricing, UsageRecord
from usage.pricing import Exchange, ListPrice, TierPrice
from usage.repricing import Terms
from usage.rows import COSTS, TOKENS, RecordRow

MODEL = UUID(int=4)
JOB = UUID(int=77)


def _terms(into: str = "2", out: str = "6", *exchanges: Exchange, **given: Any) -> Terms:
    usual: dict[str, Any] = {
        "price_id": UUID(int=9),
        "valid_from": NOW,
        "input_per_million": Decimal(into),
        "output_per_million": Decimal(out),
    }
    return Terms(price=ListPrice(**usual | given), exchanges=exchanges)


def _adjustment(row: RecordRow, terms: Terms, *earlier: RecordRow, job: UUID = JOB) -> RecordRow | None:
    rates = pricing.in_force(terms.timeline(), row.started_at)
    assert rates is not None
    return repricing.adjustment(
        repricing.standing(row, earlier), rates, repricing_id=job, reason="wrong price", author="ada", now=NOW
    )


# --- pure ---------------------------------------------------------------------------------------------------------


def test_an_adjustment_is_the_difference_and_says_why_and_by_whom() -> None:
    row = record(hold())  # 10 tokens in, 5 out
    found = _adjustment(row, _terms())
    assert found is not None
    assert [getattr(found, name) for name in COSTS] == [50_000_000 - 25, 20_000_000 - 10, 30_000_000 - 15, 0]
    assert (found.kind, found.adjusts_id, found.is_final) == ("adjustment", row.id, False)
    assert (found.reason, found.author, found.price_id) == ("wrong price", "ada", UUID(int=9))
    assert (found.started_at, found.windows, found.client) == (row.started_at, row.windows, row.client)
    assert not any(getattr(found, name) for name in TOKENS)
    assert not found.prices_unknown


def test_its_id_lies_in_the_rows_millisecond_and_follows_from_row_and_repricing() -> None:
    row = record(hold(id=uuid7_of(NOW)))
    first, again = _adjustment(row, _terms()), _adjustment(row, _terms())
    other = _adjustment(row, _terms(), job=UUID(int=78))
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.id == again.id != other.id
    assert (time_of(first.id), first.id.version, first.id.variant) == (NOW, 7, UUID(int=0x8 << 60).variant)


def test_a_call_that_costs_that_already_needs_none() -> None:
    row = record(hold())
    first = _adjustment(row, _terms())
    assert first is not None
    assert _adjustment(row, _terms(), first) is None


def test_an_unknown_cost_becomes_known_once() -> None:
    row = record(hold(price_id=None, amount_pico=None), **dict.fromkeys(COSTS))
    first = _adjustment(row, _terms())
    assert first is not None
    assert (first.cost_pico, first.prices_unknown) == (50_000_000, True)
    second = _adjustment(row, _terms("3"), first, job=UUID(int=78))
    assert second is not None
    assert (second.cost_pico, second.prices_unknown) == (10_000_000, False)


def test_a_bound_stays_a_bound() -> None:
    parts = dict.fromkeys(COSTS) | {"cost_pico": 300}
    row = record(hold(), status="interrupted", evidence="upper_bound", **parts)
    found = _adjustment(row, _terms(reasoning_per_million=Decimal(8)))
    assert found is not None
    assert (found.cost_pico, found.input_cost_pico) == (10 * 2_000_000 + 5 * 8_000_000 - 300, None)


def test_the_exchange_rate_is_that_of_the_calls_day_and_stands_on_the_row() -> None:
    days = [
        Exchange("EUR", datetime(2026, month, 1, tzinfo=UTC), Decimal(rate)) for month, rate in ((10, "2"), (12, "3"))
    ]
    found = _adjustment(record(hold()), _terms("2", "6", *days, currency="EUR"))
    assert found is not None
    assert (found.usd_per_unit, found.cost_pico) == (Decimal(2), 100_000_000 - 25)


def test_a_long_prompt_is_repriced_by_its_tier() -> None:
    tier = TierPrice(above_tokens=9, input_per_million=Decimal(4), output_per_million=Decimal(6))
    found = _adjustment(record(hold()), _terms(tiers=(tier,)))
    assert found is not None
    assert found.input_cost_pico == 40_000_000 - 10


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), max_size=4), st.integers(0, 10**9))
def test_however_often_it_is_repriced_the_last_price_holds(prices: list[tuple[int, int]], tokens: int) -> None:
    row = record(hold(), input_tokens=tokens)
    adjustments: list[RecordRow] = []
    for number, (into, out) in enumerate(prices):
        found = _adjustment(row, _terms(str(into), str(out)), *adjustments, job=UUID(int=number))
        adjustments += [found] if found else []
        costs = [getattr(repricing.standing(row, adjustments), name) for name in COSTS]
        assert costs == [(tokens * into + 5 * out) * 10**6, tokens * into * 10**6, 5 * out * 10**6, 0]


# --- in the books -------------------------------------------------------------------------------------------------


def _begin(terms: Terms | None = None, **given: Any) -> Repricing:
    usual: dict[str, Any] = {
        "terms": terms or _terms(),
        "price_text": "a price",
        "deployment_id": MODEL,
        "model": "openai/gpt",
        "client": "",
        "starts_at": NOW - timedelta(days=1),
        "ends_at": NOW + timedelta(days=1),
        "reason": "wrong price",
        "author": "ada",
        "now": NOW + timedelta(days=2),
    }
    return corrections.begin(**usual | given)


def _finish(job: Repricing) -> Repricing:
    while corrections.advance(job.pk, now=NOW):
        pass
    job.refresh_from_db()
    return job


def _apply(job: Repricing) -> Repricing:
    corrections.apply(_finish(job).pk, author="grace", now=NOW)
    return _finish(job)


def _calls(number: int, **given: Any) -> list[RecordRow]:
    rows = [record(hold(), **given) for _ in range(number)]
    ledger.apply([Note(row) for row in rows])
    return rows


def _spent() -> int | None:
    spent: int | None = UsageRecord.objects.aggregate(sum=Sum("cost_pico"))["sum"]
    return spent


@pytest.mark.django_db
def test_comparing_counts_and_changes_nothing() -> None:
    _calls(3)
    job = _finish(_begin())
    assert (job.state, job.rows, job.changed_rows, job.unpriced_rows) == ("compared", 3, 3, 0)
    assert (job.old_pico, job.new_pico) == (75, 150_000_000)
    assert (UsageRecord.objects.count(), _spent()) == (3, 75)


@pytest.mark.django_db
def test_applying_brings_the_books_to_what_was_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corrections, "BATCH_ROWS", 2)
    _calls(5)
    job = _apply(_begin())
    assert (job.rows, job.changed_rows, job.newly_known_rows) == (5, 5, 0)
    assert (job.state, job.adjusted_rows, job.adjusted_pico) == ("applied", 5, job.new_pico - job.old_pico)
    assert _spent() == job.new_pico
    written = UsageRecord.objects.filter(kind="adjustment")
    assert set(written.values_list("reason", "author")) == {("wrong price", "grace")}
    assert queries.totals(NOW - timedelta(days=1), NOW + timedelta(days=1)).requests == 5
    assert not books.prove().differences


@pytest.mark.django_db(transaction=True)
@pytest.mark.only_on("postgresql")  # SQLite has one writer
def test_a_truth_that_comes_while_its_guess_is_repriced_takes_both_back() -> None:
    held = hold()
    guess = record(held, status="interrupted", evidence="upper_bound", cost_pico=300, input_cost_pico=300)
    ledger.apply([Reserve(held)])
    ledger.apply([Settle(guess, swept=True)])
    job = _finish(_begin())
    corrections.apply(job.pk, author="grace", now=NOW)

    def tell() -> None:
        ledger.apply([Settle(record(held))])
        connection.close()

    with ThreadPoolExecutor(1) as elsewhere:
        told: list[Future[None]] = []

        def execute(do: Any, sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001 - Django's
            """The truth comes when all that has corrected the guess has just been read."""
            found = do(sql, params, many, context)
            if '"adjusts_id" IN' in sql and not told:
                told.append(elsewhere.submit(tell))
                assert not wait(told, timeout=1).done
            return found

        with connection.execute_wrapper(execute):
            corrections.advance(job.pk, now=NOW)
        told[0].result(PATIENCE_S)

    assert _spent() == record(held).cost_pico


@pytest.mark.django_db
def test_once_applied_there_is_nothing_more_to_do() -> None:
    _calls(3)
    _apply(_begin())
    again = _apply(_begin())
    assert (again.changed_rows, again.adjusted_rows) == (0, 0)
    assert not corrections.advance(again.pk, now=NOW)
    assert UsageRecord.objects.count() == 6


@pytest.mark.django_db
def test_a_batch_that_is_done_twice_is_booked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corrections, "BATCH_ROWS", 2)
    _calls(3)
    job = _finish(_begin())
    corrections.apply(job.pk, author="ada", now=NOW)
    corrections.advance(job.pk, now=NOW)
    Repricing.objects.update(cursor=None)  # as if the worker's progress had been lost
    _finish(job)
    assert UsageRecord.objects.filter(kind="adjustment").count() == 3
    assert _spent() == 150_000_000


@pytest.mark.django_db
def test_only_the_chosen_calls_are_touched() -> None:
    chosen, *_ = _calls(1), _calls(1, client="bob"), _calls(1, deployment_id=UUID(int=5))
    _calls(1, evidence="none", cost_pico=0)
    _calls(1, id=uuid7_of(NOW - timedelta(days=3)), started_at=NOW - timedelta(days=3))
    _apply(_begin(client="alice"))
    assert set(UsageRecord.objects.filter(kind="adjustment").values_list("adjusts_id", flat=True)) == {chosen[0].id}


@pytest.mark.django_db
def test_calls_that_begin_after_it_was_asked_for_are_never_touched() -> None:
    _calls(1, id=uuid7_of(NOW + timedelta(hours=1)), started_at=NOW + timedelta(hours=1))
    job = _apply(_begin(now=NOW))
    assert (job.ends_at, job.rows, job.adjusted_rows) == (NOW, 0, 0)


@pytest.mark.django_db
def test_what_had_no_price_is_known_afterwards() -> None:
    _calls(2, price_id=None, **dict.fromkeys(COSTS))
    start, end = NOW - timedelta(days=1), NOW + timedelta(days=1)
    assert queries.totals(start, end).unknown_cost_requests == 2
    job = _apply(_begin())
    after = queries.totals(start, end)
    assert (job.newly_known_rows, after.unknown_cost_requests, after.cost_pico) == (2, 0, 100_000_000)
    assert not books.prove().differences


@pytest.mark.django_db
def test_calls_of_a_day_without_an_exchange_rate_are_left_out_and_counted() -> None:
    _calls(2)
    later = Exchange("EUR", NOW + timedelta(days=1), Decimal(1))
    job = _apply(_begin(_terms("2", "6", later, currency="EUR")))
    assert (job.rows, job.changed_rows, job.unpriced_rows, _spent()) == (2, 0, 2, 50)


@pytest.mark.django_db
def test_the_budgets_of_the_call_are_charged_in_its_own_period() -> None:
    budget = Budget.objects.create(name="all", scope="all", cap_pico=10**12, period="month", created_at=NOW)
    spec = BudgetSpec(budget.pk, "all", "all", "", 10**12, "month", "UTC", hard=True)
    window = budgets.window_of(spec, NOW)
    held = hold(windows=f'["{window.id}"]')
    ledger.apply([Reserve(held, (window,))])
    ledger.apply([Settle(record(held))])
    _apply(_begin())
    settled = BudgetWindow.objects.get()
    assert (settled.held_pico, settled.settled_pico) == (0, 50_000_000)


@pytest.mark.django_db
def test_one_is_applied_at_a_time_and_only_after_comparing() -> None:
    first, second = _begin(), _begin()
    with pytest.raises(corrections.NotReadyError):
        corrections.apply(first.pk, author="ada", now=NOW)
    _finish(first), _finish(second)
    corrections.apply(first.pk, author="ada", now=NOW)
    with pytest.raises(corrections.NotReadyError, match="Another"):
        corrections.apply(second.pk, author="ada", now=NOW)
    _finish(first)
    corrections.apply(second.pk, author="ada", now=NOW)


@pytest.mark.django_db
def test_what_a_dead_worker_left_is_found() -> None:
    job = _begin()
    assert corrections.unfinished(before=NOW) == []
    assert corrections.unfinished(before=NOW + timedelta(days=3)) == [job.pk]
    _finish(job)
    assert corrections.unfinished(before=NOW + timedelta(days=3)) == []


@pytest.mark.django_db
def test_a_rows_exchange_rate_is_stored_exactly() -> None:
    _calls(1, usd_per_unit=Decimal("0.0065432198"))
    assert UsageRecord.objects.get().usd_per_unit == Decimal("0.0065432198")
