"""Budgets, and their windows: one row a period, so that nothing is ever reset."""

from __future__ import annotations

import functools
from typing import Any, ClassVar
from uuid import UUID
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from accounts.audit import Audited
from core.models import Identified
from core.money import MAX_PICO_USD
from usage.models.calls import MAX_END_USER_CHARS

_time_zones = functools.cache(available_timezones)  # it opens each zone's file


def known_time_zone(name: str) -> None:
    if name not in _time_zones():
        raise ValidationError("Use a time zone's name, for example Europe/Berlin or UTC.")


class Budget(Audited, Identified):
    """How much may be spent by whom in a period. A hard budget refuses what does not fit; a soft one only counts."""

    class Scope(models.TextChoices):
        ALL = "all", "Everything"
        CLIENT = "client", "A client"
        KEY = "key", "An API key"
        END_USER = "end_user", "An end user"
        TAG = "tag", "A tag (name=value)"
        PROVIDER = "provider", "A provider"

    class Period(models.TextChoices):
        DAY = "day", "Day"
        WEEK = "week", "Week (from Monday)"
        MONTH = "month", "Month"
        TOTAL = "total", "For ever"

    name = models.CharField(max_length=80, unique=True, help_text="Callers whose calls do not fit are told this name.")
    scope = models.CharField("for", max_length=12, choices=Scope.choices)
    subject = models.CharField(
        "whose",
        max_length=200,
        blank=True,
        help_text="A client's name, a key's id, an end user, team=search, or a provider's slug.",
    )
    cap_pico = models.BigIntegerField("limit", validators=[MinValueValidator(0)])
    period = models.CharField(max_length=8, choices=Period.choices, default=Period.MONTH)
    time_zone = models.CharField(
        max_length=64, default="UTC", validators=[known_time_zone], help_text="Whose midnights count."
    )
    hard = models.BooleanField(default=True, help_text="Refuse calls that do not fit. Otherwise they are only counted.")
    is_active = models.BooleanField(
        "active", default=True, help_text="Switched off, it refuses nothing; what is spent meanwhile is counted still."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(cap_pico__gte=0) & Q(cap_pico__lte=MAX_PICO_USD), name="budget_cap_in_range"
            ),
            models.CheckConstraint(
                condition=Q(scope="all", subject="") | (~Q(scope="all") & ~Q(subject="")), name="budget_has_subject"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def delete(self, *args: Any, **options: Any) -> tuple[int, dict[str, int]]:
        with transaction.atomic():  # windows before their budget, as the ledger locks them
            list(self.windows.select_for_update().order_by("pk").values_list("pk"))
            return super().delete(*args, **options)

    def clean(self) -> None:
        if self.scope == self.Scope.ALL and self.subject:
            raise ValidationError({"subject": "A budget for everything has no subject: leave it empty."})
        if self.scope != self.Scope.ALL and not self.subject:
            raise ValidationError({"subject": f"Say which: {self.get_scope_display().lower()}."})
        if self._state.adding:
            self.subject = as_calls_say(self.scope, self.subject)


def as_calls_say(scope: str, typed: str) -> str:
    """A subject written as calls are looked up by: otherwise none would ever count. Raises ValidationError."""
    if scope == Budget.Scope.KEY:
        try:
            return str(UUID(typed))
        except ValueError as error:
            raise ValidationError({"subject": "A key is named by its id, not by how it begins."}) from error
    if scope == Budget.Scope.TAG:
        name, equals, value = map(str.strip, typed.partition("="))
        if not (name and equals):
            raise ValidationError({"subject": "A tag is written name=value, for example team=search."})
        return f"{name}={value}"
    return typed[:MAX_END_USER_CHARS] if scope == Budget.Scope.END_USER else typed


class BudgetWindow(Audited):
    """One period of a budget. `left = cap + raised - held - settled`.

    `opening_pico` is what was spent in the period before the budget existed, where it was told to count that; it is
    part of `settled_pico`. `overrun_pico` is money that was billed beyond what had been held for it.
    """

    id = models.UUIDField(primary_key=True)
    budget = models.ForeignKey(Budget, on_delete=models.CASCADE, related_name="windows")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)
    cap_pico = models.BigIntegerField()
    raised_pico = models.BigIntegerField(default=0)
    opening_pico = models.BigIntegerField(default=0)
    held_pico = models.BigIntegerField(default=0)
    settled_pico = models.BigIntegerField(default=0)
    overrun_pico = models.BigIntegerField(default=0)

    class Meta:
        ordering: ClassVar = ["-starts_at"]

    def __str__(self) -> str:
        return f"{self.budget} from {self.starts_at:%Y-%m-%d}"

    @property
    def left_pico(self) -> int:
        return self.cap_pico + self.raised_pico - self.held_pico - self.settled_pico
