"""The form of a provider, with its keys and its models."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from unfold.admin import TabularInline
from unfold.decorators import display as column
from unfold.widgets import UnfoldAdminSelectWidget

from accounts.admin_locked import lock
from core import display
from providers import operations
from providers.admin import rates
from providers.admin.fields import NewKeyField, SecondsField, is_new
from providers.admin.paged import PER_PAGE, PagedFormSet
from providers.kinds import KINDS
from providers.models import Credential, Deployment, Provider


class ProviderForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only in the stubs
    kind = forms.ChoiceField(
        choices=lambda: [("", "Choose…"), *((name, kind.label) for name, kind in KINDS.items())],
        widget=UnfoldAdminSelectWidget,
        help_text="Which API it speaks. Most hosts that are not listed speak OpenAI's.",
    )
    connect_timeout_ms = SecondsField(label="Time to connect")
    first_token_timeout_ms = SecondsField(label="Time to the first word", help_text="Long prompts may take a while.")
    between_chunks_timeout_ms = SecondsField(
        label="Silence in mid-answer", help_text="Then the answer counts as broken."
    )
    timeout_ms = SecondsField(label="Whole call", help_text="At most an hour (3600).")
    retry_delay_ms = SecondsField(
        label="Wait before the second try", help_text="Doubles with each further try, at most 10 seconds."
    )
    open_ms = SecondsField(label="Leave it alone for", help_text="Then one call is let through as a trial.")
    monitoring_period_ms = SecondsField(label="Count failures over")

    class Meta:
        model = Provider
        fields = "__all__"  # noqa: DJ007 -- the admin's fieldsets say which
        labels: ClassVar = {
            "on_disconnect": "When the caller leaves",
            "retry_attempts": "Tries in all",
            "failure_threshold": "Failures in a row",
            "success_threshold": "Successes to trust it again",
        }
        help_texts: ClassVar = {
            "retry_attempts": "Of one call here. Other providers are tried before this one again.",
            "failure_threshold": "So many failures, and calls go elsewhere for a while.",
            "success_threshold": "So many trial calls must succeed.",
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name, field in self.fields.items():
            if isinstance(field, SecondsField):  # fields declared here do not take the model's default
                self.initial.setdefault(name, getattr(self.instance, name))
                field.bound_by(Provider._meta.get_field(name))
        if "slug" in self.fields:
            self.fields["slug"].required = False  # made from the name

    def clean_slug(self) -> str:
        slug: str = self.cleaned_data["slug"]
        return slug or operations.free_slug(self.cleaned_data.get("name", ""))


class KeyForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only in the stubs
    new_key = NewKeyField(label="New key")

    class Meta:
        model = Credential
        fields = ("label", "weight", "is_active")
        labels: ClassVar = {"weight": "Share"}
        help_texts: ClassVar = {"weight": "Of the calls, among keys that take turns: 2 takes twice as many as 1."}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["weight"].required = False

    def clean_weight(self) -> int:
        return self.cleaned_data["weight"] or 1

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if is_new(self.instance) and data.get("new_key") is None and "new_key" not in self.errors:
            self.add_error("new_key", "Paste the key here.")
        return data

    def save(self, commit: bool = True) -> Credential:  # noqa: FBT001, FBT002 -- Django's signature
        if self.cleaned_data.get("new_key") is not None:
            self.instance.take(self.cleaned_data["new_key"])
        saved: Credential = super().save(commit)
        return saved

    def ask_again(self) -> None:
        """Of a form that is shown again for its mistakes: what was typed here is not sent back to the browser."""
        if self.data.get(self.add_prefix("new_key")) and "new_key" not in self.errors:
            self.add_error("new_key", "Paste the key again: it is not kept.")


class KeyInline(TabularInline):
    model = Credential
    form = KeyForm
    fields = ("label", "stored", "new_key", "weight", "is_active")
    readonly_fields = ("stored",)
    verbose_name = "key"
    hide_title = True
    verbose_name_plural = "API keys of the provider"

    def get_extra(self, request: HttpRequest, obj: Any = None, **_: Any) -> int:
        return 0 if obj is not None and obj.credentials.exists() else 1

    @column(description="Stored key")
    def stored(self, key: Credential) -> str:
        return key.hint or "none yet"


class ModelFormSet(PagedFormSet):
    unique = "name"
    taken = "Another page has a model of this name."

    def clean(self) -> None:
        """Only what was never priced can go: prices are history, and their models' calls name them."""
        super().clean()
        for row in self.deleted_forms:
            if not is_new(row.instance) and row.instance.prices.exists():
                raise ValidationError(
                    f"{row.instance.name} has a price, and prices are history: switch it off instead."
                )


class ModelInline(TabularInline):
    model = Deployment
    form = rates.PricedModelForm
    formset = ModelFormSet
    per_page = PER_PAGE
    fields = ("name", "upstream_name", "type", "input_price", "output_price", "cached_price", "since", "is_active")
    readonly_fields = ("since",)
    hide_title = True
    verbose_name_plural = "Models, and what they cost per million tokens"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Deployment]:
        rows: QuerySet[Deployment] = super().get_queryset(request)
        return rows.select_related("provider").prefetch_related("prices")

    def get_extra(self, request: HttpRequest, obj: Any = None, **_: Any) -> int:
        return 0 if obj is not None and obj.deployments.exists() else 1

    def get_formset(self, request: HttpRequest, obj: Any = None, **options: Any) -> Any:
        formset = super().get_formset(request, obj, **options)
        if not request.user.has_perm("providers.add_price"):
            lock(formset.form, *rates.PRICES, why="Only who may add prices may change it.")
        return formset

    # For who may look and not change: their form has fields of these names.

    @column(description="Input")
    def input_price(self, deployment: Deployment) -> str:
        return rates.shown("input_price", deployment)

    @column(description="Output")
    def output_price(self, deployment: Deployment) -> str:
        return rates.shown("output_price", deployment)

    @column(description="Cached input")
    def cached_price(self, deployment: Deployment) -> str:
        return rates.shown("cached_price", deployment)

    @column(description="Price since")
    def since(self, deployment: Deployment) -> str:
        if is_new(deployment):
            return "from now on"
        price = rates.in_force(deployment, timezone.now())
        url = reverse("admin:providers_deployment_change", args=[deployment.pk])
        return display.link(url, display.day(price.valid_from) if price is not None else rates.UNPRICED)
