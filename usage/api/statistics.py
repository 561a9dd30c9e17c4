"""`/api/ai-providers/statistics/…`: what was called, what it cost, how it went, by any of the dimensions."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.camel import CamelCase, camel
from accounts.api.resources import checked_query
from core.money import usd_text
from usage import queries
from usage.api.period import Period, Zone
from usage.models import UsageRecord
from usage.transactions import snapshot

MOST_HOURLY_DAYS = 100
GROUP_BY = (
    "Refused: by `hour` for more than {} days, by `tag` or `endUser` where there are more than {:,} or {:,}.".format(
        MOST_HOURLY_DAYS, queries.MOST_GROUPS["tag"], queries.MOST_GROUPS["endUser"]
    )
)


class TagField(serializers.CharField):
    """`name=value`."""

    def to_internal_value(self, data: Any) -> str:
        tag = super().to_internal_value(data)
        name, equals, _ = tag.partition("=")
        if not name or not equals:
            raise serializers.ValidationError("Write name=value, for example team=search.")
        return tag


class UsageFilters(Period):
    """Which calls."""

    provider_id = serializers.UUIDField(required=False)
    provider = serializers.CharField(required=False, help_text="The provider's slug.")
    model = serializers.CharField(required=False)
    client_id = serializers.UUIDField(required=False)
    client = serializers.CharField(required=False)
    key = serializers.CharField(required=False, help_text="The beginning of an API key, as the key's page shows it.")
    end_user = serializers.CharField(required=False)
    surface = serializers.CharField(required=False)
    status = serializers.CharField(required=False)
    evidence = serializers.CharField(required=False, help_text="How the cost is known.")
    tag = TagField(required=False, help_text="name=value")

    @property
    def filters(self) -> queries.Filters:
        names = queries.Filters.__annotations__
        return {name: self.validated_data[name] for name in names if name in self.validated_data}  # type: ignore[return-value]  # mypy loses the names


class SumsQuery(UsageFilters):
    """Which calls, for sums by a `group_by` of the subclass's own."""

    def validate(self, attrs: Any) -> Any:
        attrs = super().validate(attrs)
        if attrs.get("group_by") == "hour" and (attrs["end_date"] - attrs["start_date"]).days >= MOST_HOURLY_DAYS:
            raise serializers.ValidationError({"groupBy": [f"By hour, ask for at most {MOST_HOURLY_DAYS} days."]})
        return attrs

    def grouped(self, *, by: queries.By, top: int | None = None) -> list[queries.Group]:
        """Raises `ValidationError`."""
        asked = self.validated_data
        zone = asked["time_zone"]
        try:
            return queries.grouped(asked["start"], asked["end"], by=by, time_zone=zone, top=top, **self.filters)
        except queries.TooManyGroupsError as error:
            raise serializers.ValidationError({"groupBy": [str(error)]}) from error


class StatisticsQuery(SumsQuery):
    group_by = serializers.ChoiceField(choices=queries.GROUPINGS, default="provider", help_text=GROUP_BY)
    limit = serializers.IntegerField(
        min_value=1,
        max_value=10_000,
        required=False,
        help_text="At most so many rows, the dearest. Groups of time are all told.",
    )


class FiguresSerializer(CamelCase):
    """Sums of some calls. A call counts once, whatever attempts it took; cost and tokens are of every attempt."""

    requests = serializers.IntegerField()
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    total_tokens = serializers.IntegerField()
    cached_input_tokens = serializers.IntegerField()
    reasoning_tokens = serializers.IntegerField()
    cost_usd = serializers.CharField(allow_null=True, help_text="Exact; null where none of it is known.")
    unknown_cost_requests = serializers.IntegerField(help_text="How many rows `costUsd` leaves out.")
    cache_savings_usd = serializers.CharField(help_text="What the answers from the cache once cost.")
    successful_requests = serializers.IntegerField()
    failed_requests = serializers.IntegerField()
    refused_requests = serializers.IntegerField()
    cancelled_requests = serializers.IntegerField()
    cached_requests = serializers.IntegerField()
    error_rate = serializers.FloatField(help_text="Percent.")
    average_latency_ms = serializers.FloatField(allow_null=True)


class GroupSerializer(FiguresSerializer):
    """Besides the figures, the group under the name of `groupBy`; '' where a call has none."""

    provider = serializers.CharField(required=False)
    provider_id = serializers.CharField(required=False)
    model = serializers.CharField(required=False)
    deployment = serializers.CharField(required=False, help_text="provider/model")
    client = serializers.CharField(required=False)
    client_id = serializers.CharField(required=False)
    key = serializers.CharField(required=False, help_text="The beginning of an API key.")
    end_user = serializers.CharField(required=False)
    surface = serializers.CharField(required=False)
    status = serializers.CharField(required=False)
    evidence = serializers.CharField(required=False, help_text="How the cost is known.")
    tag = serializers.CharField(required=False, help_text="name=value; a call counts once under each of its tags.")
    hour = serializers.CharField(required=False, help_text="2026-01-31T14:00:00+05:45")
    day = serializers.CharField(required=False, help_text="2026-01-31")
    week = serializers.CharField(required=False, help_text="2026-W05; weeks begin on Monday.")
    month = serializers.CharField(required=False, help_text="2026-01")


class StatisticsSerializer(CamelCase):
    """`from` and `to` are days of `timeZone`, both included."""

    from_ = serializers.DateField(source="start_date")
    to = serializers.DateField(source="end_date")
    time_zone = Zone()
    group_by = serializers.CharField()
    totals = FiguresSerializer()
    rows = GroupSerializer(many=True)


class Statistics(APIView):
    """Sums over the books, in groups."""

    about = UsageRecord

    @extend_schema(parameters=[StatisticsQuery], responses=StatisticsSerializer)
    def get(self, request: Request) -> Response:
        query = checked_query(StatisticsQuery, request)
        asked = query.validated_data
        by = asked["group_by"]
        with snapshot():
            groups = query.grouped(by=by, top=asked.get("limit"))
            totals = queries.totals(asked["start"], asked["end"], **query.filters)
        answer = {
            **asked,
            "totals": figures(totals),
            "rows": [{_COLUMNS[by]: group.key, **figures(group)} for group in groups],
        }
        return Response(StatisticsSerializer(answer).data)


_COLUMNS = {camel(name): name for name in GroupSerializer._declared_fields}  # noqa: SLF001 - DRF has no public name


def figures(sums: queries.Totals) -> dict[str, Any]:
    """`FiguresSerializer`'s fields."""
    return {
        "requests": sums.requests,
        "input_tokens": sums.input_tokens,
        "output_tokens": sums.output_tokens,
        "total_tokens": sums.total_tokens,
        "cached_input_tokens": sums.cached_input_tokens,
        "reasoning_tokens": sums.reasoning_tokens,
        "cost_usd": None if sums.cost_pico is None else usd_text(sums.cost_pico),
        "unknown_cost_requests": sums.unknown_cost_requests,
        "cache_savings_usd": usd_text(sums.saved_pico),
        "successful_requests": sums.requests - sums.errors - sums.refused - sums.cancelled,
        "failed_requests": sums.errors,
        "refused_requests": sums.refused,
        "cancelled_requests": sums.cancelled,
        "cached_requests": sums.cached,
        "error_rate": 100 * sums.error_share,
        "average_latency_ms": sums.latency_ms,
    }
