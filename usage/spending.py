"""Budgets as people change them: made, edited, raised. The calls' side is `usage.ledger`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F, Q, QuerySet, Sum

from core.ids import lower_bound
from core.money import MOST_PICO, MOST_USD
from usage import sums
from usage.budgets import BudgetSpec, Window, window_of
from usage.models import Budget, BudgetWindow, UsageRecord
from usage.partitions import purged_before

FIXED = ("scope", "subject", "period", "time_zone")  # another period or subject is another budget


def save(budget: Budget, *, count_so_far: bool, now: datetime) -> None:
    """Save a valid budget; its running window takes the new limit.

    A new budget counts what was spent so far in its period only where `count_so_far` says so. Raises ValidationError,
    and DoesNotExist of one that was deleted just now: it does not come back, without its windows.
    """
    budget.full_clean()
    with transaction.atomic():
        is_new = budget._state.adding
        if not is_new:  # windows before their budget, as the ledger locks them: so that neither waits for the other
            list(_running(budget, now).select_for_update().order_by("pk").values_list("pk"))
            _lock(budget)
            require_room(budget, now)
        budget.save()
        if is_new and count_so_far:
            _open(budget, now, opening_pico=countable_so_far(budget, now))
        _running(budget, now).update(cap_pico=budget.cap_pico)


def raise_window(budget: Budget, *, amount_pico: int, now: datetime) -> BudgetWindow:
    """More room (or, with a negative amount, less of a raise) in the running period alone.

    Raises ValidationError, and DoesNotExist of a budget that was deleted just now.
    """
    with transaction.atomic():
        try:
            window = _open(budget, now, opening_pico=0)
        except BudgetWindow.DoesNotExist as error:  # it went with its budget
            raise Budget.DoesNotExist from error
        _lock(budget)
        raised_pico = window.raised_pico + amount_pico
        if raised_pico < 0:
            raise ValidationError({"amount_usd": "No more can be taken back than this period was raised by."})
        if window.cap_pico + raised_pico > MOST_PICO:
            together = f"A raise adds to the limit, and the two together are at most ${MOST_USD:,}."
            raise ValidationError({"amount_usd": together})
        BudgetWindow.objects.filter(pk=window.pk).update(raised_pico=F("raised_pico") + amount_pico)
        return BudgetWindow.objects.get(pk=window.pk)


def require_room(budget: Budget, now: datetime) -> None:
    """Raises ValidationError where limit and raise of the running period are more than the books can say."""
    if _running(budget, now).filter(raised_pico__gt=MOST_PICO - budget.cap_pico).exists():
        together = f"With the running period's raise it is more than ${MOST_USD:,}. Take some of the raise back first."
        raise ValidationError({"cap_pico": together})


def running_window(budget: Budget, now: datetime) -> BudgetWindow:
    """The window of now; one that no call has opened yet is made up, and not saved."""
    [(_, window)] = running_windows([budget], now)
    return window


def running_windows(budgets: Iterable[Budget], now: datetime) -> Iterator[tuple[Budget, BudgetWindow]]:
    """Each budget with its `running_window`, read together: there may be one for each end user."""
    windows = [(budget, window_of(spec_of(budget), now)) for budget in budgets]
    opened = BudgetWindow.objects.in_bulk([window.id for _, window in windows])
    for budget, window in windows:
        yield budget, opened.get(window.id) or _row(budget, window, opening_pico=0)


def spec_of(budget: Budget) -> BudgetSpec:
    return BudgetSpec(
        id=budget.pk,
        name=budget.name,
        scope=budget.scope,
        subject=budget.subject,
        cap_pico=budget.cap_pico,
        period=budget.period,  # type: ignore[arg-type]  # the model's choices are these
        time_zone=budget.time_zone,
        hard=budget.hard,
    )


def countable_so_far(budget: Budget, now: datetime) -> int:
    """What was recorded of the budget's subject in its running period.

    Raises ValidationError where it is too much, or records of the period are no longer kept.
    """
    purged = purged_before()
    if purged is not None and purged > window_of(spec_of(budget), now).starts_at:
        kept = f"Calls before {purged:%Y-%m-%d} are no longer kept: leave that out, and subtract what they cost."
        raise ValidationError({"count_so_far": kept})
    spent = spent_so_far(budget, now)
    if spent > MOST_PICO:
        raise ValidationError({"count_so_far": f"The running period has cost over ${MOST_USD:,}: leave that out."})
    return spent


def spent_so_far(budget: Budget, now: datetime) -> int:
    window = window_of(spec_of(budget), now)
    rows = UsageRecord.objects.filter(id__gte=lower_bound(window.starts_at))
    spent = _about(rows, budget).aggregate(spent=Sum("cost_pico"))["spent"]
    return int(spent or 0)


def _about(rows: QuerySet[UsageRecord], budget: Budget) -> QuerySet[UsageRecord]:
    if budget.scope == Budget.Scope.ALL:
        return rows
    if budget.scope == Budget.Scope.TAG:
        return sums.tagged(rows, budget.subject)
    column = "key_id" if budget.scope == Budget.Scope.KEY else budget.scope
    return rows.filter(**{column: budget.subject})


def _running(budget: Budget, now: datetime) -> QuerySet[BudgetWindow]:
    return BudgetWindow.objects.filter(Q(ends_at=None) | Q(ends_at__gt=now), budget=budget)


def _open(budget: Budget, now: datetime, *, opening_pico: int) -> BudgetWindow:
    """The running window's row, made if it is not there, and locked."""
    row = _row(budget, window_of(spec_of(budget), now), opening_pico=opening_pico)
    BudgetWindow.objects.bulk_create([row], ignore_conflicts=True)
    return BudgetWindow.objects.select_for_update().get(pk=row.pk)


def _lock(budget: Budget) -> None:
    """After its windows. Whoever deletes it waits; raises DoesNotExist where somebody has."""
    Budget.objects.select_for_update(no_key=True).get(pk=budget.pk)


def _row(budget: Budget, window: Window, *, opening_pico: int) -> BudgetWindow:
    return BudgetWindow(
        id=window.id,
        budget=budget,
        starts_at=window.starts_at,
        ends_at=window.ends_at,
        cap_pico=budget.cap_pico,
        opening_pico=opening_pico,
        settled_pico=opening_pico,
    )
