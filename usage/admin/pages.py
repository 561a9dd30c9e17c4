"""What the ledger's pages have in common, and what those of rows with a time zone of their own have."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from accounts.admin_meanwhile import EditedAdmin
from accounts.admin_read_only import GrowingTableAdmin
from accounts.models import Client
from core import display
from usage.admin.filters import ClientFilter, ClientTypedFilter


class LedgerAdmin(GrowingTableAdmin):
    """Where there are too many clients to choose from, theirs is typed."""

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        too_many = ClientFilter in self.list_filter and Client.objects.count() > display.MOST_OFFERED
        return [ClientTypedFilter if too_many and each is ClientFilter else each for each in self.list_filter]


class InOurTimeZone(EditedAdmin):
    """New rows begin with the installation's time zone."""

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"time_zone": settings.TIME_ZONE, **super().get_changeform_initial_data(request)}
