"""Calls. For reading only: the ledger's rows are written by `usage.ledger`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action
from unfold.decorators import display as column

from core import display
from core.display import Tone
from usage.admin.call_page import CallPage, served_by
from usage.admin.filters import ClientFilter, DayFilter, PeriodFilter, ProviderFilter, SurfaceFilter, days_shown
from usage.admin.pages import LedgerAdmin
from usage.api.period import LONGEST_DAYS
from usage.models import UsageRecord

_TONES: dict[str, Tone] = {
    UsageRecord.Status.OK: "success",
    UsageRecord.Status.CACHED: "info",
    UsageRecord.Status.CANCELLED: "warning",
    UsageRecord.Status.REFUSED: "warning",
    UsageRecord.Status.ERROR: "danger",
    UsageRecord.Status.INTERRUPTED: "danger",
}

# The list's filters, as the export calls them.
_EXPORTED = {"status__exact": "status", "client": "client", "provider": "provider", "surface": "surface"}


@admin.register(UsageRecord)
class UsageRecordAdmin(CallPage, LedgerAdmin):
    when_empty = (
        "Every call appears here with its tokens and its cost, as soon as it is answered. "
        "The home page has a line that makes the first."
    )
    list_display = ("when", "caller", "models", "state", "tokens", "cost", "latency")
    list_filter = (
        PeriodFilter,
        ("started_at", DayFilter),
        ("status", ChoicesDropdownFilter),
        ClientFilter,
        ProviderFilter,
        SurfaceFilter,
    )
    search_fields = ("=request_id", "=end_user", "^deployment", "^requested_model")
    search_help_text = "Request id, end user or model"
    ordering = ("-id",)
    sortable_by = ()
    actions_list = ("download",)

    @action(
        description="Download (CSV)",
        permissions=["view"],
        url_path="download",
        icon="download",
        attrs={"title": "All calls that the filters leave, by days. What is searched for is not among the filters."},
    )
    def download(self, request: HttpRequest) -> HttpResponse:
        """The books' rows that the list's filters leave, as the management API exports them."""
        first, last = days_shown(request, timezone.now())
        longest_ago = last - timedelta(days=LONGEST_DAYS - 1)
        query = {"startDate": max(first or longest_ago, longest_ago), "endDate": last}
        filters = {name: request.GET[ours] for ours, name in _EXPORTED.items() if request.GET.get(ours)}
        return redirect(f"{reverse('exports')}?{urlencode(query | filters)}")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The download's button takes the list's filters with it."""
        answer: HttpResponse = super().changelist_view(request, extra_context)
        for button in getattr(answer, "context_data", {}).get("actions_list", ()):
            button["path"] += f"?{request.GET.urlencode()}" if request.GET else ""
        return answer

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[UsageRecord], search_term: str
    ) -> tuple[QuerySet[UsageRecord], bool]:
        """The first of these that finds anything, the indexed ones first: a request id, an end user, a model's name."""
        term = search_term.strip()
        if not term:
            return queryset, False
        everywhere = UsageRecord.objects.all()
        if (key := _uuid(term)) and everywhere.filter(id=key).exists():
            return everywhere.filter(id=key), False
        if everywhere.filter(request_id=term).exists():
            return everywhere.filter(request_id=term), False
        if queryset.filter(end_user=term).exists():
            return queryset.filter(end_user=term), False
        found: tuple[QuerySet[UsageRecord], bool] = super().get_search_results(request, queryset, term)
        return found

    @column(description="When")
    def when(self, row: UsageRecord) -> str:
        at = timezone.localtime(row.started_at)
        return display.two_lines(f"{at:%H:%M:%S}", f"{at:%-d %b %Y}")

    @column(description="Client")
    def caller(self, row: UsageRecord) -> str:
        return display.two_lines(row.client or "–", row.end_user)

    @column(description="Model asked → served")
    def models(self, row: UsageRecord) -> str:
        return display.two_lines(
            row.requested_model or "(the default)", f"→ {served_by(row)}" if row.deployment else ""
        )

    @column(description="Status")
    def state(self, row: UsageRecord) -> str:
        if row.kind == UsageRecord.Kind.ADJUSTMENT:
            return display.label("Adjustment", "info", title="Corrects an earlier row.")
        text, tone = UsageRecord.Status(row.status).label, _TONES.get(row.status, "default")
        shown = display.label(text, tone, title=row.error_detail or row.error_code)
        return shown if row.is_final else display.two_lines(shown, "tried again")

    @column(description="Tokens in / out")
    def tokens(self, row: UsageRecord) -> str:
        return f"{row.input_tokens:,} / {row.output_tokens:,}"

    @column(description="Cost")
    def cost(self, row: UsageRecord) -> str:
        if row.cost_pico is None:
            return display.label("unknown", "warning", title="The model had no price, or its usage is not known.")
        return display.dollars(row.cost_pico)

    @column(description="Took")
    def latency(self, row: UsageRecord) -> str:
        return display.milliseconds(row.latency_ms)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
