"""Rules, incidents, channels, reports and deliveries, as the management API speaks of them."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from django.db import transaction
from django.db.models import Model
from rest_framework import serializers

from accounts.api.camel import CamelCase
from accounts.api.resources import ByName, Ordering, Query, RowSerializer
from alerts.channels import CHANNELS, CHOICES
from alerts.measures import MEASURES, SCOPES
from alerts.models import Attempt, Channel, Delivery, Incident, ReportSchedule, Rule
from alerts.models.channels import HIDDEN_QUERY, without_query
from core.vault import Secret

RowT = TypeVar("RowT", bound=Model)
_NO_CHANNEL = "Name at least one channel: nobody would get the report."


class WithChannels(RowSerializer[RowT]):
    """A row that names channels. They are saved with it, in one transaction."""

    channels = ByName(
        slug_field="name", queryset=Channel.objects.all(), many=True, required=False, help_text="Names or ids."
    )

    def create(self, validated_data: Any) -> RowT:
        channels = validated_data.pop("channels", [])
        with transaction.atomic():
            row: Any = super().create(validated_data)
            row.channels.set(channels)
        return row  # type: ignore[no-any-return]  # Any only to reach its channels

    def update(self, instance: RowT, validated_data: Any) -> RowT:
        channels = validated_data.pop("channels", None)
        with transaction.atomic():
            row: Any = super().update(instance, validated_data)
            if channels is not None:
                row.channels.set(channels)
        return row  # type: ignore[no-any-return]  # as above


class RuleSerializer(WithChannels[Rule]):
    """When people must know. `limit` is in percent, seconds, dollars, calls or days, as the measure has it."""

    measure = serializers.ChoiceField(choices=[(name, measure.label) for name, measure in MEASURES.items()])
    scope = serializers.ChoiceField(choices=list(SCOPES.items()), default="all")
    in_words = serializers.CharField(read_only=True)

    class Meta:
        model = Rule
        fields = (
            *("id", "name", "in_words", "measure", "limit", "scope", "subject", "window_minutes", "minimum_calls"),
            *("for_minutes", "severity", "renotify_minutes", "quiet_from", "quiet_until", "time_zone", "channels"),
            *("is_active", "created_at"),
        )
        read_only_fields: ClassVar = ["created_at"]


class RuleQuery(Query):
    ordering = Ordering("name", "id")
    measure = serializers.CharField(required=False)
    severity = serializers.ChoiceField(choices=Rule.Severity.choices, required=False)
    is_active = serializers.BooleanField(required=False)


class IncidentSerializer(CamelCase, serializers.ModelSerializer[Incident]):
    """A rule's limit crossed by one subject."""

    rule_id = serializers.UUIDField(read_only=True, allow_null=True)

    class Meta:
        model = Incident
        fields = (
            *("id", "rule_id", "title", "measure", "scope", "subject", "severity", "state", "message", "value"),
            *("worst", "limit", "since", "opened_at", "seen_at", "told_at", "silenced_until", "resolved_at"),
            *("unjudged", "handled_by"),
        )


class IncidentQuery(Query):
    ordering = Ordering("-id", "since")
    state = serializers.ChoiceField(choices=Incident.State.choices, required=False)
    severity = serializers.ChoiceField(choices=Rule.Severity.choices, required=False)
    measure = serializers.CharField(required=False)
    subject = serializers.CharField(required=False)
    rule_id = serializers.UUIDField(required=False)


class SilenceSerializer(CamelCase):
    """How long nothing is said of it."""

    minutes = serializers.IntegerField(min_value=1, max_value=31 * 24 * 60)


class Address(serializers.CharField):
    """Read without its query, which may hold a token. Written back as it was read, it stays as it is."""

    def to_representation(self, value: str) -> str:
        return without_query(value)


class ChannelSerializer(RowSerializer[Channel]):
    """Where alerts and reports go. `secret` is written, never read: for Slack it is the webhook's address."""

    kind = serializers.ChoiceField(choices=CHOICES)
    address = Address(
        required=False, allow_blank=True, help_text="A webhook's query, which may hold a token, is read as `?…`."
    )
    secret = serializers.CharField(write_only=True, required=False, max_length=4_000)
    hint = serializers.CharField(read_only=True, help_text="The end of the secret.")

    class Meta:
        model = Channel
        fields: tuple[str, ...] = (
            *("id", "name", "kind", "address", "secret", "hint", "gets_alerts", "is_active", "created_at"),
        )
        read_only_fields: ClassVar = ["created_at"]
        fixed: ClassVar = ["kind"]

    def validate_address(self, address: str) -> str:
        stored = self.instance.address if self.instance is not None else ""
        if address == without_query(stored):
            return stored
        if address.endswith(HIDDEN_QUERY):
            raise serializers.ValidationError("Write the whole address: what is behind its ? is not shown.")
        return address

    def create(self, validated_data: Any) -> Channel:
        return super().create(_with_secret(validated_data))

    def update(self, instance: Channel, validated_data: Any) -> Channel:
        return super().update(instance, _with_secret(validated_data))


class NewChannelSerializer(ChannelSerializer):
    """A channel that has just been made: a signing secret that was made for it is shown only now."""

    signing_secret = serializers.CharField(read_only=True, required=False, help_text="Keep it: it is shown only now.")

    class Meta(ChannelSerializer.Meta):
        fields = (*ChannelSerializer.Meta.fields, "signing_secret")

    def create(self, validated_data: Any) -> Channel:
        make = CHANNELS[validated_data["kind"]].new_secret
        if make is None or "secret" in validated_data:
            return super().create(validated_data)
        made = make()
        channel = super().create(validated_data | {"secret": made.reveal()})
        channel.signing_secret = made.reveal()  # type: ignore[attr-defined]  # for the answer alone
        return channel


def _with_secret(data: dict[str, Any]) -> dict[str, Any]:
    if "secret" not in data:
        return data
    secret = Secret(data["secret"])
    return data | {"secret": secret, "hint": secret.hint}


class ChannelQuery(Query):
    ordering = Ordering("name", "id")
    kind = serializers.CharField(required=False)
    is_active = serializers.BooleanField(required=False)


class ScheduleSerializer(WithChannels[ReportSchedule]):
    """A report of every day, week or month of a time zone. `coveredUntil` is the end of the last that was sent."""

    channels = ByName(
        slug_field="name",
        queryset=Channel.objects.all(),
        many=True,
        allow_empty=False,
        error_messages={"required": _NO_CHANNEL, "empty": _NO_CHANNEL},
        help_text="Names or ids; at least one.",
    )

    class Meta:
        model = ReportSchedule
        fields = (
            *("id", "name", "period", "client", "time_zone", "send_at", "channels", "is_active", "covered_until"),
            "created_at",
        )
        read_only_fields: ClassVar = ["covered_until", "created_at"]


class ScheduleQuery(Query):
    ordering = Ordering("name", "id")
    period = serializers.ChoiceField(choices=ReportSchedule.Period.choices, required=False)
    client = serializers.CharField(required=False)
    is_active = serializers.BooleanField(required=False)


class AttemptSerializer(CamelCase, serializers.ModelSerializer[Attempt]):
    class Meta:
        model = Attempt
        fields = ("at", "took_ms", "ok", "detail")


class DeliverySerializer(CamelCase, serializers.ModelSerializer[Delivery]):
    """One message to one channel, and every try to bring it."""

    channel = serializers.CharField(source="channel_name", read_only=True)
    incident_id = serializers.UUIDField(read_only=True, allow_null=True)
    schedule_id = serializers.UUIDField(read_only=True, allow_null=True)
    log = AttemptSerializer(many=True, read_only=True)

    class Meta:
        model = Delivery
        fields = (
            *("id", "kind", "channel", "subject", "incident_id", "schedule_id", "state", "attempts", "due_at"),
            *("retry_at", "created_at", "delivered_at", "last_error", "log"),
        )


class DeliveryQuery(Query):
    ordering = Ordering("-id", "created_at")
    state = serializers.ChoiceField(choices=Delivery.State.choices, required=False)
    kind = serializers.ChoiceField(choices=Delivery.Kind.choices, required=False)
    channel = serializers.CharField(source="channel_name", required=False)
    incident_id = serializers.UUIDField(required=False)
    schedule_id = serializers.UUIDField(required=False)


class AlertSerializer(CamelCase):
    """Something that is over its limit now. `id` is its incident's, null until the next evaluation has seen it."""

    id = serializers.UUIDField(source="incident.pk", allow_null=True, default=None)
    severity = serializers.CharField(source="rule.severity", help_text="info, warning or critical.")
    type = serializers.CharField(source="rule.measure")
    rule = serializers.CharField(source="rule.name")
    scope = serializers.CharField(source="rule.scope")
    subject = serializers.CharField(source="reading.subject")
    provider = serializers.SerializerMethodField()
    message = serializers.CharField()
    value = serializers.FloatField(source="reading.value")
    threshold = serializers.FloatField(source="rule.limit")
    state = serializers.CharField(source="incident.state", default="new")
    since = serializers.DateTimeField(source="incident.since", allow_null=True, default=None)

    def get_provider(self, breach: Any) -> str | None:
        """Its slug, where the alert is about one provider."""
        subject: str = breach.reading.subject
        return subject if breach.rule.scope == "provider" else None


class AlertsSerializer(CamelCase):
    alerts = AlertSerializer(many=True)
    count = serializers.IntegerField()
    timestamp = serializers.DateTimeField()


class AlertsQuery(CamelCase):
    severity = serializers.ChoiceField(choices=Rule.Severity.choices, required=False)
    provider = serializers.CharField(required=False, help_text="The provider's slug.")
