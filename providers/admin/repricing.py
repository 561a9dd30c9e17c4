"""Re-pricing of past calls: chosen, compared, and applied when somebody says so."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin
from unfold.decorators import display as column
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts.models import Client
from core import display
from core.display import Tone
from providers.admin.rates import summary
from providers.models import Deployment, Price, PriceTier
from providers.prices import terms
from usage import corrections, queries
from usage.corrections import NotReadyError
from usage.models import Repricing
from usage.tasks import start_repricing

_USUAL_DAYS = 30
_FIRST_DAY = date(1971, 1, 1)  # keys of the books begin in 1970
_State = Repricing.State
_TONES: dict[str, Tone] = {
    _State.COMPARING: "info",
    _State.COMPARED: "warning",
    _State.APPLYING: "info",
    _State.APPLIED: "success",
}


class DayInput(UnfoldAdminTextInputWidget):
    """The browser's own calendar."""

    input_type = "date"


class PriceChoice(forms.ModelChoiceField):  # type: ignore[type-arg]  # generic only in the stubs
    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.deployment}: {summary(obj)}, since {display.minute(obj.valid_from)}"


class RepricingForm(forms.Form):
    price = PriceChoice(
        queryset=Price.objects.select_related("deployment__provider").order_by("deployment__name", "-valid_from"),
        widget=UnfoldAdminSelectWidget,
        label="Price",
        empty_label="Choose…",
        help_text="What the calls should have cost. A price that is missing here is added under Prices first.",
    )
    model = forms.ModelChoiceField(
        queryset=Deployment.objects.select_related("provider"),
        required=False,
        widget=UnfoldAdminSelectWidget,
        label="Calls of the model",
        empty_label="The one that the price is for",
    )
    client = forms.ChoiceField(
        choices=lambda: [
            ("", "Every client"),
            *((name, name) for name in Client.objects.values_list("name", flat=True)),
        ],
        required=False,
        widget=UnfoldAdminSelectWidget,
        label="Calls of the client",
    )
    first_day = forms.DateField(widget=DayInput, label="From")
    last_day = forms.DateField(widget=DayInput, label="To", help_text="This day included.")
    reason = forms.CharField(
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        label="Why",
        help_text="Stands on every adjustment, with your name.",
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if Price.objects.count() > display.MOST_OFFERED:
            self._search("price", PriceTier._meta.get_field("price"))
            self._search("model", Price._meta.get_field("deployment"))
        if Client.objects.count() > display.MOST_OFFERED:
            self.fields["client"] = forms.CharField(
                required=False,
                label="Calls of the client",
                help_text="Its name. Empty: every client.",
                widget=UnfoldAdminTextInputWidget,
            )

    def _search(self, name: str, relation: Any) -> None:
        """Too many to choose among: they are searched for, as on the form that has `relation`."""
        field = self.fields[name]
        assert isinstance(field, forms.ModelChoiceField)
        field.widget = AutocompleteSelect(relation, admin.site)
        field.widget.choices = field.choices

    def clean_client(self) -> str:
        """Raises ValidationError for one that was typed and is not there."""
        name = str(self.cleaned_data["client"]).strip()
        if name and not Client.objects.filter(name=name).exists():
            raise ValidationError(f"There is no client “{name}”.")
        return name

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        first, last = data.get("first_day"), data.get("last_day")
        if first and not _FIRST_DAY <= first <= _today():
            raise ValidationError({"first_day": f"Choose a day from {_FIRST_DAY.year} until today."})
        if first and last and last < first:
            raise ValidationError({"last_day": "This must not be before the first day."})
        return data


@admin.register(Repricing)
class RepricingAdmin(ModelAdmin):
    when_empty = "Where calls were charged at a wrong price or none, set them right here. Nothing is overwritten."
    list_display = ("when", "model_name", "state_label", "period", "client_name", "calls", "difference", "who")
    list_filter = ("state",)
    search_fields = ("model", "reason", "author", "client")
    ordering = ("-id",)

    def has_change_permission(self, request: HttpRequest, obj: Repricing | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Repricing | None = None) -> bool:
        """Only what has changed nothing may go."""
        open_ = obj is not None and obj.state in (_State.COMPARING, _State.COMPARED)
        return open_ and bool(super().has_delete_permission(request, obj))

    def get_urls(self) -> list[Any]:
        apply = self.admin_site.admin_view(require_POST(self.apply))
        return [path("<uuid:key>/apply/", apply, name="usage_repricing_apply"), *super().get_urls()]

    # --- the list -------------------------------------------------------------------------------------------------

    @column(description="When", ordering="id")
    def when(self, row: Repricing) -> str:
        return display.two_lines(display.minute(row.created_at), row.reason)

    @column(description="State")
    def state_label(self, row: Repricing) -> str:
        return display.label(_State(row.state).label, _TONES[row.state])

    @column(description="Calls of")
    def period(self, row: Repricing) -> str:
        return _period(row)

    @column(description="Model")
    def model_name(self, row: Repricing) -> str:
        return row.model

    @column(description="Calls")
    def calls(self, row: Repricing) -> str:
        return f"{row.rows:,}"

    @column(description="Who")
    def who(self, row: Repricing) -> str:
        return row.author

    @column(description="Client")
    def client_name(self, row: Repricing) -> str:
        return row.client or "every client"

    @column(description="Difference")
    def difference(self, row: Repricing) -> str:
        return display.dollars_rounded(row.new_pico - row.old_pico)

    # --- pages ----------------------------------------------------------------------------------------------------

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            return redirect("admin:index")
        form = RepricingForm(request.POST or None, initial=_usual(request))
        if form.is_valid():
            row = _begin(form.cleaned_data, author=request.user.get_username())
            self.log_addition(request, row, "Compared.")
            return redirect(_page(row))
        return self._render(request, "repricing_add.html", {"title": "Re-price past calls", "form": form})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        if not isinstance(row, Repricing) or not self.has_view_permission(request, row):
            return redirect("admin:usage_repricing_changelist")
        return self._render(request, "repricing.html", _shown(row) | {"can_apply": self.has_add_permission(request)})

    def apply(self, request: HttpRequest, key: UUID) -> HttpResponse:
        """What was compared is to be applied: the background worker does it."""
        row = get_object_or_404(Repricing, pk=key)
        if not self.has_add_permission(request):
            return redirect(_page(row))
        try:
            corrections.apply(key, author=request.user.get_username(), now=timezone.now())
        except NotReadyError as error:
            messages.error(request, str(error))
        else:
            self.log_change(request, row, "Applied.")
            start_repricing(key)
        return redirect(_page(row))

    def _render(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        back = {"back": reverse("admin:usage_repricing_changelist")}
        return render(request, f"admin/usage/{template}", self.admin_site.each_context(request) | back | context)


def _usual(request: HttpRequest) -> dict[str, Any]:
    today = _today()
    return {
        "price": request.GET.get("price", ""),
        "first_day": (today - timedelta(days=_USUAL_DAYS)).isoformat(),
        "last_day": today.isoformat(),
    }


def _begin(asked: dict[str, Any], *, author: str) -> Repricing:
    zone, price = timezone.get_default_timezone(), asked["price"]
    deployment = asked["model"] or price.deployment
    with transaction.atomic():
        row = corrections.begin(
            terms=terms(price),
            price_text=f"{price.deployment}: {summary(price)}, since {display.minute(price.valid_from, zone)}",
            deployment_id=deployment.pk,
            model=str(deployment),
            client=asked["client"],
            starts_at=queries.midnight(asked["first_day"], zone),
            ends_at=queries.midnight(_after(min(asked["last_day"], _today())), zone),
            reason=asked["reason"],
            author=author,
            now=timezone.now(),
        )
        transaction.on_commit(lambda: start_repricing(row.pk))
    return row


def _today() -> date:
    return timezone.localdate(timezone=timezone.get_default_timezone())


def _after(day: date) -> date:
    return day + timedelta(days=1)


def _page(row: Repricing) -> str:
    return reverse("admin:usage_repricing_change", args=[row.pk])


def _period(row: Repricing) -> str:
    last = row.ends_at - timedelta(microseconds=1)
    zone = timezone.get_default_timezone()
    first_day, last_day = display.day(row.starts_at, zone), display.day(last, zone)
    return first_day if first_day == last_day else f"{first_day} – {last_day}"


def _shown(row: Repricing) -> dict[str, Any]:
    return {
        "title": f"Re-pricing of {row.model}",
        "row": row,
        "state": display.label(_State(row.state).label, _TONES[row.state]),
        "working": row.state in (_State.COMPARING, _State.APPLYING),
        "is_stuck": timezone.now() - row.moved_at > timedelta(seconds=30),
        "period": _period(row),
        "old": display.dollars(row.old_pico),
        "new": display.dollars(row.new_pico),
        "difference": _signed(row.new_pico - row.old_pico),
        "adjusted": _signed(row.adjusted_pico),
        "apply_url": reverse("admin:usage_repricing_apply", args=[row.pk]),
        "delete_url": reverse("admin:usage_repricing_delete", args=[row.pk]),
    }


def _signed(amount_pico: int) -> str:
    return f"+{display.dollars(amount_pico)}" if amount_pico > 0 else display.dollars(amount_pico)
