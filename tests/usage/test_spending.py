"""Budgets that are changed and deleted beside the calls that count in them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts import acting
from tests.meanwhile import deleted_after
from tests.servers import PATIENCE_S
from tests.usage.locks import until_one_waits
from tests.usage.rows import hold
from usage import ledger, spending
from usage.budgets import window_of
from usage.ledger import Reserve
from usage.models import Budget, BudgetWindow, Hold

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_budget_that_was_deleted_does_not_come_back_with_an_edit() -> None:
    """It would without its windows, though its calls' rows name them."""
    budget = Budget.objects.create(name="all", scope="all", cap_pico=1_000, period="day")
    form = Budget.objects.get()
    budget.delete()
    form.cap_pico = 2_000

    with pytest.raises(Budget.DoesNotExist):
        spending.save(form, count_so_far=False, now=timezone.now())

    assert not Budget.objects.exists()


def test_a_budget_that_is_deleted_while_its_running_period_is_raised_is_not_found() -> None:
    budget = Budget.objects.create(name="all", scope="all", cap_pico=1_000, period="day")
    spending.raise_window(budget, amount_pico=1, now=timezone.now())

    with pytest.raises(Budget.DoesNotExist), deleted_after('INTO "usage_budgetwindow"', budget):
        spending.raise_window(budget, amount_pico=1, now=timezone.now())


@pytest.mark.only_on("postgresql")  # SQLite has one writer
def test_a_budget_is_deleted_while_a_call_opens_its_next_period() -> None:
    today = timezone.now()
    spec = spending.spec_of(Budget.objects.create(name="all", scope="all", cap_pico=10**6, period="day"))
    windows = [window_of(spec, today + timedelta(days=number)) for number in range(2)]
    ledger.apply([Reserve(hold(windows=f'["{windows[0].id}"]'), (windows[0],))])
    begun, go_on = threading.Event(), threading.Event()

    def count_in_both() -> None:
        with transaction.atomic():
            ledger.apply([Reserve(hold(windows=f'["{windows[0].id}"]'), (windows[0],))])
            begun.set()
            go_on.wait(PATIENCE_S)
            ledger.apply([Reserve(hold(windows=f'["{windows[1].id}"]'), (windows[1],))])
        connection.close()

    def delete() -> None:
        with acting.commanding("test"):
            Budget.objects.get().delete()
        connection.close()

    with ThreadPoolExecutor(2) as pool:
        calls = pool.submit(count_in_both)
        assert begun.wait(PATIENCE_S)
        deletion = pool.submit(delete)
        until_one_waits()
        with pytest.raises(TimeoutError):
            deletion.result(0.3)  # it waits for the window
        go_on.set()
        calls.result(PATIENCE_S)  # raises what PostgreSQL says of a deadlock
        deletion.result(PATIENCE_S)
    assert Hold.objects.count() == 3
    assert not BudgetWindow.objects.exists()
