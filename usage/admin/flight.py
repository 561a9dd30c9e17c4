"""Calls in flight, for reading only."""

from __future__ import annotations

from django.contrib import admin
from django.utils import timezone
from unfold.decorators import display as column

from core import display
from usage.admin.filters import ClientFilter, ProviderFilter
from usage.admin.pages import LedgerAdmin
from usage.models import Hold


@admin.register(Hold)
class HoldAdmin(LedgerAdmin):
    when_empty = "Calls that wait for their answer appear here, with what they may cost at most."
    list_display = ("since", "caller", "model_name", "provider", "attempt", "at_most", "until")
    list_filter = (ClientFilter, ProviderFilter)
    search_fields = ("=request_id", "=end_user", "^deployment")
    ordering = ("id",)
    sortable_by = ()
    fields = (
        "since",
        "client",
        "end_user",
        "request_id",
        "requested_model",
        "deployment",
        "provider",
        "attempt",
        "at_most",
        "until",
    )
    readonly_fields = fields

    @column(description="Since")
    def since(self, row: Hold) -> str:
        return display.ago(row.started_at, now=timezone.now())

    @column(description="Client")
    def caller(self, row: Hold) -> str:
        return display.two_lines(row.client or "–", row.end_user)

    @column(description="Model")
    def model_name(self, row: Hold) -> str:
        return row.deployment or row.requested_model

    @column(description="Costs at most")
    def at_most(self, row: Hold) -> str:
        return display.dollars(row.amount_pico)

    @column(description="Must end by")
    def until(self, row: Hold) -> str:
        return display.minute(row.deadline_at)
