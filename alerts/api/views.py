"""`/api/alerts/…`, and specification D's `/api/ai-providers/alerts`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from accounts.api.resources import Listed, Query, Resource, checked_query
from accounts.models import ApiKey
from accounts.tokens import Claims
from alerts import operations, outbox
from alerts.api.serializers import (
    AlertsQuery,
    AlertsSerializer,
    ChannelQuery,
    ChannelSerializer,
    DeliveryQuery,
    DeliverySerializer,
    IncidentQuery,
    IncidentSerializer,
    NewChannelSerializer,
    RuleQuery,
    RuleSerializer,
    ScheduleQuery,
    ScheduleSerializer,
    SilenceSerializer,
)
from alerts.models import Channel, Delivery, Incident, ReportSchedule, Rule
from alerts.reports import schedules


class Alerts(APIView):
    """What is over its limit at this moment, the severe first."""

    about = Incident

    @extend_schema(parameters=[AlertsQuery], responses=AlertsSerializer)
    def get(self, request: Request) -> Response:
        asked = checked_query(AlertsQuery, request).validated_data
        now = timezone.now()
        found = [
            breach
            for breach in operations.current(now=now)
            if asked.get("severity") in (None, breach.rule.severity)
            and asked.get("provider") in (None, breach.reading.subject if breach.rule.scope == "provider" else "")
        ]
        return Response(AlertsSerializer({"alerts": found, "count": len(found), "timestamp": now}).data)


class Rules(mixins.DestroyModelMixin, Resource[Rule]):
    """When people must know. Incidents of a deleted rule stay."""

    queryset = Rule.objects.prefetch_related("channels")
    serializer_class = RuleSerializer
    query_class: ClassVar[type[Query]] = RuleQuery


class Incidents(Listed[Incident]):
    """What crossed its limit. Those that are `pending` have not lasted long enough to be told of."""

    queryset = Incident.objects.all()
    serializer_class = IncidentSerializer
    query_class: ClassVar[type[Query]] = IncidentQuery

    @extend_schema(request=None, responses=IncidentSerializer)
    @action(detail=True, methods=["post"])
    def acknowledge(self, request: Request, **_: Any) -> Response:
        """Somebody has seen it: no more reminders."""
        incident = self.get_object()
        if not operations.acknowledge(incident, by=_who(request)):
            raise ValidationError({"state": [f"It is {incident.state}."]})
        return self._answer(incident)

    @extend_schema(request=SilenceSerializer, responses=IncidentSerializer)
    @action(detail=True, methods=["post"])
    def silence(self, request: Request, **_: Any) -> Response:
        """Not a word of it for a while, not even of its end."""
        asked = SilenceSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        incident = self.get_object()
        until = timezone.now() + timedelta(minutes=asked.validated_data["minutes"])
        if not operations.silence(incident, until=until, by=_who(request)):
            raise ValidationError({"state": [f"It is {incident.state}."]})
        return self._answer(incident)

    def _answer(self, incident: Incident) -> Response:
        incident.refresh_from_db()
        return Response(self.get_serializer(incident).data)


class Channels(mixins.DestroyModelMixin, Resource[Channel]):
    """Where alerts and reports go. A rule's only channel is not deleted: the rule would tell every channel then."""

    queryset = Channel.objects.all()
    serializer_class = ChannelSerializer
    query_class: ClassVar[type[Query]] = ChannelQuery

    def get_serializer_class(self) -> type[BaseSerializer[Channel]]:
        return NewChannelSerializer if self.action == "create" else ChannelSerializer

    def perform_destroy(self, instance: Channel) -> None:
        refusals = [
            f"{rule} would name no channel any more, and tell every one: give it another first."
            for rule in operations.rules_with_only([instance])
        ]
        if refusals:
            raise ValidationError({"rules": refusals})
        instance.delete()

    @extend_schema(request=None, responses=DeliverySerializer)
    @action(detail=True, methods=["post"])
    def test(self, request: Request, **_: Any) -> Response:
        """Send a test message while the caller waits; the answer says what came of it."""
        now = timezone.now()
        sent = outbox.send_now(outbox.queue_test(self.get_object(), by=_who(request), now=now), now=now)
        return Response(DeliverySerializer(sent).data)


class Schedules(mixins.DestroyModelMixin, Resource[ReportSchedule]):
    """Reports that are sent by schedule."""

    queryset = ReportSchedule.objects.prefetch_related("channels")
    serializer_class = ScheduleSerializer
    query_class: ClassVar[type[Query]] = ScheduleQuery

    @extend_schema(request=None, responses=DeliverySerializer(many=True))
    @action(detail=True, methods=["post"])
    def send(self, _request: Request, **_: Any) -> Response:
        """Send the newest whole period now, due or not, while the caller waits."""
        schedule, now = self.get_object(), timezone.now()
        span = schedules.last_span(schedule, now=now)
        queued = schedules.queue(schedule, span, now=now, again=f":{now:%Y%m%dT%H%M%S%f}")
        sent = [outbox.send_now(delivery, now=timezone.now()) for delivery in queued]
        return Response(DeliverySerializer(sent, many=True).data)


class Deliveries(Listed[Delivery]):
    """Every message to every channel, with every try to bring it."""

    queryset = Delivery.objects.prefetch_related("log")
    serializer_class = DeliverySerializer
    query_class: ClassVar[type[Query]] = DeliveryQuery


def _who(request: Request) -> str:
    """An administrator's name, or a key's."""
    return str(request.auth) if isinstance(request.auth, ApiKey | Claims) else request.user.get_username()
