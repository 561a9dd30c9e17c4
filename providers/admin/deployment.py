"""A model at a provider, with the history of its price."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.validators import EMPTY_VALUES
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import action
from unfold.decorators import display as column

from accounts.admin_locked import lock
from accounts.admin_meanwhile import EditedAdmin
from core import display
from providers import operations, sampling
from providers.admin import rates, route
from providers.admin.fields import CapabilitiesField
from providers.admin.price import FirstPriceInline, NewPriceInline, PriceHistoryInline
from providers.models import Deployment, Price
from providers.prices import unpriced


class DeploymentForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only in the stubs
    capabilities = CapabilitiesField(help_text="What the model can do, for people to read.")

    class Meta:
        model = Deployment
        fields = "__all__"  # noqa: DJ007 -- the admin's fieldsets say which
        error_messages: ClassVar = {"defaults": {"invalid": 'Write it as JSON, for example {"temperature": 0.7}.'}}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        field = self.fields.get("capabilities")
        if isinstance(field, CapabilitiesField):
            field.offer(self.instance.capabilities)

    def clean_defaults(self) -> object:
        """An empty field is a model without defaults, however its emptiness is written."""
        written = self.cleaned_data["defaults"]
        if isinstance(written, dict) and written != self.instance.defaults:
            sampling.check(written)
        return {} if written in EMPTY_VALUES else written


class PricedFilter(admin.SimpleListFilter):
    title = "price"
    parameter_name = "price"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("known", "Known"), ("unknown", "No price: cost unknown")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Deployment]) -> QuerySet[Deployment]:
        if self.value() is None:
            return queryset
        missing = unpriced(Deployment.objects.all(), now=timezone.now()).order_by().values("pk")
        return queryset.exclude(pk__in=missing) if self.value() == "known" else queryset.filter(pk__in=missing)


@admin.register(Deployment)
class DeploymentAdmin(EditedAdmin):
    when_empty = "A model comes with its provider: open the provider, and press Find models."
    form = DeploymentForm
    warn_unsaved_form = True
    fieldsets = (
        (None, {"fields": ("provider", "name", "upstream_name", "type", "is_active")}),
        ("What it can do", {"fields": ("capabilities", ("context_window", "max_output_tokens"))}),
        (
            "How much it takes",
            {
                "description": "Beyond it, calls go to another model that answers to the same name, or wait, or are "
                "refused. An empty field is no limit.",
                "classes": ["collapse"],
                "fields": (
                    "max_concurrent",
                    ("requests_per_minute", "requests_per_hour"),
                    ("tokens_per_minute", "tokens_per_hour"),
                ),
            },
        ),
        ("For engineers", {"fields": ("defaults",), "classes": ["collapse"]}),
    )
    autocomplete_fields = ("provider",)
    list_display = ("model_name", "at_provider", "type", "price", "since", "context", "is_active")
    list_filter = (("provider", RelatedDropdownFilter), "type", PricedFilter, "is_active")
    list_filter_submit = True
    search_fields = ("name", "upstream_name", "provider__name", "provider__slug")
    actions_detail = ("try_it",)

    def get_form(self, request: HttpRequest, obj: Deployment | None = None, **options: Any) -> Any:
        """Shown, and not left out: with it Django sees whether the name is another one's at that provider."""
        form = super().get_form(request, obj, **options)
        if obj is not None:
            lock(form, "provider", why="It stays its provider's: prices and calls name both.")
        return form

    def get_inlines(self, request: HttpRequest, obj: Deployment | None) -> list[Any]:
        if obj is None:
            return [FirstPriceInline]
        pricing = self.has_change_permission(request, obj) and request.user.has_perm("providers.add_price")
        return [NewPriceInline, PriceHistoryInline] if pricing else [PriceHistoryInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Deployment]:
        rows: QuerySet[Deployment] = super().get_queryset(request)
        return rows.select_related("provider").prefetch_related("prices")

    @column(description="Model", ordering="name")
    def model_name(self, row: Deployment) -> str:
        return display.two_lines(row.name, row.upstream_name) if row.upstream_name else row.name

    @column(description="Provider", ordering="provider__name")
    def at_provider(self, row: Deployment) -> str:
        return row.provider.name

    @column(description="Price per million tokens")
    def price(self, row: Deployment) -> str:
        now = timezone.now()
        price = rates.in_force(row, now)
        trouble = rates.trouble(price, now)
        warning = display.label(trouble, "warning") if trouble else ""
        if price is None:
            return warning
        return display.two_lines(rates.summary(price), warning) if warning else rates.summary(price)

    @column(description="Since")
    def since(self, row: Deployment) -> str:
        price = rates.in_force(row, timezone.now())
        return display.day(price.valid_from) if price is not None else "–"

    @column(description="Context", ordering="context_window")
    def context(self, row: Deployment) -> str:
        return f"{row.context_window:,} tokens" if row.context_window else "–"

    @action(description="Try it", permissions=["view"], url_path="try", icon="forum")
    def try_it(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.get_object(request, object_id)
        name = f"{row.provider.slug}/{row.name}" if row is not None else ""
        return redirect(f"{reverse('playground')}?{urlencode({'model': name})}")

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Only what was never priced can go: prices are history, which nobody lacks a permission for."""
        found, counts, lacking, protected = super().get_deleted_objects(objs, request)
        prices = Price.objects.filter(deployment__in=objs).select_related("deployment__provider")
        priced = [f"Price of {price}" for price in prices]
        return found, counts, lacking - {Price._meta.verbose_name} if priced else lacking, [*protected, *priced]

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:  # noqa: FBT001 - Django's
        super().save_related(request, form, formsets, change)
        is_priced = any(each.model is Price and each.new_objects for each in formsets)
        joined = is_priced and operations.join_with_first_price(form.instance)
        if joined or not change:
            route.tell_who_joined(request, [form.instance])
        now = timezone.now()
        if trouble := rates.trouble(form.instance.price_at(now), now):
            messages.warning(request, f"{form.instance.name}: {trouble}.")
