"""Which rows of the ledger a list shows: by time as a range of keys, and by names."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from django.apps import apps
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_date
from unfold.contrib.filters.admin import DropdownFilter, RangeDateFilter, TextFilter

from accounts.callers import client_names
from core.ids import lower_bound
from usage import queries
from usage.models import UsageRecord

_RECENT_ROWS = 2_000
_FIRST_YEAR = 1971


class PeriodFilter(DropdownFilter):
    """The last 30 days unless another period is asked for, as a range of keys: only that part of the table is read."""

    title = "period"
    parameter_name = "period"
    all_option = None

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("today", "Today"),
            ("yesterday", "Yesterday"),
            ("7", "Last 7 days"),
            ("30", "Last 30 days"),
            ("month", "This month"),
            ("last-month", "Last month"),
            ("all", "Any time"),
        ]

    def value(self) -> str:
        return super().value() or "30"

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageRecord]) -> QuerySet[UsageRecord]:
        if self.value() == "all" or any(request.GET.get(name) for name in DayFilter.parameters):
            return queryset
        start, end = _period(self.value(), timezone.now())
        rows = queryset.filter(id__gte=lower_bound(start))
        return rows.filter(id__lt=lower_bound(end)) if end is not None else rows


class DayFilter(RangeDateFilter):
    """Days from and to, inclusive, in the installation's time zone."""

    parameters = ("started_at_from", "started_at_to")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.title = f"days ({timezone.get_default_timezone_name()})"

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageRecord]) -> QuerySet[UsageRecord]:
        zone = timezone.get_default_timezone()
        first, last = (_day(str(self.used_parameters.get(name, ""))) for name in self.parameters)
        if first is not None:
            queryset = queryset.filter(id__gte=lower_bound(queries.midnight(first, zone)))
        if last is not None:
            queryset = queryset.filter(id__lt=lower_bound(queries.midnight(last + timedelta(days=1), zone)))
        return queryset


def days_shown(request: HttpRequest, now: datetime) -> tuple[date | None, date]:
    """The first and the last day that `PeriodFilter` and `DayFilter` leave; None: from the first call on."""
    asked = request.GET
    today = queries.bucket_start(now, "day", timezone.get_default_timezone()).date()
    if any(asked.get(name) for name in DayFilter.parameters):
        first, last = (_day(asked.get(name, "")) for name in DayFilter.parameters)
        return first, last or today
    if asked.get(PeriodFilter.parameter_name) == "all":
        return None, today
    start, end = _period(asked.get(PeriodFilter.parameter_name, ""), now)
    return start.date(), today if end is None else end.date() - timedelta(days=1)


class NameFilter(DropdownFilter):
    """Rows that carry one of the names offered."""

    column: str

    def with_asked(self, offered: list[tuple[str, str]], request: HttpRequest) -> list[tuple[str, str]]:
        """A name that has gone since is still on its rows: a link with it must not show everybody's."""
        asked = request.GET.get(self.column, "")
        return [*offered, (asked, asked)] if asked and asked not in dict(offered) else offered

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{self.column: self.value()}) if self.value() else queryset


class ClientFilter(NameFilter):
    title = column = parameter_name = "client"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return self.with_asked([(name, name) for name in client_names()], request)


class ClientTypedFilter(TextFilter):
    """Where there are more clients than anybody would look through."""

    title = parameter_name = "client"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        name = (self.value() or "").strip()
        return queryset.filter(client=name) if name else queryset


class ProviderFilter(NameFilter):
    title = column = parameter_name = "provider"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        # By label: `usage` lies below `providers` and must not import it, and DISTINCT over the ledger is slow.
        providers = apps.get_model("providers", "Provider").objects.order_by("name")
        return self.with_asked(list(providers.values_list("slug", "name")), request)


class SurfaceFilter(NameFilter):
    title = "door"
    column = parameter_name = "surface"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        recent = UsageRecord.objects.order_by("-id").values_list("surface", flat=True)[:_RECENT_ROWS]
        return self.with_asked([(name, name) for name in sorted(set(recent) - {""})], request)


def _period(name: str, now: datetime) -> tuple[datetime, datetime | None]:
    zone = timezone.get_default_timezone()
    today, month = queries.bucket_start(now, "day", zone), queries.bucket_start(now, "month", zone)
    if name == "today":
        return today, None
    if name == "yesterday":
        return queries.midnight(today.date() - timedelta(days=1), zone), today
    if name == "month":
        return month, None
    if name == "last-month":
        return queries.bucket_start(month - timedelta(days=1), "month", zone), month
    days = int(name) if name.isdecimal() else 30
    return queries.midnight(today.date() - timedelta(days=min(days, 3_660) - 1), zone), None


def _day(text: str) -> date | None:
    """None for what is no day, or so far off that nothing can have happened then and its midnight has no time."""
    try:
        day = parse_date(text)
    except ValueError:
        return None
    return day if day is not None and _FIRST_YEAR <= day.year < date.max.year else None
