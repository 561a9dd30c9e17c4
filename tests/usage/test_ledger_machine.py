"""Random interleavings of everything that can happen to a call, crashes and replays included: the books balance.

The machine keeps little of its own: what must hold is said of the tables. Each run is one transaction, rolled back.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from uuid import UUID

import msgspec
import pytest
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from core.ids import uuid7
from tests.usage.rows import NOW, hold, record
from usage import leases, ledger, repricing, spending
from usage.budgets import BudgetSpec, Window, window_of
from usage.ledger import Entry, Extend, Note, Reserve, Settle, Void
from usage.models import Budget, BudgetWindow, Day, Hold, KeyDay, Quarter, UsageRecord, UserDay
from usage.rows import TOKENS, HoldRow, record_row
from usage.truths import adjustment_id

CAP = 1_000
AMOUNTS = st.integers(0, 400)
COSTS = st.integers(0, 600)


class Books(RuleBasedStateMachine):
    """One budget that refuses and one that only counts; calls of a living process and of a dead one."""

    holds = Bundle("holds")
    settled = Bundle("settled")

    def __init__(self) -> None:
        super().__init__()
        self._run = transaction.atomic()
        self._run.__enter__()
        self.alive, self.dead = uuid7(), uuid7()
        leases.renew(self.alive, "machine")
        self.hard, self.soft = _budget("hard", hard=True), _budget("soft", hard=False)
        self.journal: list[Entry] = []
        self.truths: dict[UUID, int] = {}  # what a call's rows must add up to
        self.widest_cap = CAP

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self._run.__exit__(None, None, None)

    @rule(target=holds, amount=AMOUNTS, budgeted=st.booleans(), soft=st.booleans(), living=st.booleans())
    def reserve(self, amount: int, *, budgeted: bool, soft: bool, living: bool) -> HoldRow | object:
        windows = (self.hard,) * budgeted + (self.soft,) * soft
        held = _hold(amount, windows, self.alive if living else self.dead)
        left = self._left()
        refused = ledger.apply([Reserve(held, windows)])
        assert bool(refused) == (budgeted and amount > left)
        return multiple() if refused else held

    @rule(target=holds, amount=AMOUNTS, soft=st.booleans(), living=st.booleans())
    def reserve_while_the_database_is_away(self, amount: int, *, soft: bool, living: bool) -> HoldRow:
        windows = (self.soft,) * soft
        held = _hold(amount, windows, self.alive if living else self.dead)
        self.journal.append(Reserve(held, windows))
        return held

    @rule(held=holds, amount=AMOUNTS, hard=st.booleans())
    def extend(self, held: HoldRow, amount: int, *, hard: bool) -> None:
        is_there = Hold.objects.filter(pk=held.id).exists()
        fits = str(self.hard.id) not in held.windows or amount <= self._left()
        refused = ledger.apply([Extend(held.id, amount, hard=hard)])
        assert bool(refused) == (not fits if is_there else hard)

    @rule(target=settled, held=consumes(holds), cost=COSTS, journalled=st.booleans(), times=st.integers(1, 2))
    def settle(self, held: HoldRow, cost: int, *, journalled: bool, times: int) -> HoldRow:
        """A row in the journal means that what is about it goes there too, as the writer sees to."""
        entry = Settle(record(held, cost_pico=cost))
        self.truths[held.id] = cost
        if journalled or self._waits(held.id):
            self.journal.extend([entry] * times)
        else:
            for _ in range(times):
                ledger.apply([entry])
        return held

    @rule(held=settled)
    def settle_again(self, held: HoldRow) -> None:
        entry = Settle(record(held, cost_pico=self.truths[held.id]))
        self.journal.append(entry) if self._waits(held.id) else ledger.apply([entry])

    @rule(held=consumes(holds))
    def void(self, held: HoldRow) -> None:
        """Only a call that was never sent: one that the sweeper has taken for dead stays as it is."""
        self.journal.append(Void(held.id)) if self._waits(held.id) else ledger.apply([Void(held.id)])

    @rule(row=st.integers(0, 100), cost=st.integers(-300, 300))
    def adjust(self, row: int, cost: int) -> None:
        """Some call is re-priced. What a later truth says of it replaces that."""
        calls = UsageRecord.objects.filter(kind="call").order_by("id")
        if not (number := calls.count()):
            return
        call = calls[row % number]
        changes = {"kind": "adjustment", "adjusts_id": call.pk, "is_final": False, "author": "ada", "cost_pico": cost}
        tokens = dict.fromkeys(TOKENS, 0)
        key = repricing.adjustment_id(call.pk, uuid7())
        ledger.apply([Note(msgspec.structs.replace(record_row(call), id=key, **changes, **tokens))])
        if call.status != "interrupted" or UsageRecord.objects.filter(pk=adjustment_id(call.pk)).exists():
            self.truths[call.pk] += cost

    @rule(cap=st.integers(0, 2 * CAP))
    def edit_a_budget(self, cap: int) -> None:
        budget = Budget.objects.get(pk=self.hard.budget_id)
        budget.cap_pico = cap
        spending.save(budget, count_so_far=False, now=NOW)
        self.widest_cap = max(self.widest_cap, cap)

    @rule()
    def switch_a_budget(self) -> None:
        budget = Budget.objects.get(pk=self.soft.budget_id)
        budget.is_active = not budget.is_active
        spending.save(budget, count_so_far=False, now=NOW)

    @rule()
    def sweep(self) -> None:
        leases.sweep(now=timezone.now())
        assert not Hold.objects.filter(lease_id=self.dead).exists()

    @rule(broken_off_after=st.integers(0, 3))
    def replay(self, broken_off_after: int) -> None:
        """A replay that is killed half-way is made again from the beginning."""
        ledger.apply(self.journal[:broken_off_after], replayed=True)
        ledger.apply(self.journal, replayed=True)
        self.journal.clear()

    @invariant()
    def windows_are_the_sums_of_their_rows(self) -> None:
        held, spent = defaultdict[str, int](int), defaultdict[str, int](int)
        for windows, amount in Hold.objects.values_list("windows", "amount_pico"):
            for window in windows:
                held[window] += amount or 0
        for windows, cost in UsageRecord.objects.values_list("windows", "cost_pico"):
            for window in windows:
                spent[window] += cost or 0
        for row in BudgetWindow.objects.all():
            assert (row.held_pico, row.settled_pico) == (held[str(row.pk)], spent[str(row.pk)])
            assert row.held_pico >= 0
            if row.pk == self.hard.id:
                assert row.held_pico + row.settled_pico <= self.widest_cap + row.overrun_pico

    @invariant()
    def rollups_are_the_sums_of_the_records(self) -> None:
        spent = UsageRecord.objects.aggregate(cost=Sum("cost_pico"), tokens=Sum("input_tokens"))
        calls = UsageRecord.objects.filter(is_final=True, kind="call").count()
        for model in (Quarter, Day, UserDay, KeyDay):
            sums = model._default_manager.aggregate(
                cost=Sum("cost_pico"), tokens=Sum("input_tokens"), calls=Sum("calls")
            )
            assert (sums["cost"], sums["tokens"], sums["calls"] or 0) == (spent["cost"], spent["tokens"], calls)

    @invariant()
    def a_call_is_held_or_recorded_and_its_truth_is_told_once(self) -> None:
        records, costs = set[UUID](), defaultdict[UUID, int](int)
        for key, adjusts, cost in UsageRecord.objects.values_list("pk", "adjusts_id", "cost_pico"):
            records.add(key)
            costs[adjusts or key] += cost or 0
        assert not records & set(Hold.objects.values_list("pk", flat=True))
        waiting = {entry.record.id for entry in self.journal if isinstance(entry, Settle)}
        for key, cost in self.truths.items():
            if key not in waiting:
                assert costs[key] == cost

    def _left(self) -> int:
        """In the hard budget."""
        row = BudgetWindow.objects.filter(pk=self.hard.id).first()
        return row.left_pico if row else Budget.objects.get(pk=self.hard.budget_id).cap_pico

    def _waits(self, hold_id: UUID) -> bool:
        return any(isinstance(entry, Reserve) and entry.hold.id == hold_id for entry in self.journal)


def _budget(name: str, *, hard: bool) -> Window:
    row = Budget.objects.create(name=name, scope="all", cap_pico=CAP, hard=hard, period="day")
    spec = BudgetSpec(
        id=row.pk, name=name, scope="all", subject="", cap_pico=CAP, period="day", time_zone="UTC", hard=hard
    )
    return window_of(spec, NOW)


def _hold(amount: int, windows: tuple[Window, ...], lease_id: UUID) -> HoldRow:
    listed = ",".join(f'"{window.id}"' for window in windows)
    deadline_at = timezone.now() + timedelta(minutes=5)
    return hold(amount_pico=amount, windows=f"[{listed}]", lease_id=lease_id, deadline_at=deadline_at)


@pytest.mark.django_db
@pytest.mark.timeout(240)
def test_the_books_balance_whatever_happens() -> None:
    run_state_machine_as_test(
        Books,
        settings=settings(max_examples=40, stateful_step_count=30, suppress_health_check=list(HealthCheck)),
    )
