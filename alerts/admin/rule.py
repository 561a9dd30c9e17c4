"""Alert rules, as sentences."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from unfold.decorators import display as column
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from alerts import rules
from alerts.admin.pages import severity
from alerts.measures import MEASURES, SCOPES
from alerts.models import Channel, Rule
from core import amounts, display
from usage.admin.pages import InOurTimeZone


class _LimitField(forms.DecimalField):
    default_error_messages: ClassVar = {"invalid": amounts.WANTED}

    def to_python(self, value: Any) -> Any:
        return super().to_python(amounts.plain_dollars(value) if isinstance(value, str) else value)


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only in the stubs
    measure = forms.ChoiceField(
        label="What is watched",
        choices=[(name, measure.label) for name, measure in MEASURES.items()],
        widget=UnfoldAdminSelectWidget,
    )
    scope = forms.ChoiceField(
        label="For",
        choices=list(SCOPES.items()),
        widget=UnfoldAdminSelectWidget,
        help_text="Each of them is watched apart, and has incidents of its own.",
    )
    limit = _LimitField(
        label="Limit",
        min_value=0,
        widget=UnfoldAdminTextInputWidget({"inputmode": "decimal", "class": "aip-short"}),
        help_text="Percent for shares and budgets, seconds for times, dollars for cost, calls, or days.",
    )

    class Meta:
        model = Rule
        fields = "__all__"  # noqa: DJ007 -- the admin's fieldsets say which

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "limit" in self.fields:
            self.initial["limit"] = display.plain(self.instance.limit)


class _SwitchForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only in the stubs
    """The list's switch: what is wrong with a rule's other fields is said of its row."""

    def add_error(self, field: str | None, error: Any) -> None:
        for name, found in getattr(error, "error_dict", {field: error}).items():
            super().add_error(name if name in self.fields else None, found)


@admin.register(Rule)
class RuleAdmin(InOurTimeZone):
    when_empty = "A rule says what is watched, and from which limit on somebody is told."
    form = RuleForm
    list_display = ("level", "rule", "state", "told", "is_active")
    list_display_links = ("rule",)
    list_editable: ClassVar = ("is_active",)
    list_filter = ("severity", "is_active")
    search_fields = ("name", "subject")
    list_before_template = "alerts/admin/rules.html"
    autocomplete_fields = ("channels",)
    list_per_page = 50
    readonly_fields = ("in_words",)
    fieldsets = (
        (None, {"fields": ("name", "in_words", "measure", "limit", ("scope", "subject"), "severity", "is_active")}),
        (
            "How sure it must be",
            {"fields": (("window_minutes", "minimum_calls"), "for_minutes")},
        ),
        (
            "Who is told, and when",
            {"fields": ("channels", "renotify_minutes", ("quiet_from", "quiet_until"), "time_zone")},
        ),
    )

    def get_changelist_form(self, request: HttpRequest, **options: Any) -> Any:
        return super().get_changelist_form(request, form=_SwitchForm, **options)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rule]:
        rows: QuerySet[Rule] = super().get_queryset(request)
        live = Q(incidents__state__in=[rules.OPEN, rules.ACKNOWLEDGED, rules.SILENCED])
        return rows.annotate(live=Count("incidents", filter=live)).prefetch_related("channels")

    @column(description="How bad", ordering="severity")
    def level(self, row: Rule) -> str:
        return severity(row.severity, row.get_severity_display())

    @column(description="Rule", ordering="name")
    def rule(self, row: Rule) -> str:
        return display.two_lines(row.name, row.in_words)

    @column(description="In words")
    def in_words(self, row: Rule) -> str:
        """As it is stored: of what a form has just refused there may be no sentence."""
        stored = Rule.objects.filter(pk=row.pk).first()
        return stored.in_words if stored is not None else "Save it to see it in words."

    @column(description="Now")
    def state(self, row: Any) -> str:
        if not row.is_active:
            return display.label("Off", "default")
        if not row.live:
            return display.label("All well", "success")
        url = reverse("admin:alerts_incident_changelist")
        return display.link(f"{url}?state=now", f"{row.live} open incident{'' if row.live == 1 else 's'}")

    @column(description="Told to")
    def told(self, row: Rule) -> str:
        own = ", ".join(channel.name for channel in row.channels.all())
        return own or "All alert channels"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        nobody = not Channel.objects.filter(is_active=True, gets_alerts=True).exists()
        return super().changelist_view(request, {**(extra_context or {}), "nobody_is_told": nobody})
