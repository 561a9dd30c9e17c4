"""Budgets: how much may be spent by whom, how much is left, and a raise for the running period."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action
from unfold.decorators import display as column
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from accounts.models import ApiKey, Client
from core import display
from core.money import MOST_USD, pico_from_usd, usd_from_pico
from usage import spending
from usage.models import Budget, BudgetWindow


class DollarsField(forms.DecimalField):
    """Typed and shown in dollars, stored in pico-dollars."""

    def __init__(self, **options: Any) -> None:
        widget = UnfoldAdminTextInputWidget({"prefix": "$", "inputmode": "decimal", "class": "aip-short aip-dollars"})
        super().__init__(max_digits=19, decimal_places=12, max_value=MOST_USD, widget=widget, **options)

    def prepare_value(self, value: Any) -> Any:
        return display.plain(usd_from_pico(value)) if isinstance(value, int) else value

    def clean(self, value: Any) -> Any:
        amount = super().clean(value)
        return None if amount is None else pico_from_usd(amount)


CHOSEN = (Budget.Scope.CLIENT, Budget.Scope.KEY, Budget.Scope.PROVIDER)


def _choice(label: str) -> forms.ChoiceField:
    """Its choices are those of the moment."""
    return forms.ChoiceField(required=False, label=label, widget=UnfoldAdminSelectWidget)


def _typed(name: str) -> forms.CharField:
    """In place of a choice among too many."""
    return forms.CharField(
        required=False, label=_TYPED[name][0], help_text=_TYPED[name][1], widget=UnfoldAdminTextInputWidget
    )


_TYPED = {
    "client": ("Which client", "Its name, as on the list of clients."),
    "key": ("Which API key", "Its beginning, as on the list of keys."),
    "provider": ("Which provider", "Its short name."),
}


def _clients() -> QuerySet[Client]:
    return Client.objects.order_by("name")


def _keys() -> QuerySet[ApiKey]:
    return ApiKey.objects.filter(is_active=True).select_related("client").order_by("client__name", "prefix")


def _providers() -> QuerySet[Any]:
    # By label: `usage` lies below `providers` and must not import it.
    found: QuerySet[Any] = apps.get_model("providers", "Provider").objects.order_by("name")
    return found


_CHOICES: dict[str, Callable[[Any], tuple[str, str]]] = {
    "client": lambda row: (row.name, row.name),
    "key": lambda row: (str(row.pk), f"{row} ({row.prefix}…)"),
    "provider": lambda row: (row.slug, row.name),
}


class BudgetForm(forms.ModelForm[Budget]):
    """Whose budget it is, is chosen among what there is; end users and tags, which nobody lists, are typed."""

    client = _choice("Which client")
    key = _choice("Which API key")
    provider = _choice("Which provider")
    cap_pico = DollarsField(label="Limit, $", min_value=Decimal(0), help_text="For one period.")
    count_so_far = forms.BooleanField(
        required=False,
        initial=True,
        label="Count what the running period has cost already",
        help_text="Calls that are under way just now are left out: they began without this budget.",
        widget=UnfoldBooleanSwitchWidget,
    )

    class Meta:
        model = Budget
        fields = ("name", "scope", "subject", "cap_pico", "period", "time_zone", "hard", "is_active")
        labels: ClassVar = {"subject": "Which"}
        help_texts: ClassVar = {"subject": "An end user as your calls name them, or a tag such as team=search."}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name, offered in (("client", _clients()), ("key", _keys()), ("provider", _providers())):
            if name not in self.fields:
                continue
            if offered.count() > display.MOST_OFFERED:
                self.fields[name] = _typed(name)
                continue
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = [("", "Choose one"), *map(_CHOICES[name], offered)]

    def clean_client(self) -> str:
        return self._known("client", _clients(), by="name")

    def clean_key(self) -> str:
        is_typed = not isinstance(self.fields["key"], forms.ChoiceField)
        return self._known("key", _keys(), by="prefix" if is_typed else "pk")

    def clean_provider(self) -> str:
        return self._known("provider", _providers(), by="slug")

    def _known(self, name: str, rows: QuerySet[Any], *, by: str) -> str:
        """The budget's subject. Raises ValidationError for what was typed and is not there."""
        wanted = str(self.cleaned_data[name]).strip().removesuffix("…")
        if not wanted:
            return ""
        found = rows.filter(**{by: wanted}).first()
        if found is None:
            raise ValidationError(f"There is no “{wanted}”.")
        return str(found.pk) if name == "key" else wanted

    def clean(self) -> dict[str, Any]:
        """The subject is that of the scope: what was chosen or typed before another scope was taken counts no more."""
        found: dict[str, Any] = super().clean() or self.cleaned_data
        scope = found.get("scope")
        if scope in CHOSEN:
            found["subject"] = found.get(scope, "")
            if not found["subject"]:
                self.add_error(scope, f"Choose {Budget.Scope(scope).label.lower()}.")
        elif scope == Budget.Scope.ALL:
            found["subject"] = ""
        return found


class RaiseForm(forms.Form):
    amount_pico = DollarsField(
        label="Raise by, $", help_text="For the running period alone. A negative amount takes a raise back."
    )


class WindowInline(TabularInline):
    """The periods so far."""

    model = BudgetWindow
    fields = readonly_fields = ("since", "limit", "settled", "held", "left", "overrun")
    extra = max_num = 0
    can_delete = False
    hide_title = True
    verbose_name_plural = "periods"

    def has_add_permission(self, request: HttpRequest, obj: Budget | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Budget | None = None) -> bool:
        return False

    @column(description="Since")
    def since(self, row: BudgetWindow) -> str:
        return display.day(row.starts_at)

    @column(description="Limit")
    def limit(self, row: BudgetWindow) -> str:
        raised = f" + {display.dollars_rounded(row.raised_pico)} raised" if row.raised_pico else ""
        return display.dollars_rounded(row.cap_pico) + raised

    @column(description="Spent")
    def settled(self, row: BudgetWindow) -> str:
        return display.dollars_rounded(row.settled_pico)

    @column(description="Held by calls in flight")
    def held(self, row: BudgetWindow) -> str:
        return display.dollars_rounded(row.held_pico)

    @column(description="Left")
    def left(self, row: BudgetWindow) -> str:
        return display.dollars_rounded(row.left_pico)

    @column(description="Billed beyond what was held")
    def overrun(self, row: BudgetWindow) -> str:
        return display.dollars_rounded(row.overrun_pico) if row.overrun_pico else "–"


@admin.register(Budget)
class BudgetAdmin(ModelAdmin):
    when_empty = (
        "A budget bounds what a client, a key, an end user, a tag or a provider spends in a day, a week or a month."
    )
    form = BudgetForm
    list_display = ("name", "whose", "limit", "used", "left", "rule")
    list_filter = ("scope", "period", "hard", "is_active")
    search_fields = ("name", "subject")
    actions_detail = ("raise_period",)
    list_per_page = 50
    conditional_fields: ClassVar = {
        **{scope.value: f"scope == '{scope.value}'" for scope in CHOSEN},
        "subject": "scope == 'end_user' || scope == 'tag'",
    }

    def get_fieldsets(self, request: HttpRequest, obj: Budget | None = None) -> Any:
        which = ["subject"] if obj else [*CHOSEN, "subject"]
        first = ["name", "scope", *which, "cap_pico", "period", "time_zone"]
        return (
            (None, {"fields": first if obj else [*first, "count_so_far"]}),
            ("What happens", {"fields": ["hard", "is_active"]}),
        )

    def get_inlines(self, request: HttpRequest, obj: Budget | None) -> list[Any]:
        return [WindowInline] if obj else []

    def get_readonly_fields(self, request: HttpRequest, obj: Budget | None = None) -> Any:
        return spending.FIXED if obj else ()

    def save_model(self, request: HttpRequest, obj: Budget, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's
        count_so_far = bool(form.cleaned_data.get("count_so_far")) and not change
        spending.save(obj, count_so_far=count_so_far, now=timezone.now())

    @column(description="For", ordering="scope")
    def whose(self, row: Budget) -> str:
        subject = row.subject
        if row.scope == Budget.Scope.KEY and (key := ApiKey.objects.filter(pk=subject).first()):
            subject = f"{key.prefix}…"
        return f"{row.get_scope_display()}: {subject}" if subject else row.get_scope_display()

    @column(description="Limit", ordering="cap_pico")
    def limit(self, row: Budget) -> str:
        period = "in all" if row.period == Budget.Period.TOTAL else f"a {row.period}"
        return f"{display.dollars_rounded(row.cap_pico)} {period}"

    @column(description="Used")
    def used(self, row: Budget) -> str:
        window = spending.running_window(row, timezone.now())
        room = window.cap_pico + window.raised_pico
        share = min(max((window.settled_pico + window.held_pico) / room, 0), 1) if room else 1
        tone = "#dc2626" if share >= 1 else "#d97706" if share >= 0.8 else "#16a34a"
        return format_html(
            '<span role="img" aria-label="{} percent used" style="display:inline-block;width:7rem;height:.5rem;'
            'border-radius:.25rem;background:#8884;overflow:hidden"><span style="display:block;height:100%;'
            'width:{}%;background:{}"></span></span> {}%',
            round(share * 100),
            round(share * 100),
            tone,
            round(share * 100),
        )

    @column(description="Left in this period")
    def left(self, row: Budget) -> str:
        return display.dollars_rounded(spending.running_window(row, timezone.now()).left_pico)

    @column(description="When it is used up")
    def rule(self, row: Budget) -> str:
        if not row.is_active:
            return display.label("Off", "default")
        return display.label("Calls are refused", "danger") if row.hard else display.label("Only counted", "info")

    @action(description="Raise this period", url_path="raise", icon="trending_up")
    def raise_period(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect("admin:usage_budget_raise", object_id)

    def get_urls(self) -> list[Any]:
        mine = path(
            "<uuid:budget_id>/raise-period/", self.admin_site.admin_view(self.raise_view), name="usage_budget_raise"
        )
        return [mine, *super().get_urls()]

    def raise_view(self, request: HttpRequest, budget_id: Any) -> HttpResponse:
        """A page with one field."""
        budget = get_object_or_404(Budget, pk=budget_id)
        form = RaiseForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                window = spending.raise_window(budget, amount_pico=form.cleaned_data["amount_pico"], now=timezone.now())
            except ValidationError as error:
                form.add_error("amount_pico", error.messages[0])
            else:
                self.log_change(
                    request, budget, f"Raised this period by {display.dollars(form.cleaned_data['amount_pico'])}."
                )
                messages.success(
                    request, f"{budget} has {display.dollars_rounded(window.left_pico)} left in this period."
                )
                return redirect(reverse("admin:usage_budget_change", args=[budget.pk]))
        window = spending.running_window(budget, timezone.now())
        context = {
            **self.admin_site.each_context(request),
            "title": f"Raise “{budget}” for this period",
            "form": form,
            "limit": display.dollars_rounded(window.cap_pico + window.raised_pico),
            "raised": display.dollars_rounded(window.raised_pico) if window.raised_pico else "",
            "left": display.dollars_rounded(window.left_pico),
            "back": reverse("admin:usage_budget_change", args=[budget.pk]),
        }
        return render(request, "admin/raise_budget.html", context)
