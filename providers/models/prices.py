"""What models cost, from when, in which currency, and what that is worth."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.audit import Audited
from core.models import Identified, exact, moment_of_any_clock
from providers.models.provider import Deployment
from usage.pricing import DOLLARS

currency_like = RegexValidator(r"^[A-Z]{3}$", "Three capital letters, for example USD.")


def not_dollars(currency: str) -> None:
    if currency == DOLLARS:
        raise ValidationError("A dollar is a dollar: only other currencies need a rate.")


def _money(**options: Any) -> models.DecimalField:  # type: ignore[type-arg]  # generic only in the stubs
    """Ten decimals, so that any per-token price that a provider has published is exact."""
    validators: list[Callable[[Any], None]] = [MinValueValidator(Decimal(0)), exact]
    return models.DecimalField(max_digits=20, decimal_places=10, validators=validators, **options)


def _rate(kind_of: str) -> models.DecimalField:  # type: ignore[type-arg]  # as above
    return _money(null=True, blank=True, help_text=f"Empty: as {kind_of}.")


class PerMillion(models.Model):
    """Money for a million tokens of each kind. An empty rate is billed as the kind it is part of: input or output."""

    input_per_million = _money()
    output_per_million = _money()
    cached_input_per_million = _rate("input")
    cache_write_5m_per_million = _rate("input")
    cache_write_1h_per_million = _rate("input")
    audio_input_per_million = _rate("input")
    image_input_per_million = _rate("input")
    reasoning_per_million = _rate("output")
    audio_output_per_million = _rate("output")
    image_output_per_million = _rate("output")

    class Meta:
        abstract = True


class Price(Audited, Identified, PerMillion):
    """What a model costs from a moment on, in its own currency. Rows are added, never edited: history stays true.

    `source` names where it was imported from; empty: somebody set it by hand.
    """

    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="prices", verbose_name="model")
    valid_from = models.DateTimeField(
        "in force from",
        default=timezone.now,
        validators=[moment_of_any_clock],
        help_text="In force from this moment until the next row's.",
    )
    currency = models.CharField(max_length=3, default="USD", validators=[currency_like])
    per_request = _money(default=Decimal(0), help_text="For each call, whatever its length. Usually 0.")
    source = models.CharField(max_length=40, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["deployment", "-valid_from"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["deployment", "valid_from"],
                name="price_once_a_moment",
                violation_error_message="This model has a price from that moment on already.",
            ),
            models.CheckConstraint(
                condition=Q(input_per_million__gte=0) & Q(output_per_million__gte=0), name="price_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.deployment} since {self.valid_from:%Y-%m-%d}"


class PriceTier(Audited, PerMillion):
    """Other rates of a price for long prompts. They are those of the whole call, not only of what exceeds the bound."""

    price = models.ForeignKey(Price, on_delete=models.CASCADE, related_name="tiers")
    above_tokens = models.PositiveIntegerField(
        "for prompts of more than",
        validators=[MinValueValidator(1)],
        help_text="Tokens of the prompt, cached ones included.",
    )

    class Meta:
        ordering: ClassVar = ["above_tokens"]
        verbose_name = "price of long prompts"
        verbose_name_plural = "prices of long prompts"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["price", "above_tokens"],
                name="tier_once_a_price",
                violation_error_message="This price has a step at that number of tokens already.",
            )
        ]

    def __str__(self) -> str:
        return f"more than {self.above_tokens:,} tokens"

    @property
    def currency(self) -> str:
        return self.price.currency


def utc_today() -> date:
    """The day that is running in UTC, by whose midnights exchange rates are in force."""
    return timezone.now().date()


class ExchangeRate(Audited, Identified):
    """What a currency is worth from a day on. Every call's row keeps the rate by which it was priced."""

    currency = models.CharField(
        max_length=3, validators=[currency_like, not_dollars], help_text="Its three letters, for example EUR."
    )
    day = models.DateField(
        "in force from",
        default=utc_today,
        help_text="From midnight UTC of this day, until a later row of the same currency.",
    )
    usd_per_unit = _money(help_text="US dollars for one unit of the currency: 1.0842 where a euro costs $1.0842.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["currency", "-day"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["currency", "day"],
                name="exchange_rate_once_a_day",
                violation_error_message="This currency has a rate of that day already.",
            ),
            models.CheckConstraint(condition=Q(usd_per_unit__gt=0), name="exchange_rate_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.currency} from {self.day}"

    def clean(self) -> None:
        if self.usd_per_unit == 0:
            raise ValidationError({"usd_per_unit": "More than 0: what one unit costs in dollars."})
