"""Proofs and repairs while calls go on, in threads with connections of their own."""

from __future__ import annotations

import pytest
from django.db.models import F

from tests.usage.rows import NOW
from tests.usage.traffic import traffic
from usage import books
from usage.budgets import BudgetSpec, Window, window_of
from usage.models import Budget, Day, KeyDay, Quarter, UsageRecord, UserDay

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def budget() -> Window:
    row = Budget.objects.create(name="everything", scope="all", cap_pico=10**12, period="month")
    return window_of(BudgetSpec(row.pk, "everything", "all", "", 10**12, "month", "UTC", True), NOW)


def test_a_proof_sees_one_moment(budget: Window) -> None:
    with traffic((budget,), end_user="ann"):
        proofs = [books.prove()]
        while len(proofs) < 15 or proofs[-1].records == proofs[0].records:
            proofs.append(books.prove())
    assert {proof.differences for proof in proofs} == {()}


def test_a_rebuild_loses_no_call(budget: Window) -> None:
    with traffic((budget,), end_user="ann"):
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
