"""`/api/usage/exports`: the books as CSV, for spreadsheets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import tzinfo
from typing import Any

from asgiref.sync import sync_to_async
from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.api.resources import checked_query
from usage import export, queries
from usage.api.statistics import GROUP_BY, SumsQuery, figures
from usage.models import UsageRecord

_CSV = "text/csv; charset=utf-8"


class ExportQuery(SumsQuery):
    """Which rows; with `groupBy`, their sums."""

    group_by = serializers.ChoiceField(choices=queries.GROUPINGS, required=False, help_text=GROUP_BY)


class AnyAccept(BaseContentNegotiation):
    """Who sends `Accept: text/csv` is not refused; errors are JSON."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


class Exports(APIView):
    """The ledger's rows, oldest first, streamed at any size; with `groupBy`, their sums."""

    about = UsageRecord
    content_negotiation_class = AnyAccept

    @extend_schema(parameters=[ExportQuery], responses={(200, "text/csv"): OpenApiTypes.STR})
    def get(self, request: Request) -> HttpResponse | StreamingHttpResponse:
        query = checked_query(ExportQuery, request)
        asked = query.validated_data
        if "group_by" in asked:
            answer: HttpResponse | StreamingHttpResponse = HttpResponse(_sums(query), content_type=_CSV)
        else:
            rows = queries.records(asked["start"], asked["end"], **query.filters)
            answer = StreamingHttpResponse(_pages(rows, asked["time_zone"]), content_type=_CSV)
        answer["Content-Disposition"] = f'attachment; filename="usage-{asked["start_date"]}-{asked["end_date"]}.csv"'
        return answer


async def _pages(rows: QuerySet[UsageRecord], time_zone: tzinfo) -> AsyncIterator[str]:
    """Asynchronous, because Django would gather a plain iterator in memory before sending it."""
    yield export.header()
    after = None
    while True:
        page = await sync_to_async(export.page)(rows, after=after, time_zone=time_zone)
        yield page.text
        after = page.last
        if after is None:
            return


def _sums(query: ExportQuery) -> str:
    by = query.validated_data["group_by"]
    lines = [{by: group.key, **figures(group)} for group in query.grouped(by=by)]
    names = [by, *figures(queries.Totals())]
    return export.table(names, [[line[name] for name in names] for line in lines])
