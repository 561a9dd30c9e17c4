"""Prices: rows are added, never edited, so that every past call keeps the price it was made at."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin, StackedInline, TabularInline
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import action
from unfold.decorators import display as column

from core import display
from providers import operations
from providers.admin import published, route
from providers.admin.fields import MomentField, RateField
from providers.admin.rates import NO_EXCHANGE_RATE, in_force
from providers.models import Deployment, Price, PriceTier
from providers.price_import import LABELS
from providers.prices import has_exchange_rate

_MAIN = ("input_per_million", "output_per_million")
_OTHER_RATES = (
    "Other rates, in case the provider has them",
    {
        "classes": ["collapse"],
        "fields": (
            ("cache_write_5m_per_million", "cache_write_1h_per_million"),
            ("audio_input_per_million", "audio_output_per_million"),
            ("image_input_per_million", "image_output_per_million"),
            ("reasoning_per_million", "per_request"),
        ),
    },
)


def _as_rates(form: forms.ModelForm) -> None:  # type: ignore[type-arg]  # generic only in the stubs
    """Amounts without the zeros that ten decimals bring. No dollar sign: the form names the currency."""
    for name, text in LABELS.items():
        if name in form.fields:
            plain = form.fields[name]
            unit = "" if name == "per_request" else ", per million tokens"
            form.fields[name] = RateField(
                prefix="", label=f"{text}{unit}", help_text=plain.help_text, initial=plain.initial
            )
            form.fields[name].required = name in _MAIN


class PriceForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only in the stubs
    valid_from = MomentField(
        label="In force from",
        required=False,
        help_text="Empty: from now on. A day alone: from its midnight on. Calls made before keep their price.",
    )

    class Meta:
        model = Price
        fields = "__all__"  # noqa: DJ007 -- the admin's fieldsets say which

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _as_rates(self)
        if "output_per_million" in self.fields:
            self.fields["output_per_million"].required = False
            self.fields["output_per_million"].help_text = "Empty only for an embedding model, which puts nothing out."
        self.initial.pop("valid_from", None)

    def clean(self) -> dict[str, Any]:
        """An embedding model puts nothing out, so that its output costs nothing unless somebody says so."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if data.get("output_per_million") is None and not self.has_error("output_per_million"):
            if getattr(data.get("deployment"), "type", "") == Deployment.Type.EMBEDDING:
                data["output_per_million"] = Decimal(0)
            else:
                self.add_error("output_per_million", "Enter both prices, input and output; 0 is free of charge.")
        return data

    def clean_valid_from(self) -> Any:
        return self.cleaned_data["valid_from"] or timezone.now()

    def clean_per_request(self) -> Any:
        return self.cleaned_data["per_request"] or 0


def _column(name: str, text: str) -> Any:
    @column(description=text, ordering=name)
    def show(_self: Any, row: Price | PriceTier) -> str:
        return display.rate(getattr(row, name), row.currency)

    return show


class _Amounts:
    """A read-only column `show_…` for each rate, without the zeros that ten decimals bring."""

    @column(description="Other rates")
    def others(self, row: Price | PriceTier) -> str:
        rates = {text: getattr(row, name, None) for name, text in LABELS.items() if name not in _COMMON}
        return ", ".join(f"{text} {display.rate(rate, row.currency)}" for text, rate in rates.items() if rate) or "–"

    @column(description="In force since", ordering="valid_from")
    def since(self, row: Price) -> str:
        return display.minute(row.valid_from)


for _name, _text in LABELS.items():
    setattr(_Amounts, f"show_{_name}", _column(_name, _text))

SHOWN = tuple(f"show_{name}" for name in LABELS)
_COMMON = ("input_per_million", "output_per_million", "cached_input_per_million")


class NewPriceInline(StackedInline):
    """A form for one more row; the rows that exist are below it."""

    model = Price
    form = PriceForm
    extra = 1
    max_num = 1
    can_delete = False
    hide_title = True
    verbose_name = "New price: leave it empty to keep the present one"
    fieldsets = (
        (None, {"fields": (_MAIN, ("cached_input_per_million", "currency"), "valid_from")}),
        _OTHER_RATES,
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Price]:
        rows: QuerySet[Price] = super().get_queryset(request)
        return rows.none()


class FirstPriceInline(NewPriceInline):
    verbose_name = "Price: while it is empty, what calls cost is unknown"


class PriceHistoryInline(_Amounts, TabularInline):
    model = Price
    extra = 0
    max_num = 0
    can_delete = False
    verbose_name_plural = "Price history, per million tokens"
    fields = ("since", *(f"show_{name}" for name in _COMMON), "others")
    readonly_fields = fields
    hide_title = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class TierForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only in the stubs
    class Meta:
        model = PriceTier
        fields = "__all__"  # noqa: DJ007 -- the inline says which

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _as_rates(self)


class TierInline(StackedInline):
    """Given with a new price, and shown with an old one."""

    model = PriceTier
    form = TierForm
    extra = 0
    can_delete = False
    verbose_name_plural = "Other prices for long prompts"
    fieldsets = (
        (None, {"fields": ("above_tokens", _MAIN, "cached_input_per_million")}),
        (
            _OTHER_RATES[0],
            {
                "classes": ["collapse"],
                "fields": (
                    ("cache_write_5m_per_million", "cache_write_1h_per_million"),
                    ("audio_input_per_million", "audio_output_per_million"),
                    ("image_input_per_million", "image_output_per_million"),
                    "reasoning_per_million",
                ),
            },
        ),
    )

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and request.user.has_perm("providers.add_price")


class TierHistoryInline(_Amounts, TabularInline):
    model = PriceTier
    extra = max_num = 0
    can_delete = False
    hide_title = True
    verbose_name_plural = "Prices of long prompts, per million tokens"
    fields = readonly_fields = ("bound", *(f"show_{name}" for name in _COMMON), "others")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @column(description="Prompts of more than")
    def bound(self, row: PriceTier) -> str:
        return f"{row.above_tokens:,} tokens"


@admin.register(Price)
class PriceAdmin(_Amounts, ModelAdmin):
    when_empty = "A call is charged at the price in force when it begins. Without one, what it costs is unknown."
    form = PriceForm
    list_display = (
        "model_name",
        "state",
        "since",
        "show_input_per_million",
        "show_output_per_million",
        "show_cached_input_per_million",
        "long_prompts",
        "set_by",
    )
    actions_list = ("compare",)
    actions_detail = ("reprice",)
    list_filter = (("deployment__provider", RelatedDropdownFilter),)
    list_filter_submit = True
    list_select_related: ClassVar = ["deployment__provider"]
    search_fields = ("deployment__name", "deployment__provider__name", "deployment__provider__slug")
    autocomplete_fields = ("deployment",)
    ordering = ("deployment__name", "deployment__provider__name", "-valid_from")
    add_fieldsets = (
        (None, {"fields": ("deployment", "valid_from")}),
        ("Per million tokens", {"fields": (_MAIN, ("cached_input_per_million", "currency"))}),
        _OTHER_RATES,
    )
    fieldsets = (
        (None, {"fields": ("model_name", "state", "since", "currency", "set_by")}),
        ("Per million tokens", {"fields": SHOWN}),
    )
    readonly_fields = ("model_name", "state", "since", "set_by", *SHOWN)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Price]:
        rows: QuerySet[Price] = super().get_queryset(request)
        return rows.select_related("deployment__provider").prefetch_related("deployment__prices", "tiers")

    def get_inlines(self, request: HttpRequest, obj: Price | None) -> list[Any]:
        if obj is None:
            return [TierInline]
        return [TierHistoryInline] if obj.tiers.exists() else []

    def has_change_permission(self, request: HttpRequest, obj: Price | None = None) -> bool:
        return False  # history stays true: a new price is a new row

    def has_delete_permission(self, request: HttpRequest, obj: Price | None = None) -> bool:
        """A price that no call can have been made at may go."""
        planned = obj is not None and obj.valid_from > timezone.now()
        return planned and bool(super().has_delete_permission(request, obj))

    @column(description="Model", ordering="deployment__name")
    def model_name(self, row: Price) -> str:
        return display.two_lines(row.deployment.name, row.deployment.provider.name)

    @column(description="State")
    def state(self, row: Price) -> str:
        now = timezone.now()
        if row.valid_from > now:
            return display.label("Planned", "info")
        if in_force(row.deployment, now) != row:
            return display.label("Past", "default")
        if not has_exchange_rate(row.currency, now):
            return display.label(NO_EXCHANGE_RATE, "danger", title="Add the currency's rate under Exchange rates.")
        return display.label("In force", "success")

    @column(description="Long prompts")
    def long_prompts(self, row: Price) -> str:
        bounds = [f"over {tier.above_tokens:,}" for tier in row.tiers.all()]
        return ", ".join(bounds) or "–"

    @column(description="Set", ordering="source")
    def set_by(self, row: Price) -> str:
        return f"from {row.source}" if row.source else "by hand"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        if isinstance(row, Price):
            _warn(request, row)
        answer: HttpResponse = super().change_view(request, object_id, form_url, extra_context)
        return answer

    def save_model(self, request: HttpRequest, obj: Price, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's
        super().save_model(request, obj, form, change)
        _warn(request, obj)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:  # noqa: FBT001 - Django's
        super().save_related(request, form, formsets, change)
        model = form.instance.deployment
        if operations.join_with_first_price(model):
            route.tell_who_joined(request, [model])

    @action(description="Compare with published prices", permissions=["add"], url_path="compare", icon="compare_arrows")
    def compare(self, request: HttpRequest) -> HttpResponse:
        return published.compare(request, self)

    def has_reprice_permission(self, request: HttpRequest, _key: str = "") -> bool:
        allowed: bool = request.user.has_perm("usage.add_repricing")
        return allowed

    @action(description="Re-price past calls", permissions=["reprice"], url_path="reprice", icon="currency_exchange")
    def reprice(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect(f"{reverse('admin:usage_repricing_add')}?price={object_id}")


def _warn(request: HttpRequest, price: Price) -> None:
    if not has_exchange_rate(price.currency, timezone.now()):
        text = f"There is no exchange rate for {price.currency} yet: calls at this price have an unknown cost."
        if request.user.has_perm("providers.add_exchangerate"):
            text = display.with_link(text, reverse("admin:providers_exchangerate_add"), "Add the rate")
        messages.warning(request, text)
