"""When which report goes to whom."""

from __future__ import annotations

from datetime import time
from typing import ClassVar

from django.db import models
from django.utils import timezone

from accounts.audit import Audited
from alerts import subjects
from alerts.models.channels import Channel
from core.models import Identified
from usage.models.budgets import known_time_zone


class ReportSchedule(Audited, Identified):
    """A report of every day, week or month of a time zone. `covered_until` is the end of the last one that was sent."""

    class Period(models.TextChoices):
        DAY = "day", "Every day"
        WEEK = "week", "Every week (Monday to Sunday)"
        MONTH = "month", "Every month"

    name = models.CharField(max_length=80, unique=True, help_text="The report's title, for example AI costs.")
    period = models.CharField("how often", max_length=8, choices=Period.choices, default=Period.WEEK)
    client = models.CharField(
        "only for the client", max_length=64, blank=True, help_text="A client's name. Empty: all clients together."
    )
    time_zone = models.CharField(
        max_length=64, default="UTC", validators=[known_time_zone], help_text="Whose midnights part the days."
    )
    send_at = models.TimeField(
        "sent at", default=time(7), help_text="On the first day after the period, by the clock of that time zone."
    )
    channels = models.ManyToManyField(Channel, related_name="schedules", help_text="Who gets it.")
    is_active = models.BooleanField("active", default=True)
    covered_until = models.DateTimeField(default=timezone.now, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["name"]
        verbose_name = "report"

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        subjects.must_be_known("client", self.client, field="client")
