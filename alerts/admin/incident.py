"""Incidents: what is wrong, since when, and who takes care of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import action
from unfold.decorators import display as column

from accounts.admin_read_only import ReadOnlyAdmin
from alerts import operations, rules, wording
from alerts.admin.pages import DeliveryInline, ago, back, named, only_post, severity
from alerts.measures import MEASURES
from alerts.models import Incident
from core import display
from core.display import Tone

_TONES: dict[str, Tone] = {"open": "danger", "acknowledged": "info", "silenced": "default", "resolved": "success"}
_POST = {"data-post": ""}


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("now", "Not over yet"), *((str(value), str(text)) for value, text in Incident.State.choices)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Incident]) -> QuerySet[Incident]:
        """Those that are only watched appear where they are asked for."""
        if self.value() == "now":
            return queryset.exclude(state__in=[rules.RESOLVED, rules.PENDING])
        return queryset.filter(state=self.value()) if self.value() else queryset.exclude(state=rules.PENDING)


@admin.register(Incident)
class IncidentAdmin(ReadOnlyAdmin):
    when_empty = (
        "Nothing is wrong, and nothing has been. "
        "When a rule's limit is crossed, it appears here, and the channels are told."
    )
    list_display = ("level", "what", "status", "began", "lasted")
    list_display_links = ("what",)
    list_filter = (StateFilter, "severity")
    show_full_result_count = False  # it would count those that are only watched
    search_fields = ("title", "subject", "message")
    actions = ("acknowledge_all", "silence_all")
    actions_detail = ("acknowledge", "silence_hour", "silence_day")
    inlines = (DeliveryInline,)
    fieldsets = (
        (None, {"fields": ("level", "message", "status", "began", "lasted", "peak")}),
        ("What watches for it", {"fields": ("rule", "handled_by")}),
    )
    readonly_fields = ("level", "status", "began", "lasted", "peak")

    @column(description="How bad", ordering="severity")
    def level(self, row: Incident) -> str:
        return severity(row.severity, row.get_severity_display())

    @column(description="What")
    def what(self, row: Incident) -> str:
        return display.two_lines(row.title, row.message)

    @column(description="State", ordering="state")
    def status(self, row: Incident) -> str:
        shown = display.label(row.get_state_display(), _TONES.get(row.state, "warning"))
        if row.state == rules.SILENCED and row.silenced_until:
            return display.two_lines(shown, f"until {display.minute(row.silenced_until)}")
        if row.unjudged:
            return display.two_lines(shown, row.unjudged)
        return display.two_lines(shown, f"by {row.handled_by}") if row.handled_by else shown

    @column(description="Since", ordering="since")
    def began(self, row: Incident) -> str:
        return display.two_lines(ago(row.since), display.minute(row.since))

    @column(description="Lasted")
    def lasted(self, row: Incident) -> str:
        minutes = ((row.resolved_at or timezone.now()) - row.since) // timedelta(minutes=1)
        hours, minutes = divmod(minutes, 60)
        return f"{hours} h {minutes} min" if hours else f"{minutes} min"

    @column(description="At its worst")
    def peak(self, row: Incident) -> str:
        measure = MEASURES.get(row.measure)
        return wording.amount(row.worst, measure.unit) if measure and measure.has_limit else "–"

    def has_handle_permission(self, request: HttpRequest, _key: str = "") -> bool:
        allowed: bool = request.user.has_perm("alerts.change_incident")
        return allowed

    @action(description="Acknowledge", permissions=["handle"], icon="check", attrs=_POST)
    def acknowledge(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return only_post(request) or self._acknowledge(request, named(Incident.objects, object_id))

    @action(description="Silence for an hour", permissions=["handle"], icon="notifications_paused", attrs=_POST)
    def silence_hour(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return only_post(request) or self._silence(request, named(Incident.objects, object_id), timedelta(hours=1))

    @action(description="Silence for a day", permissions=["handle"], icon="notifications_paused", attrs=_POST)
    def silence_day(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return only_post(request) or self._silence(request, named(Incident.objects, object_id), timedelta(days=1))

    @admin.action(description="Acknowledge", permissions=["handle"])
    def acknowledge_all(self, request: HttpRequest, queryset: QuerySet[Incident]) -> None:
        self._acknowledge(request, queryset)

    @admin.action(description="Silence for a day", permissions=["handle"])
    def silence_all(self, request: HttpRequest, queryset: QuerySet[Incident]) -> None:
        self._silence(request, queryset, timedelta(days=1))

    def _acknowledge(self, request: HttpRequest, rows: QuerySet[Incident]) -> HttpResponse:
        for row in rows:
            if operations.acknowledge(row, by=request.user.get_username()):
                self.log_change(request, row, "Acknowledged.")
                messages.success(request, f"{row}: acknowledged. There will be no reminders.")
            else:
                messages.warning(request, f"{row} is {row.get_state_display().lower()} already.")
        return back(request, reverse("admin:alerts_incident_changelist"))

    def _silence(self, request: HttpRequest, rows: QuerySet[Incident], length: timedelta) -> HttpResponse:
        until = timezone.now() + length
        for row in rows:
            if operations.silence(row, until=until, by=request.user.get_username()):
                self.log_change(request, row, f"Silenced until {until:%-d %b %Y, %H:%M} UTC.")
                messages.success(request, f"{row}: silent until {display.minute(until)}.")
            else:
                messages.warning(request, f"{row} is over.")
        return back(request, reverse("admin:alerts_incident_changelist"))
