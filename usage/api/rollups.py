"""`/api/usage/rollups`: the sums that reports are read from, row by row, for those who keep reports of their own."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from rest_framework import mixins, serializers, viewsets

from accounts.api.camel import CamelCase
from accounts.api.resources import Ordering, Pages, Query, Schema, checked_query
from usage.api.period import Period
from usage.api.records import Dollars
from usage.models import Day, KeyDay, Quarter, UsageRecord, UserDay

_BY_KIND = ("client", "provider", "deployment", "surface", "status", "evidence")
_TABLES: dict[str, tuple[Any, str, tuple[str, ...]]] = {
    "quarter": (Quarter, "starts_at", _BY_KIND),
    "day": (Day, "day", _BY_KIND),
    "endUser": (UserDay, "day", ("client", "end_user")),
    "key": (KeyDay, "day", ("client", "key_prefix")),
}


class RollupQuery(Period, Query):
    """Which sums: of quarter-hours, or of days of the installation's time zone, of end users' or of keys' days."""

    ordering = Ordering("-id")
    by = serializers.ChoiceField(choices=list(_TABLES), default="day")
    client = serializers.CharField(required=False)
    provider = serializers.CharField(required=False, help_text="The provider's slug.")
    deployment = serializers.CharField(required=False)
    surface = serializers.CharField(required=False)
    status = serializers.CharField(required=False)
    evidence = serializers.CharField(required=False, help_text="How the cost is known.")
    end_user = serializers.CharField(required=False)
    key = serializers.CharField(
        required=False, source="key_prefix", help_text="The beginning of an API key, as the key's page shows it."
    )

    def validate(self, attrs: Any) -> Any:
        attrs = super().validate(attrs)
        kept = _TABLES[attrs["by"]][2]
        lost = [name for name in (*_BY_KIND, "end_user", "key_prefix") if name in attrs and name not in kept]
        if lost:
            names = " and ".join(name.replace("_", " ") for name in lost)
            raise serializers.ValidationError({"by": [f"Sums by {attrs['by']} do not keep the {names} apart."]})
        return attrs

    def filtered(self, _rows: QuerySet[Any]) -> QuerySet[Any]:
        asked = self.validated_data
        model, time, kept = _TABLES[asked["by"]]
        first, last = ("start", "end") if time == "starts_at" else ("start_date", "end_date")
        until = f"{time}__lt" if time == "starts_at" else f"{time}__lte"
        chosen = {name: asked[name] for name in kept if name in asked}
        rows: QuerySet[Any] = model.objects.filter(**{f"{time}__gte": asked[first], until: asked[last]}, **chosen)
        return rows


class RollupSerializer(CamelCase):
    """Sums of one group; of its own fields those that `by` keeps apart.

    `requests` are calls, whatever attempts each took; tokens and cost are of every attempt and correction. Rows of one
    group that differ by their `shard` alone add up.
    """

    id = serializers.IntegerField()
    starts_at = serializers.DateTimeField(required=False, help_text="Of a quarter-hour.")
    day = serializers.DateField(required=False)
    client = serializers.CharField()
    provider = serializers.CharField(required=False)
    deployment = serializers.CharField(required=False)
    surface = serializers.CharField(required=False)
    status = serializers.CharField(required=False)
    evidence = serializers.CharField(required=False)
    end_user = serializers.CharField(required=False)
    key = serializers.CharField(required=False, source="key_prefix")
    shard = serializers.IntegerField()
    requests = serializers.IntegerField(source="calls")
    failed_requests = serializers.IntegerField(source="errors")
    refused_requests = serializers.IntegerField(source="refused")
    cancelled_requests = serializers.IntegerField(source="cancelled")
    cached_requests = serializers.IntegerField(source="cached")
    input_tokens = serializers.IntegerField()
    cached_input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    reasoning_tokens = serializers.IntegerField()
    cost_usd = Dollars(source="cost_pico")
    known_cost_rows = serializers.IntegerField(help_text="How many rows `costUsd` is the sum of.")
    unknown_cost_rows = serializers.IntegerField(help_text="How many rows it leaves out.")


class Rollups(mixins.ListModelMixin, viewsets.GenericViewSet[Any]):
    """The sums, the newest first; without dates those of the last 30 days."""

    about = UsageRecord
    schema = Schema()
    queryset = Day.objects.all()
    serializer_class = RollupSerializer
    query_class: ClassVar[type[Query]] = RollupQuery
    pagination_class = Pages
    filter_backends = ()

    def filter_queryset(self, _queryset: Any) -> Any:
        self.query = checked_query(self.query_class, self.request)
        return self.query.filtered(_queryset)
