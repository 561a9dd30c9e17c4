"""`/api/usage/records`: the ledger's rows, to read."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.resources import Listed, Ordering, Query, RowSerializer
from core.money import usd_text
from usage import queries
from usage.api.statistics import UsageFilters
from usage.models import UsageRecord


@extend_schema_field(OpenApiTypes.STR)
class Dollars(serializers.Field[int, Any, str, Any]):
    """Pico-dollars as the exact dollar amount; null where it is unknown."""

    def __init__(self, source: str) -> None:
        super().__init__(source=source, read_only=True, allow_null=True)

    def to_representation(self, value: int) -> str:
        return usd_text(value)


class RecordSerializer(RowSerializer[UsageRecord]):
    """One call at a provider, or one that was not sent. Never changed: a correction is a row of kind `adjustment`."""

    cost_usd = Dollars(source="cost_pico")
    input_cost_usd = Dollars(source="input_cost_pico")
    output_cost_usd = Dollars(source="output_cost_pico")
    request_cost_usd = Dollars(source="request_cost_pico")
    saved_usd = Dollars(source="saved_pico")

    class Meta:
        model = UsageRecord
        exclude: ClassVar = ["cost_pico", "input_cost_pico", "output_cost_pico", "request_cost_pico", "saved_pico"]


class RecordQuery(UsageFilters, Query):
    """Which rows."""

    ordering = Ordering("-id")
    request_id = serializers.CharField(required=False)
    key_id = serializers.UUIDField(required=False)
    kind = serializers.ChoiceField(choices=UsageRecord.Kind.choices, required=False)
    is_final = serializers.BooleanField(required=False, help_text="Of a call's attempts the last one.")

    def filtered(self, _rows: QuerySet[Any]) -> QuerySet[Any]:
        found = queries.records(self.validated_data["start"], self.validated_data["end"], **self.filters)
        own = ("request_id", "key_id", "kind", "is_final")
        return found.filter(**{name: self.validated_data[name] for name in own if name in self.validated_data})


class Records(Listed[UsageRecord]):
    """The ledger's rows, the newest first; without dates those of the last 30 days."""

    queryset = UsageRecord.objects.all()
    serializer_class = RecordSerializer
    query_class: ClassVar[type[Query]] = RecordQuery
