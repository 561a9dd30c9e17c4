"""Budgets: how much may be spent by whom, how much is left, and a raise for the running period."""

from __future__ import annotations

from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.admin import TabularInline
from unfold.decorators import action
from unfold.decorators import display as column

from accounts.models import ApiKey
from core import display
from core.money import MOST_PICO, MOST_USD
from usage import spending
from usage.admin.budget_form import CHOSEN, BudgetForm, RaiseForm
from usage.admin.pages import InOurTimeZone
from usage.models import Budget, BudgetWindow


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
        if row.budget.period == Budget.Period.TOTAL:
            return "the beginning"
        return display.day(row.starts_at, ZoneInfo(row.budget.time_zone))

    @column(description="Limit")
    def limit(self, row: BudgetWindow) -> str:
        raised = f" + {display.dollars_rounded(row.raised_pico)} raised" if row.raised_pico else ""
        return display.dollars_rounded(row.cap_pico) + raised

    @column(description="Spent")
    def settled(self, row: BudgetWindow) -> str:
        spent = display.dollars_rounded(row.settled_pico)
        nearly_full = row.settled_pico > MOST_PICO * 9 // 10
        return display.two_lines(spent, f"what goes beyond ${MOST_USD:,} is not counted") if nearly_full else spent

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
class BudgetAdmin(InOurTimeZone):
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
        whose = ["whose"] if obj else ["scope", *CHOSEN, "subject"]
        limit = "limit" if obj and not self.has_change_permission(request, obj) else "cap_pico"
        first = ["name", *whose, limit, "period", "time_zone"]
        return (
            (None, {"fields": first if obj else [*first, "count_so_far"]}),
            ("What happens", {"fields": ["hard", "is_active"]}),
        )

    def get_inlines(self, request: HttpRequest, obj: Budget | None) -> list[Any]:
        return [WindowInline] if obj else []

    def get_readonly_fields(self, request: HttpRequest, obj: Budget | None = None) -> Any:
        return ("whose", *spending.FIXED) if obj else ()

    def save_model(self, request: HttpRequest, obj: Budget, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's
        count_so_far = bool(form.cleaned_data.get("count_so_far")) and not change
        spending.save(obj, count_so_far=count_so_far, now=timezone.now())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Budget]) -> None:
        for budget in queryset:
            budget.delete()

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

    @action(description="Raise this period", permissions=["change"], url_path="raise", icon="trending_up")
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
        if not self.has_change_permission(request, budget):
            raise PermissionDenied
        form = RaiseForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                window = spending.raise_window(budget, amount_pico=form.cleaned_data["amount_pico"], now=timezone.now())
            except ValidationError as error:
                form.add_error("amount_pico", error.messages[0])
            except Budget.DoesNotExist as error:  # deleted just now
                raise Http404 from error
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
