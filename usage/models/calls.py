"""The ledger's tables. Rows are written by `usage.ledger` alone.

Everything a report groups by is copied onto the row (names, not foreign keys), so that a row stays true when its
client or provider is renamed or gone, and finance can read it without a join.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from core.ids import uuid7

MAX_END_USER_CHARS = 128  # what is longer is cut off


class CallFacts(models.Model):
    """What is known of a dispatch before it starts. A hold and the record that replaces it share the id."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    request_id = models.CharField(max_length=128)
    client_id = models.UUIDField(null=True)
    client = models.CharField(max_length=64)
    key_id = models.UUIDField(null=True)
    key_prefix = models.CharField(max_length=16)
    end_user = models.CharField(max_length=MAX_END_USER_CHARS)
    tags = models.JSONField(default=dict)
    surface = models.CharField(max_length=32)
    stream = models.BooleanField(default=False)
    requested_model = models.CharField(max_length=200)
    provider_id = models.UUIDField(null=True)
    provider = models.CharField(max_length=64)
    deployment_id = models.UUIDField(null=True)
    deployment = models.CharField(max_length=200)
    credential = models.CharField(max_length=64)
    attempt = models.PositiveSmallIntegerField(default=1)
    price_id = models.UUIDField(null=True)
    usd_per_unit = models.DecimalField(
        max_digits=20,
        decimal_places=10,
        null=True,
        help_text="The exchange rate by which it was priced; empty where the price is in dollars.",
    )
    windows = models.JSONField(default=list, help_text="The budget windows in which it counts.")
    routing = models.TextField(default="", db_default="", help_text="Why it went to this provider (JSON).")
    started_at = models.DateTimeField()

    class Meta:
        abstract = True


class Hold(CallFacts):
    """A dispatch that may have happened: written before the connection opens, gone when its record is there.

    Without indexes but its key: each call would pay for them twice, and who looks for lost ones, seldom, reads all.

    `amount_pico` is an upper bound of its cost (NULL: no price). `lease_id` names the process that answers for it,
    `claim_id` the `IdempotencyKey` of its call.
    """

    amount_pico = models.BigIntegerField(null=True)
    input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    lease_id = models.UUIDField()
    deadline_at = models.DateTimeField()
    claim_id = models.UUIDField(null=True)

    class Meta:
        ordering: ClassVar = ["id"]
        verbose_name = "call in flight"
        verbose_name_plural = "calls in flight"

    def __str__(self) -> str:
        return f"{self.deployment} for {self.client}"


class Lease(models.Model):
    """A process that may have calls in flight. Not seen for a while, it is dead, and its holds are settled."""

    id = models.UUIDField(primary_key=True)
    process = models.CharField(max_length=120)
    seen_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return self.process


class UsageRecord(CallFacts):
    """One dispatch, or call that was not sent, for ever.

    Money is in pico-dollars ($1 = 10**12); an unknown cost is NULL, not 0.
    """

    class Kind(models.TextChoices):
        CALL = "call", "Call"
        ADJUSTMENT = "adjustment", "Adjustment"

    class Status(models.TextChoices):
        OK = "ok", "Answered"
        ERROR = "error", "Failed"
        CANCELLED = "cancelled", "Caller left"
        INTERRUPTED = "interrupted", "Interrupted"
        CACHED = "cached", "From cache"
        REFUSED = "refused", "Refused"

    class Evidence(models.TextChoices):
        REPORTED = "reported", "Reported by the provider"
        ESTIMATED = "estimated", "Estimated"
        UPPER_BOUND = "upper_bound", "Upper bound"
        NONE = "none", "Nothing was used"

    kind = models.CharField(max_length=12, choices=Kind.choices, default=Kind.CALL)
    adjusts_id = models.UUIDField(null=True)
    reason = models.CharField(max_length=200, default="", help_text="Why an adjustment was made.")
    author = models.CharField(max_length=150, default="", help_text="Who made it.")
    prices_unknown = models.BooleanField(
        default=False, help_text="An adjustment that gives a cost to a row that had none."
    )
    is_final = models.BooleanField(default=True)
    status = models.CharField(max_length=12, choices=Status.choices)
    error_code = models.CharField(max_length=32)
    error_detail = models.CharField(max_length=300)
    finish_reason = models.CharField(max_length=32)
    served_model = models.CharField(max_length=200)
    evidence = models.CharField(max_length=12, choices=Evidence.choices)

    input_tokens = models.BigIntegerField(default=0)
    cached_input_tokens = models.BigIntegerField(default=0)
    cache_write_5m_tokens = models.BigIntegerField(default=0)
    cache_write_1h_tokens = models.BigIntegerField(default=0)
    audio_input_tokens = models.BigIntegerField(default=0)
    image_input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    audio_output_tokens = models.BigIntegerField(default=0)
    image_output_tokens = models.BigIntegerField(default=0)
    usage_payload = models.TextField(default="", help_text="The provider's own usage object, as it came.")

    cost_pico = models.BigIntegerField(null=True)
    input_cost_pico = models.BigIntegerField(null=True)
    output_cost_pico = models.BigIntegerField(null=True)
    request_cost_pico = models.BigIntegerField(null=True)
    saved_pico = models.BigIntegerField(null=True, help_text="Of an answer from the cache: what it once cost.")

    latency_ms = models.FloatField(null=True)
    first_token_ms = models.FloatField(null=True)
    overhead_ms = models.FloatField(null=True)
    ended_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name = "call"
        indexes: ClassVar = [
            models.Index(fields=["client", "id"], name="record_by_client"),
            models.Index(fields=["end_user", "id"], name="record_by_end_user"),
            models.Index(fields=["request_id"], name="record_by_request"),
            models.Index(
                fields=["adjusts_id"], name="record_by_adjusted", condition=models.Q(adjusts_id__isnull=False)
            ),
            models.Index(fields=["id"], name="record_unfinished", condition=models.Q(is_final=False, kind="call")),
        ]

    def __str__(self) -> str:
        model = self.deployment or self.requested_model or "the default"
        return f"{self.get_status_display()}: {model} for {self.client}"
