"""Proofs and repairs while calls go on, in threads with connections of their own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection
from django.db.models import F

from tests.usage.rows import NOW, hold, record
from usage import books, ledger
from usage.budgets import BudgetSpec, Window, window_of
from usage.ledger import Reserve, Settle
from usage.models import Budget, Day, KeyDay, Quarter, UsageRecord, UserDay

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def budget() -> Window:
    row = Budget.objects.create(name="everything", scope="all", cap_pico=10**12, period="month")
    return window_of(BudgetSpec(row.pk, "everything", "all", "", 10**12, "month", "UTC", True), NOW)


@contextmanager
def traffic(budget: Window, *, threads: int = 2) -> Iterator[None]:
    """Calls without a pause until the block is left; whatever one raises is raised then."""
    stop, errors = threading.Event(), list[Exception]()

    def call() -> None:
        try:
            while not stop.is_set():
                held = hold(windows=f'["{budget.id}"]', end_user="ann")
                ledger.apply([Reserve(held, (budget,))])
                ledger.apply([Settle(record(held))])
        except Exception as error:  # noqa: BLE001 - told to the test
            errors.append(error)
        finally:
            connection.close()

    running = [threading.Thread(target=call) for _ in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in running:
            thread.join()
    assert errors == []


def test_a_proof_sees_one_moment(budget: Window) -> None:
    with traffic(budget):
        proofs = [books.prove()]
        while len(proofs) < 15 or proofs[-1].records == proofs[0].records:
            proofs.append(books.prove())
    assert {proof.differences for proof in proofs} == {()}


def test_a_rebuild_loses_no_call(budget: Window) -> None:
    with traffic(budget):
        for _ in range(5):
            for table in (Quarter, Day, UserDay, KeyDay):
                table._default_manager.filter(client="alice").update(cost_pico=F("cost_pico") + 7, calls=F("calls") - 1)
            books.rebuild_rollups()
            assert books.prove().is_balanced
    assert books.prove().is_balanced
    assert sum(row.calls for row in Day.objects.all()) == UsageRecord.objects.count() > 0


def test_one_rebuild_at_a_time() -> None:
    with books._alone(), pytest.raises(books.RebuildRunningError):
        books.rebuild_rollups()
    books.rebuild_rollups()
