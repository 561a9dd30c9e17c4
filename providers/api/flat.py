"""Specification D's provider: one flat body over a provider, its key, its main model and that model's price."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework import serializers

from accounts.api.camel import CamelCase
from accounts.api.serializers import LIMITS
from core.models import exact
from core.vault import Secret
from providers import operations, sampling
from providers.kinds import KINDS
from providers.models import Credential, Deployment, Price, Provider

PER_1K = Decimal(1000)  # specification D prices 1,000 tokens, we 1,000,000
_MAX_INTEGER = 2_147_483_647  # what a PostgreSQL integer holds
_MAX_STOPS = 16
_DEFAULTS = ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "stop")


@dataclass(frozen=True, kw_only=True)
class Flat:
    """The four rows as one: the provider, its main key, its main model, and the price in force."""

    provider: Provider
    credential: Credential | None
    deployment: Deployment
    price: Price | None

    @classmethod
    def of(cls, provider: Provider, now: datetime) -> Flat:
        """Reads only what `flat_providers` has fetched."""
        main = operations.main_deployment(provider)
        return cls(
            provider=provider,
            credential=min(provider.credentials.all(), key=_main_key_first, default=None),
            deployment=main or Deployment(provider=provider, name=""),
            price=_price_of(main, now) if main else None,
        )

    @property
    def defaults(self) -> dict[str, Any]:
        return {**dict.fromkeys(_DEFAULTS), **sampling.understood(self.deployment.defaults)}

    @property
    def rate_limit(self) -> dict[str, int | None] | None:
        limits = {name: getattr(self.provider, name) for name in LIMITS}
        return limits if any(limits.values()) else None

    @property
    def pricing(self) -> dict[str, Any] | None:
        if self.price is None:
            return None
        return {
            "input_token_cost": self.price.input_per_million / PER_1K,
            "output_token_cost": self.price.output_per_million / PER_1K,
            "currency": self.price.currency,
        }


def _main_key_first(credential: Credential) -> tuple[bool, bool, datetime]:
    return not credential.is_active, credential.label != operations.MAIN_KEY, credential.created_at


def _price_of(deployment: Deployment, now: datetime) -> Price | None:
    in_force = [price for price in deployment.prices.all() if price.valid_from <= now]
    return max(in_force, key=lambda price: price.valid_from, default=None)


def flat_providers() -> QuerySet[Provider]:
    return Provider.objects.prefetch_related("credentials", "deployments__prices")


class Number(serializers.FloatField):
    """A finite number: `"nan"` would pass every minimum and maximum."""

    def to_internal_value(self, data: Any) -> float:
        value = super().to_internal_value(data)
        if isinstance(data, bool) or not math.isfinite(value):
            self.fail("invalid")
        return value


class Kind(serializers.ChoiceField):
    """A provider's kind, in capitals."""

    def __init__(self, **options: Any) -> None:
        super().__init__(choices=[(kind.upper(), KINDS[kind].label) for kind in KINDS], **options)

    def to_internal_value(self, data: Any) -> str:
        chosen: str = super().to_internal_value(data)
        return chosen.lower()

    def to_representation(self, value: str) -> str:
        return value.upper()


def _limit() -> serializers.IntegerField:
    return serializers.IntegerField(min_value=1, max_value=_MAX_INTEGER, allow_null=True, default=None)


class RateLimitSerializer(CamelCase):
    """No value: no limit."""

    requests_per_minute = _limit()
    tokens_per_minute = _limit()
    requests_per_hour = _limit()
    tokens_per_hour = _limit()


def _per_1k_field() -> serializers.DecimalField:
    return serializers.DecimalField(20, 13, min_value=0, coerce_to_string=False, validators=[exact])


class PricingSerializer(CamelCase):
    """What 1,000 tokens cost. 0.03 is stored as exactly 30 per million."""

    input_token_cost = _per_1k_field()
    output_token_cost = _per_1k_field()
    currency = serializers.RegexField(
        r"^[A-Z]{3}$", default="USD", error_messages={"invalid": "Three capital letters, for example USD."}
    )


_FRESH = Provider()  # with every default


def _setting(column: str, field: type[serializers.Field[Any, Any, Any, Any]], **options: Any) -> Any:
    """An optional field of `Provider`, with its default there."""
    return field(source=f"provider.{column}", default=getattr(_FRESH, column), **options)


def _milliseconds(column: str, least: int, most: int, about: str) -> Any:
    return _setting(
        column, serializers.IntegerField, min_value=least, max_value=most, help_text=f"{about}, in milliseconds."
    )


def _model_default(name: str, field: type[serializers.Field[Any, Any, Any, Any]], **options: Any) -> Any:
    """What a call uses that says nothing about it."""
    return field(source=f"defaults.{name}", allow_null=True, default=None, **options)


class ProviderSerializer(CamelCase):
    """A provider with its key, its model and its price.

    PUT puts what it omits back to the default, but leaves the key (which no answer gives back) and the price.
    """

    id = serializers.UUIDField(source="provider.id", read_only=True)
    slug = serializers.CharField(source="provider.slug", read_only=True, help_text="For X-Provider and provider/model.")
    name = serializers.CharField(source="provider.name", max_length=80)
    type = Kind(source="provider.kind")
    api_key = serializers.CharField(
        write_only=True,
        required=False,
        allow_null=True,
        allow_blank=True,
        max_length=1000,
        validators=[operations.fits_in_a_header],
        help_text="Stored encrypted and never shown. Empty on a change: stays as it is.",
    )
    api_key_hint = serializers.CharField(source="credential.hint", read_only=True, allow_null=True)
    endpoint = serializers.CharField(
        source="provider.base_url",
        max_length=300,
        allow_blank=True,
        allow_null=True,
        default="",
        help_text="Address of the API; empty: the provider's usual one.",
    )
    model = serializers.CharField(source="deployment.name", max_length=128)
    max_tokens = serializers.IntegerField(
        source="deployment.max_output_tokens",
        min_value=1,
        max_value=_MAX_INTEGER,
        allow_null=True,
        default=None,
        help_text="Most tokens of one answer.",
    )
    temperature = _model_default("temperature", Number, min_value=0, max_value=2)
    top_p = _model_default("top_p", Number, min_value=0, max_value=1)
    top_k = _model_default("top_k", serializers.IntegerField, min_value=1, max_value=_MAX_INTEGER)
    frequency_penalty = _model_default("frequency_penalty", Number, min_value=-2, max_value=2)
    presence_penalty = _model_default("presence_penalty", Number, min_value=-2, max_value=2)
    stop_sequences = serializers.ListField(
        source="defaults.stop",
        child=serializers.CharField(trim_whitespace=False, max_length=200),
        max_length=_MAX_STOPS,
        allow_null=True,
        default=None,
    )
    timeout = _milliseconds("timeout_ms", 1_000, 3_600_000, "Bound of a whole call")
    retry_attempts = _setting("retry_attempts", serializers.IntegerField, min_value=1, max_value=10)
    retry_delay = _milliseconds("retry_delay_ms", 0, 10_000, "Wait before the first retry; doubles, to at most 10000")
    rate_limit = RateLimitSerializer(allow_null=True, default=None)
    pricing = PricingSerializer(allow_null=True, required=False)
    priority = _setting(
        "priority",
        serializers.IntegerField,
        min_value=-_MAX_INTEGER,
        max_value=_MAX_INTEGER,
        help_text="Higher is tried first.",
    )
    is_active = _setting("is_active", serializers.BooleanField)
    failure_threshold = _setting("failure_threshold", serializers.IntegerField, min_value=1, max_value=32_767)
    success_threshold = _setting("success_threshold", serializers.IntegerField, min_value=1, max_value=32_767)
    circuit_timeout = _milliseconds("open_ms", 1_000, _MAX_INTEGER, "How long an open circuit waits for its probe")
    monitoring_period = _milliseconds("monitoring_period_ms", 1_000, _MAX_INTEGER, "Window in which failures count")
    created_at = serializers.DateTimeField(source="provider.created_at", read_only=True)

    # Django's names where they are refused -> the body's
    _refused: ClassVar = {
        "kind": "type",
        "slug": "name",
        "base_url": "endpoint",
        "max_output_tokens": "maxTokens",
        "input_per_million": "pricing.inputTokenCost",
        "output_per_million": "pricing.outputTokenCost",
        "currency": "pricing.currency",
    }

    def to_representation(self, instance: Provider) -> dict[str, Any]:
        return super().to_representation(Flat.of(instance, timezone.now()))

    def create(self, validated_data: Any) -> Provider:
        settings = _settings(validated_data)
        now = timezone.now()
        try:
            provider = operations.add_provider(
                **settings, api_key=_key(validated_data), models=[_model(validated_data, None, now)], now=now
            )
        except ValidationError as error:
            raise self._in_our_names(error) from error
        return flat_providers().get(pk=provider.pk)

    def update(self, instance: Provider, validated_data: Any) -> Provider:
        now = timezone.now()
        changes_model = validated_data.keys() & {"deployment", "defaults", "pricing"}
        with transaction.atomic():
            # Locked, so that two who change different halves of a price don't undo each other's.
            locked = flat_providers().select_for_update().get(pk=instance.pk)
            model = _model(validated_data, Flat.of(locked, now), now) if changes_model else None
            try:
                operations.update_provider(
                    locked, **_settings(validated_data), api_key=_key(validated_data), model=model, now=now
                )
            except ValidationError as error:
                raise self._in_our_names(error) from error
        return flat_providers().get(pk=instance.pk)

    def _in_our_names(self, error: ValidationError) -> ValidationError:
        return ValidationError({self._refused.get(name, name): texts for name, texts in error.error_dict.items()})


def _settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """What of a checked body goes to the provider's own row."""
    settings = dict(given.get("provider", {}))
    if "base_url" in settings:
        settings["base_url"] = settings["base_url"] or ""
    if "rate_limit" in given:
        settings |= given["rate_limit"] or dict.fromkeys(LIMITS)
    return settings


def _key(given: Mapping[str, Any]) -> Secret | None:
    api_key = given.get("api_key")
    return Secret(api_key) if api_key else None


def _model(given: Mapping[str, Any], before: Flat | None, now: datetime) -> operations.ModelSpec:
    """The main model as it shall be. Another model has its own price, never that of the one before it."""
    wanted = given.get("deployment", {})
    name = wanted.get("name") or (before.deployment.name if before else "")
    known = {each.name: each for each in before.provider.deployments.all()} if before else {}
    row = known.get(name)
    spec = operations.ModelSpec.of(row) if row else operations.ModelSpec(name=name)
    price = _price_of(row, now) if row else None
    if price is not None and given.get("pricing", price) is None:
        raise serializers.ValidationError(
            {"pricing": ["A price cannot be taken back: give the new one, or leave it out."]}
        )
    most = wanted.get("max_output_tokens", before.deployment.max_output_tokens if before else None)
    defaults = {**(before.defaults if before else {}), **given.get("defaults", {})}
    return dataclasses.replace(
        spec,
        max_output_tokens=most,
        defaults={key: value for key, value in defaults.items() if value is not None},
        rates=_rates(given["pricing"], price) if given.get("pricing") else None,
    )


def _rates(pricing: Mapping[str, Any], current: Price | None) -> operations.Rates:
    """Per million. The rates that this body has no words for (cached input and so on) stay as they are."""
    if current is None and not {"input_token_cost", "output_token_cost"} <= pricing.keys():
        raise serializers.ValidationError(
            {"pricing": ["This model has no price yet: give inputTokenCost and outputTokenCost."]}
        )
    given: dict[str, Any] = {}
    if "input_token_cost" in pricing:
        given["input_per_million"] = _per_million(pricing["input_token_cost"])
    if "output_token_cost" in pricing:
        given["output_per_million"] = _per_million(pricing["output_token_cost"])
    if "currency" in pricing:
        given["currency"] = pricing["currency"]
    return dataclasses.replace(operations.Rates.of(current), **given) if current else operations.Rates(**given)


def _per_million(per_1k: Decimal) -> Decimal:
    """Exact: of its 13 decimals ten remain, which the column has."""
    return (per_1k * PER_1K).quantize(Decimal("1e-10"))
