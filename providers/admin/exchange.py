"""What currencies are worth, day by day."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display as column
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts.admin_meanwhile import EditedAdmin
from core import display
from providers.models import ExchangeRate

_DOLLARS = {"prefix": "$", "inputmode": "decimal", "class": "aip-dollars"}


class ExchangeRateForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only in the stubs
    class Meta:
        model = ExchangeRate
        fields = ("currency", "day", "usd_per_unit")
        labels = {"usd_per_unit": "US dollars for one unit"}  # noqa: RUF012 -- Django's own form
        error_messages = {"currency": {"max_length": "Three letters, for example EUR."}}  # noqa: RUF012 -- as above
        widgets = {"usd_per_unit": UnfoldAdminTextInputWidget(_DOLLARS)}  # noqa: RUF012 -- as above

    def clean_currency(self) -> str:
        currency: str = self.cleaned_data["currency"]
        return currency.upper()


@admin.register(ExchangeRate)
class ExchangeRateAdmin(EditedAdmin):
    when_empty = "Needed only for prices in other currencies than dollars: what one unit is worth, from which day on."
    form = ExchangeRateForm
    list_display = ("currency", "state", "day", "dollars")
    list_filter = ("currency",)
    search_fields = ("currency",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("currency", "day") if obj is not None else ()

    @column(description="US dollars for one unit", ordering="usd_per_unit")
    def dollars(self, row: ExchangeRate) -> str:
        return display.rate(row.usd_per_unit)

    @column(description="State")
    def state(self, row: ExchangeRate) -> str:
        today = timezone.now().astimezone(UTC).date()
        if row.day > today:
            return display.label("Planned", "info")
        newer = ExchangeRate.objects.filter(currency=row.currency, day__gt=row.day, day__lte=today)
        return display.label("Past", "default") if newer.exists() else display.label("In force", "success")
