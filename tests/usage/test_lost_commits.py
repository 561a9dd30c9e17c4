"""A commit of which nobody heard: it hangs in a database that froze, and goes through when it thaws."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from django.utils import timezone

from tests.servers import PATIENCE_S
from tests.usage.locks import until_one_waits
from tests.usage.rows import NOW, hold, record
from usage import ledger, spending
from usage.budgets import Window, window_of
from usage.ledger import Extend, Refusal, Reserve, Settle, Void
from usage.models import Budget, BudgetWindow, Hold
from usage.spending import spec_of

pytestmark = pytest.mark.django_db(transaction=True)


def _window() -> Window:
    return window_of(spec_of(Budget.objects.create(name="all", scope="all", cap_pico=1_000, period="day")), NOW)


def test_a_hold_that_comes_to_light_after_its_void_is_gone_all_the_same() -> None:
    window = _window()
    held = hold(windows=f'["{window.id}"]')
    written, thaw = threading.Event(), threading.Event()

    def hang_before_the_commit() -> None:
        with transaction.atomic():
            ledger.apply([Reserve(held, (window,))])
            written.set()
            thaw.wait(PATIENCE_S)
        connection.close()

    def take_back() -> None:
        ledger.apply([Void(held.id, lost=held)], replayed=True, refusing=False)
        connection.close()

    with ThreadPoolExecutor(2) as pool:
        hanging = pool.submit(hang_before_the_commit)
        assert written.wait(PATIENCE_S)
        void = pool.submit(take_back)
        until_one_waits()
        with pytest.raises(TimeoutError):
            void.result(0.3)  # it waits for the other transaction
        thaw.set()
        hanging.result(PATIENCE_S)
        void.result(PATIENCE_S)
    assert not Hold.objects.exists()
    assert BudgetWindow.objects.get().held_pico == 0


def test_one_that_was_rolled_back_leaves_no_trace() -> None:
    held = hold()
    ledger.apply([Void(held.id, lost=held)], replayed=True, refusing=False)
    assert not Hold.objects.exists()


@pytest.mark.only_on("postgresql")  # SQLite has one writer
def test_a_hold_that_is_settled_just_now_takes_no_more_room() -> None:
    window = _window()
    held = hold(windows=f'["{window.id}"]')
    ledger.apply([Reserve(held, (window,))])
    settled, go_on = threading.Event(), threading.Event()

    def settle() -> None:
        with transaction.atomic():
            ledger.apply([Settle(record(held))])
            settled.set()
            go_on.wait(PATIENCE_S)
        connection.close()

    def extend() -> dict[int, Refusal]:
        try:
            return ledger.apply([Extend(held.id, 100, hard=True)])
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        settling = pool.submit(settle)
        assert settled.wait(PATIENCE_S)
        extending = pool.submit(extend)
        until_one_waits()
        go_on.set()
        settling.result(PATIENCE_S)
        assert list(extending.result(PATIENCE_S)) == [0]
    assert BudgetWindow.objects.get().held_pico == 0


def test_a_limit_that_is_lowered_while_its_first_window_is_being_opened_is_the_windows_too() -> None:
    now = timezone.now()
    budget = Budget.objects.create(name="all", scope="all", cap_pico=1_000, period="day")
    window = window_of(spec_of(budget), now)
    held = hold(windows=f'["{window.id}"]', started_at=now)
    written, go_on = threading.Event(), threading.Event()

    def open_the_window() -> None:
        with transaction.atomic():
            ledger.apply([Reserve(held, (window,))])
            written.set()
            go_on.wait(PATIENCE_S)
        connection.close()

    def lower_the_limit() -> None:
        budget.cap_pico = 400
        spending.save(budget, count_so_far=False, now=now)
        connection.close()

    with ThreadPoolExecutor(2) as pool:
        opening = pool.submit(open_the_window)
        assert written.wait(PATIENCE_S)
        lowering = pool.submit(lower_the_limit)
        until_one_waits()
        with pytest.raises(TimeoutError):
            lowering.result(0.3)
        go_on.set()
        opening.result(PATIENCE_S)
        lowering.result(PATIENCE_S)
    assert BudgetWindow.objects.get().cap_pico == 400
