"""Re-pricing: which past calls, at what price, why and by whom."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from accounts.audit import Audited
from core.models import Identified


class Repricing(Audited, Identified):
    """Past calls at another price: first compared, then, when somebody says so, corrected by adjustments.

    `price` is a copy of the list price and its exchange rates (`usage.repricing.Terms` as JSON), so that what is
    applied is what was compared. `cursor` is the last row done of the pass that is under way. Sums are of known costs.
    """

    class State(models.TextChoices):
        COMPARING = "comparing", "Comparing"
        COMPARED = "compared", "Compared, not applied"
        APPLYING = "applying", "Applying"
        APPLIED = "applied", "Applied"

    price_id = models.UUIDField()
    price = models.TextField()
    price_text = models.CharField("price", max_length=300)
    deployment_id = models.UUIDField()
    model = models.CharField(max_length=300)
    client = models.CharField(max_length=64, blank=True)
    starts_at = models.DateTimeField("calls from")
    ends_at = models.DateTimeField("calls before")
    reason = models.CharField(max_length=200)
    author = models.CharField(max_length=150)
    state = models.CharField(max_length=12, choices=State.choices, default=State.COMPARING)
    cursor = models.UUIDField(null=True)

    rows = models.BigIntegerField("calls", default=0)
    changed_rows = models.BigIntegerField("calls whose cost changes", default=0)
    unpriced_rows = models.BigIntegerField("calls of a day without an exchange rate", default=0)
    newly_known_rows = models.BigIntegerField("calls whose cost was unknown", default=0)
    old_pico = models.BigIntegerField(default=0)
    new_pico = models.BigIntegerField(default=0)
    adjusted_rows = models.BigIntegerField("adjustments", default=0)
    adjusted_pico = models.BigIntegerField(default=0)

    created_at = models.DateTimeField(default=timezone.now, editable=False)
    moved_at = models.DateTimeField("last progress", default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name = "re-pricing"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["state"], condition=models.Q(state="applying"), name="one_repricing_at_a_time"
            ),
            models.CheckConstraint(
                condition=models.Q(starts_at__lt=models.F("ends_at")), name="repricing_period_in_order"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model}, {self.starts_at:%Y-%m-%d} to {self.ends_at:%Y-%m-%d}"
