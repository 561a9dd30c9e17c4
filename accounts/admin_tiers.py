"""The page on which people set what the keys of a tier may do."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from unfold.admin import TabularInline
from unfold.decorators import display as column

from accounts.admin_meanwhile import EditedAdmin
from accounts.models import EndpointLimit, Tier

LIMIT_FIELDS = (("requests_per_minute", "requests_per_hour"), ("tokens_per_minute", "tokens_per_hour"))
EMPTY = "An empty field is no limit."


class EndpointLimitInline(TabularInline):
    model = EndpointLimit
    extra = 0
    hide_title = True
    verbose_name_plural = "Further limits, for single endpoints"
    fields = ("endpoint", "requests_per_minute", "requests_per_hour", "tokens_per_minute", "tokens_per_hour")


@admin.register(Tier)
class TierAdmin(EditedAdmin):
    when_empty = "A tier is a set of limits that many keys share."
    inlines = (EndpointLimitInline,)
    list_display = ("name", "a_minute", "an_hour", "tokens", "tokens_an_hour", "endpoint_count", "key_count")
    search_fields = ("name",)
    fieldsets = (
        (
            None,
            {
                "description": f"What each key in this tier may do. Calls beyond it are refused. {EMPTY}",
                "fields": ("name", *LIMIT_FIELDS),
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tier]:
        rows: QuerySet[Tier] = super().get_queryset(request)
        return rows.annotate(
            number_of_keys=Count("keys", distinct=True), number_of_endpoints=Count("endpoints", distinct=True)
        )

    @column(description="Calls a minute", ordering="requests_per_minute")
    def a_minute(self, row: Tier) -> str:
        return _limit(row.requests_per_minute)

    @column(description="Calls an hour", ordering="requests_per_hour")
    def an_hour(self, row: Tier) -> str:
        return _limit(row.requests_per_hour)

    @column(description="Tokens a minute", ordering="tokens_per_minute")
    def tokens(self, row: Tier) -> str:
        return _limit(row.tokens_per_minute)

    @column(description="Tokens an hour", ordering="tokens_per_hour")
    def tokens_an_hour(self, row: Tier) -> str:
        return _limit(row.tokens_per_hour)

    @column(description="Limited endpoints", ordering="number_of_endpoints")
    def endpoint_count(self, row: Any) -> int:
        number: int = row.number_of_endpoints
        return number

    @column(description="Keys", ordering="number_of_keys")
    def key_count(self, row: Any) -> int:
        number: int = row.number_of_keys
        return number


def _limit(number: int | None) -> str:
    return "no limit" if number is None else f"{number:,}"
