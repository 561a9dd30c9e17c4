"""Where people are told, and the outbox: a row for each message to each channel, and one for each attempt."""

from __future__ import annotations

from typing import ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from accounts.audit import Audited
from alerts.channels import CHANNELS
from core.models import Identified
from core.vault import EncryptedField, Secret, UnreadableSecretError, decrypt

HIDDEN_QUERY = "?…"


def without_query(address: str) -> str:
    """`https://example.com/hook?…`: what follows may hold a token."""
    shown, _, query = address.partition("?")
    return f"{shown}{HIDDEN_QUERY}" if query else shown


class Channel(Audited, Identified):
    """A way to people or programs. `kind` is a name of `alerts.channels.CHANNELS`."""

    name = models.CharField(max_length=80, unique=True, help_text="For example On-call, or Finance.")
    kind = models.CharField(max_length=32)
    address = models.TextField(blank=True, help_text="E-mail addresses, or where the webhook listens.")
    secret = EncryptedField(blank=True, editable=False)
    hint = models.CharField(max_length=12, blank=True, editable=False)
    gets_alerts = models.BooleanField(
        "gets every alert",
        default=True,
        help_text="Of rules that name no channel of their own. Switch it off for a channel that only gets reports.",
    )
    is_active = models.BooleanField("active", default=True, help_text="An inactive channel is sent nothing.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    told_as: ClassVar = {"address": without_query}

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        kind = CHANNELS.get(self.kind)
        if kind is None:
            raise ValidationError({"kind": f"Choose one of {', '.join(CHANNELS)}."})
        try:
            secret = self.reveal()
        except UnreadableSecretError as error:
            raise ValidationError({"secret": str(error)}) from error
        kind.validate(self.address, secret)

    def take(self, secret: Secret) -> None:
        """Make `secret` this channel's secret."""
        self.secret = secret
        self.hint = secret.hint

    def reveal(self) -> Secret:
        """Empty where it has none. Raises `UnreadableSecretError` where the encryption key has gone."""
        if isinstance(self.secret, Secret):
            return self.secret
        return decrypt(self.secret) if self.secret else Secret("")


class Delivery(Identified):
    """One message to one channel, until it has arrived. `facts` is what it tells (`alerts.messages` writes it out).

    `key` is the same for the same news to the same channel, so that it is queued once. Whoever sends it holds it until
    `claimed_until`; after that the sender is dead, and another may. `rest`: who of the channel's has not got it, once
    others have.
    """

    class Kind(models.TextChoices):
        OPENED = "opened", "Alert"
        REMINDER = "reminder", "Reminder"
        RESOLVED = "resolved", "All clear"
        LAPSED = "lapsed", "Closed, too little known"
        REPORT = "report", "Report"
        TEST = "test", "Test"

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        SENDING = "sending", "Being sent"
        DELIVERED = "delivered", "Delivered"
        FAILED = "failed", "Given up"

    key = models.CharField(max_length=120, unique=True, editable=False)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    channel = models.ForeignKey(Channel, on_delete=models.SET_NULL, null=True, related_name="deliveries")
    channel_name = models.CharField("channel", max_length=80)
    incident = models.ForeignKey("Incident", on_delete=models.SET_NULL, null=True, related_name="deliveries")
    schedule = models.ForeignKey(
        "ReportSchedule", verbose_name="report", on_delete=models.SET_NULL, null=True, related_name="deliveries"
    )
    subject = models.CharField(max_length=300)
    facts = models.JSONField(default=dict)
    rest = models.TextField(blank=True, default="", db_default="")
    state = models.CharField(max_length=12, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField()
    retry_at = models.DateTimeField(null=True)
    claimed_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    delivered_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name_plural = "deliveries"
        indexes: ClassVar = [
            models.Index(
                fields=["channel", "id"],
                name="delivery_unfinished",
                condition=models.Q(state__in=["waiting", "sending"]),
            )
        ]

    def __str__(self) -> str:
        return self.subject


class Attempt(models.Model):
    """One try of a delivery, and what came of it."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="log")
    at = models.DateTimeField()
    took_ms = models.FloatField()
    ok = models.BooleanField()
    detail = models.CharField(max_length=300)

    class Meta:
        ordering: ClassVar = ["at"]

    def __str__(self) -> str:
        return self.detail
