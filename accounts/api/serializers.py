"""Clients, their keys, the tiers that bound them, and the audit trail, as the management API speaks of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.request import Request

from accounts import keys
from accounts.api.camel import CamelCase
from accounts.api.moments import Moment
from accounts.api.resources import ByName, Ordering, Query, RowSerializer
from accounts.models import ApiKey, AuditEntry, Client, EndpointLimit, Tier
from accounts.tiers import save_tier
from core.models import moment_of_any_clock

LIMITS = ["requests_per_minute", "requests_per_hour", "tokens_per_minute", "tokens_per_hour"]
MAX_ENDPOINTS = 100
_NOT_REVIVED = "Only who may do everything may make a key usable again, or for longer, that may manage."
_ALLOWED = "The only models it may use: routes, models, `provider/model`. None named: every model."


class EndpointLimitSerializer(CamelCase, serializers.ModelSerializer[EndpointLimit]):
    """A further limit of each key in the tier, for one endpoint."""

    class Meta:
        model = EndpointLimit
        fields: ClassVar = ["endpoint", *LIMITS]


class TierSerializer(RowSerializer[Tier]):
    """What each key in it may do; null is no limit. `endpoints`, where given, replaces them all."""

    endpoints: Any = serializers.ListSerializer(
        child=EndpointLimitSerializer(), max_length=MAX_ENDPOINTS, required=False
    )

    class Meta:
        model = Tier
        fields: ClassVar = ["id", "name", *LIMITS, "endpoints"]

    def create(self, validated_data: Any) -> Tier:
        return save_tier(Tier(), **_with_endpoints(validated_data))

    def update(self, instance: Tier, validated_data: Any) -> Tier:
        return save_tier(instance, **_with_endpoints(validated_data))


def _with_endpoints(given: dict[str, Any]) -> dict[str, Any]:
    if "endpoints" not in given:
        return given
    return {**given, "endpoints": [EndpointLimit(**endpoint) for endpoint in given["endpoints"]]}


class TierQuery(Query):
    ordering = Ordering("name", "id")
    name = serializers.CharField(required=False)


class Names(serializers.ListField):
    """Names, stored one to a line."""

    child = serializers.CharField()

    def to_representation(self, data: Any) -> list[str]:
        return [line.strip() for line in data.splitlines() if line.strip()]

    def to_internal_value(self, data: Any) -> Any:
        return "\n".join(super().to_internal_value(data))


class ClientSerializer(RowSerializer[Client]):
    allowed_models = Names(required=False, help_text=_ALLOWED)

    class Meta:
        model = Client
        fields: ClassVar = ["id", "name", "description", *LIMITS, "allowed_models", "is_active", "created_at"]
        fixed: ClassVar = ["name"]
        read_only_fields: ClassVar = ["created_at"]

    def validate(self, attrs: Any) -> Any:
        """As in the admin: who may not make a key that may manage revives none by its client."""
        client = self.instance
        revived = client is not None and attrs.get("is_active") and client.keeps_from_managing()
        if revived and not _may_do_everything(self.context["request"]):
            raise serializers.ValidationError({"isActive": [_NOT_REVIVED]})
        return super().validate(attrs)


class ClientQuery(Query):
    ordering = Ordering("name", "id")
    name = serializers.CharField(required=False)
    is_active = serializers.BooleanField(required=False)


class KeySerializer(RowSerializer[ApiKey]):
    """An API key. What callers present is shown once, in the answer to its creation; `isActive` false revokes it."""

    client = ByName(slug_field="name", queryset=Client.objects.all(), help_text="The client's name or id.")
    client_id = serializers.UUIDField(read_only=True)
    tier = ByName(slug_field="name", queryset=Tier.objects.all(), allow_null=True, required=False)
    allowed_models = Names(required=False, help_text=f"{_ALLOWED} Its client's list holds too.")

    class Meta:
        model = ApiKey
        fields: ClassVar = [
            "id",
            "client",
            "client_id",
            "name",
            "prefix",
            "scope",
            "tier",
            *LIMITS,
            "allowed_models",
            "is_active",
            "expires_at",
            "last_used_at",
            "created_at",
        ]
        read_only_fields: ClassVar = ["prefix", "last_used_at", "created_at"]
        fixed: ClassVar = ["client", "scope"]

    def validate(self, attrs: Any) -> Any:
        """As in the admin: a key that may manage is not revived by who may not make it."""
        key = self.instance
        if key is not None and key.scope == ApiKey.Scope.MANAGE and not _may_do_everything(self.context["request"]):
            if attrs.get("is_active") and not key.is_active:
                raise serializers.ValidationError({"isActive": [_NOT_REVIVED]})
            if "expires_at" in attrs and _is_later(attrs["expires_at"], key.expires_at):
                raise serializers.ValidationError({"expiresAt": [_NOT_REVIVED]})
        return super().validate(attrs)


def _may_do_everything(request: Request) -> bool:
    """Keys and tokens get here with the scope `manage` alone."""
    return request.auth is not None or bool(request.user.is_superuser)


def _is_later(end: datetime | None, before: datetime | None) -> bool:
    """None: never."""
    return before is not None and (end is None or end > before)


class NewKeySerializer(KeySerializer):
    """A key that has just been made: `key` is never shown again."""

    key = serializers.CharField(read_only=True, help_text="Keep it: it is shown only now.")

    class Meta(KeySerializer.Meta):
        fields: ClassVar = [*KeySerializer.Meta.fields, "key"]

    def validate_scope(self, value: str) -> str:
        """As in the admin: a key that may manage may do everything."""
        if value == ApiKey.Scope.MANAGE and not _may_do_everything(self.context["request"]):
            raise serializers.ValidationError("Only who may do everything may make a key that may manage.")
        return value

    def create(self, validated_data: Any) -> ApiKey:
        secret = keys.new_secret()
        row = ApiKey(**validated_data)
        row.take(secret)
        row.full_clean()
        row.save(force_insert=True)
        row.key = secret  # type: ignore[attr-defined]  # for the answer alone; it is not a column
        return row


class KeyQuery(Query):
    ordering = Ordering("-id", "created_at")
    client = serializers.CharField(source="client__name", required=False)
    client_id = serializers.UUIDField(required=False)
    tier = serializers.CharField(source="tier__name", required=False)
    scope = serializers.ChoiceField(choices=ApiKey.Scope.choices, required=False)
    is_active = serializers.BooleanField(required=False)


class ChangeSerializer(CamelCase):
    """One field, before and after. A secret is only said to be `hidden`, another row is said by its name."""

    field = serializers.CharField()
    before = serializers.JSONField()
    after = serializers.JSONField()


class AuditSerializer(RowSerializer[AuditEntry]):
    """What somebody did to a row, or was refused."""

    changes: Any = ChangeSerializer(many=True, read_only=True)

    class Meta:
        model = AuditEntry
        fields: ClassVar = [
            "id",
            "at",
            "actor_kind",
            "actor",
            "action",
            "object_type",
            "object_id",
            "object_name",
            "changes",
            "request_id",
        ]


class AuditQuery(Query):
    ordering = Ordering("-id")
    start = Moment(source="at__gte", required=False, validators=[moment_of_any_clock])
    end = Moment(source="at__lt", required=False, validators=[moment_of_any_clock])
    actor_kind = serializers.ChoiceField(choices=AuditEntry.ActorKind.choices, required=False)
    actor = serializers.CharField(required=False)
    action = serializers.ChoiceField(choices=AuditEntry.Action.choices, required=False)
    object_type = serializers.CharField(required=False, help_text="As in the rows, for example `provider`.")
    object_id = serializers.CharField(required=False)
    request_id = serializers.CharField(required=False)
