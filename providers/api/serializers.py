"""Keys, models, prices and routes, as the management API speaks of them."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.camel import CamelCase
from accounts.api.resources import ByName, Ordering, Query, RowSerializer
from accounts.api.serializers import LIMITS
from core.vault import Secret
from providers import operations, sampling
from providers.api.flat import Kind
from providers.models import Credential, Deployment, ExchangeRate, Price, PriceTier, Provider, Route, RouteTarget
from usage.pricing import RATE_NAMES

MAX_TARGETS = 100
MAX_TIERS = 10


class ProviderQuery(Query):
    ordering = Ordering("-priority", "name", "id")
    name = serializers.CharField(required=False)
    type = Kind(source="kind", required=False)
    is_active = serializers.BooleanField(required=False)


@extend_schema_field(OpenApiTypes.STR)
class DeploymentField(serializers.RelatedField[Deployment, str, str]):
    """A model: written as `provider/model` or its id, read as `provider/model`."""

    default_error_messages: ClassVar = {
        "does_not_exist": "There is no {value}.",
        "invalid": "Write provider/model or an id.",
    }

    def __init__(self, **options: Any) -> None:
        super().__init__(queryset=Deployment.objects.select_related("provider"), **options)

    def to_internal_value(self, data: Any) -> Deployment:
        if not isinstance(data, str) or "\0" in data:
            self.fail("invalid")
        provider, slash, name = data.partition("/")
        rows: Any = self.get_queryset()
        row: Deployment | None = (
            rows.filter(provider__slug=provider, name=name) if slash else self._by_id(rows, data)
        ).first()
        if row is None:
            self.fail("does_not_exist", value=data)
        return row

    def _by_id(self, rows: Any, data: str) -> Any:
        try:
            return rows.filter(pk=data)
        except ValidationError:  # not an id either
            self.fail("invalid")

    def to_representation(self, value: Any) -> str:
        return str(value)


class CredentialSerializer(RowSerializer[Credential]):
    """One of a provider's keys. The key itself is never shown; `hint` tells which it is."""

    provider = ByName(slug_field="slug", queryset=Provider.objects.all(), help_text="The provider's slug or id.")
    provider_id = serializers.UUIDField(read_only=True)
    api_key = serializers.CharField(
        write_only=True,
        max_length=1000,
        validators=[operations.fits_in_a_header],
        help_text="Stored encrypted and never shown.",
    )

    class Meta:
        model = Credential
        fields: ClassVar = [
            "id",
            "provider",
            "provider_id",
            "label",
            "api_key",
            "hint",
            "is_active",
            "weight",
            "created_at",
        ]
        read_only_fields: ClassVar = ["hint", "created_at"]
        fixed: ClassVar = ["provider"]
        unchecked: ClassVar = ["secret"]  # cleaning it as text would put its hint in its place

    def create(self, validated_data: Any) -> Credential:
        return super().create(_encrypted(validated_data))

    def update(self, instance: Credential, validated_data: Any) -> Credential:
        return super().update(instance, _encrypted(validated_data))


def _encrypted(given: dict[str, Any]) -> dict[str, Any]:
    if "api_key" not in given:
        return given
    secret = Secret(given.pop("api_key"))
    return {**given, "secret": secret, "hint": secret.hint}


class CredentialQuery(Query):
    ordering = Ordering("id", "created_at")
    provider = serializers.CharField(source="provider__slug", required=False)
    provider_id = serializers.UUIDField(required=False)
    is_active = serializers.BooleanField(required=False)


class DeploymentSerializer(RowSerializer[Deployment]):
    """A model at a provider."""

    provider = ByName(slug_field="slug", queryset=Provider.objects.all(), help_text="The provider's slug or id.")
    provider_id = serializers.UUIDField(read_only=True)
    capabilities = serializers.ListField(child=serializers.CharField(max_length=64), max_length=32, required=False)
    defaults = serializers.DictField(
        required=False, validators=[sampling.check], help_text='Where a call says nothing, as {"temperature": 0.7}.'
    )

    class Meta:
        model = Deployment
        fields: ClassVar = [
            "id",
            "provider",
            "provider_id",
            "name",
            "upstream_name",
            "type",
            "context_window",
            "max_output_tokens",
            *LIMITS,
            "max_concurrent",
            "capabilities",
            "defaults",
            "is_active",
            "created_at",
        ]
        read_only_fields: ClassVar = ["created_at"]
        fixed: ClassVar = ["provider"]


class DeploymentQuery(Query):
    ordering = Ordering("id", "name", "created_at")
    provider = serializers.CharField(source="provider__slug", required=False)
    provider_id = serializers.UUIDField(required=False)
    name = serializers.CharField(required=False)
    type = serializers.ChoiceField(choices=Deployment.Type.choices, required=False)
    is_active = serializers.BooleanField(required=False)


class PriceTierSerializer(CamelCase, serializers.ModelSerializer[PriceTier]):
    """The rates of a call whose prompt has more than `aboveTokens` tokens; of the whole call, not of the excess."""

    class Meta:
        model = PriceTier
        fields: ClassVar = ["above_tokens", *RATE_NAMES]


class PriceSerializer(RowSerializer[Price]):
    """What a model costs from a moment on, per million tokens, in its own currency. A correction is another row."""

    deployment = DeploymentField(help_text="provider/model, or the model's id.")
    deployment_id = serializers.UUIDField(read_only=True)
    tiers: Any = serializers.ListSerializer(
        child=PriceTierSerializer(), max_length=MAX_TIERS, default=list, help_text="Other rates for long prompts."
    )

    class Meta:
        model = Price
        fields: ClassVar = [
            "id",
            "deployment",
            "deployment_id",
            "valid_from",
            "currency",
            *RATE_NAMES,
            "per_request",
            "tiers",
            "source",
            "created_at",
        ]
        read_only_fields: ClassVar = ["source", "created_at"]
        extra_kwargs: ClassVar = {"source": {"help_text": "Where it was imported from; empty: set by hand."}}

    def create(self, validated_data: Any) -> Price:
        tiers = [PriceTier(**tier) for tier in validated_data.pop("tiers")]
        with transaction.atomic():
            price = operations.save_price(Price(**validated_data), tiers=tiers)
            operations.join_with_first_price(price.deployment)
        return price


class ExchangeRateSerializer(RowSerializer[ExchangeRate]):
    """What a currency is worth from a day on. Every call's row keeps the rate by which it was priced."""

    class Meta:
        model = ExchangeRate
        fields: ClassVar = ["id", "currency", "day", "usd_per_unit", "created_at"]
        read_only_fields: ClassVar = ["created_at"]
        fixed: ClassVar = ["currency", "day"]


class ExchangeRateQuery(Query):
    ordering = Ordering("-id", "day")
    currency = serializers.CharField(required=False)
    day = serializers.DateField(required=False)


class PriceQuery(Query):
    ordering = Ordering("-id", "valid_from")
    provider = serializers.CharField(source="deployment__provider__slug", required=False)
    deployment = DeploymentField(required=False, help_text="provider/model, or the model's id.")
    deployment_id = serializers.UUIDField(required=False)
    currency = serializers.CharField(required=False)


class TargetSerializer(CamelCase):
    deployment = DeploymentField(help_text="provider/model, or the model's id.")
    weight = serializers.IntegerField(min_value=1, max_value=1000, default=1)
    priority = serializers.IntegerField(
        min_value=-(2**31), max_value=2**31 - 1, default=10, help_text="Higher is tried first."
    )


class RouteSerializer(RowSerializer[Route]):
    """A public name and the models behind it. `targets`, where given, replaces them all."""

    targets: Any = serializers.ListSerializer(child=TargetSerializer(), max_length=MAX_TARGETS)

    class Meta:
        model = Route
        fields: ClassVar = ["id", "name", "strategy", "sticky", "catch_all", "is_active", "targets", "created_at"]
        read_only_fields: ClassVar = ["created_at"]
        extra_kwargs: ClassVar[dict[str, Any]] = {"catch_all": {"validators": []}}  # `save_route` says which has it

    def create(self, validated_data: Any) -> Route:
        return operations.save_route(Route(), **_with_targets(validated_data))

    def update(self, instance: Route, validated_data: Any) -> Route:
        return operations.save_route(instance, **_with_targets(validated_data))


def _with_targets(given: dict[str, Any]) -> dict[str, Any]:
    if "targets" not in given:
        return given
    return {**given, "targets": [RouteTarget(**target) for target in given["targets"]]}


class RouteQuery(Query):
    ordering = Ordering("name", "id")
    name = serializers.CharField(required=False)
    is_active = serializers.BooleanField(required=False)


HEALTH_STATES = ["healthy", "degraded", "unhealthy", "unknown"]


class ProviderHealthSerializer(CamelCase):
    id = serializers.UUIDField()
    name = serializers.CharField()
    type = serializers.CharField()
    status = serializers.ChoiceField(choices=HEALTH_STATES, help_text="unknown: not checked yet, or not of late.")
    detail = serializers.CharField()
    latency = serializers.FloatField(allow_null=True, help_text="Milliseconds.")
    checked_at = serializers.DateTimeField(allow_null=True)


class HealthSerializer(CamelCase):
    status = serializers.ChoiceField(choices=HEALTH_STATES)
    timestamp = serializers.DateTimeField(default=timezone.now)
    providers = ProviderHealthSerializer(many=True)
