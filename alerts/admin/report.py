"""Reports: which go to whom and when, and what they look like."""

from __future__ import annotations

import base64
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from unfold.decorators import action
from unfold.decorators import display as column

from alerts import outbox
from alerts.admin.pages import DeliveryInline, back, only_post
from alerts.channels import Message
from alerts.models import Delivery, ReportSchedule
from alerts.reports import schedules, writing
from core import display
from usage.admin.pages import InOurTimeZone


@admin.register(ReportSchedule)
class ReportAdmin(InOurTimeZone):
    when_empty = "No report is sent yet. Add one: what was spent and used, by e-mail, every day, week or month."
    list_display = ("report", "about", "told", "next_one", "is_active", "preview_link")
    list_filter = ("period", "is_active")
    search_fields = ("name", "client")
    autocomplete_fields = ("channels",)
    actions_detail = ("preview", "send")
    fieldsets = (
        (None, {"fields": ("name", "client", "channels")}),
        ("When", {"fields": ("period", "send_at", "time_zone", "is_active")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReportSchedule]:
        rows: QuerySet[ReportSchedule] = super().get_queryset(request)
        return rows.prefetch_related("channels")

    def get_inlines(self, request: HttpRequest, obj: ReportSchedule | None) -> list[Any]:
        return [DeliveryInline] if obj else []

    @column(description="Report", ordering="name")
    def report(self, row: ReportSchedule) -> str:
        return display.two_lines(row.name, row.get_period_display())

    @column(description="About", ordering="client")
    def about(self, row: ReportSchedule) -> str:
        return row.client or "All clients"

    @column(description="Goes to")
    def told(self, row: ReportSchedule) -> str:
        return ", ".join(channel.name for channel in row.channels.all()) or display.label("nobody", "warning")

    @column(description="Next")
    def next_one(self, row: ReportSchedule) -> str:
        return display.minute(schedules.next_due(row, now=timezone.now())) if row.is_active else "–"

    @column(description="")
    def preview_link(self, row: ReportSchedule) -> str:
        return display.link(reverse("admin:alerts_reportschedule_page", args=[row.pk]), "Preview")

    # --- actions --------------------------------------------------------------------------------------------------

    @action(description="Preview", permissions=["view"], icon="visibility")
    def preview(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.preview_page(request, object_id)

    @action(description="Send it now", permissions=["change"], icon="send", attrs={"data-post": ""})
    def send(self, request: HttpRequest, object_id: str) -> HttpResponse:
        schedule = self.get_object(request, object_id)
        refused = only_post(request)
        if refused is not None or schedule is None:
            return refused or back(request, reverse("admin:alerts_reportschedule_changelist"))
        now = timezone.now()
        span = schedules.last_span(schedule, now=now)
        sent = schedules.queue(schedule, span, now=now, again=f":{now:%Y%m%dT%H%M%S%f}")
        for delivery in sent:
            _tell(request, outbox.send_now(delivery, now=timezone.now()))
        if not sent:
            messages.warning(request, f"{schedule} has no active channel: nobody got it.")
        return back(request, reverse("admin:alerts_reportschedule_changelist"))

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("<uuid:key>/page/", view(self.preview_page), name="alerts_reportschedule_page"),
            path("<uuid:key>/csv/", view(self.csv), name="alerts_reportschedule_csv"),
            *super().get_urls(),
        ]

    def preview_page(self, request: HttpRequest, key: UUID | str) -> HttpResponse:
        """The newest whole period's e-mail, as mail programs show it."""
        schedule = self._viewed(request, key)
        message = _message(schedule)
        context = {
            **self.admin_site.each_context(request),
            "title": message.subject,
            "schedule": schedule,
            "html": _with_images(message),
            "text": message.text,
            "told": ", ".join(channel.name for channel in schedule.channels.all()),
            "next": display.minute(schedules.next_due(schedule, now=timezone.now())),
            "csv_url": reverse("admin:alerts_reportschedule_csv", args=[key]),
            "change_url": reverse("admin:alerts_reportschedule_change", args=[key]),
        }
        return TemplateResponse(request, "alerts/admin/preview.html", context)

    def csv(self, request: HttpRequest, key: UUID) -> HttpResponse:
        """The file that would be attached."""
        [file] = _message(self._viewed(request, key)).files
        answer = HttpResponse(file.content, content_type=file.mime_type)
        answer["Content-Disposition"] = f'attachment; filename="{file.name}"'
        return answer

    def _viewed(self, request: HttpRequest, key: UUID | str) -> ReportSchedule:
        schedule: ReportSchedule | None = self.get_object(request, str(key))
        if schedule is None or not self.has_view_permission(request, schedule):
            raise Http404
        return schedule


def _message(schedule: ReportSchedule) -> Message:
    facts = writing.facts(schedule, schedules.last_span(schedule, now=timezone.now()))
    return writing.message_of(facts, message_id="preview", subject=writing.subject(facts))


def _with_images(message: Message) -> str:
    html = message.html
    for image in message.images:
        html = html.replace(f"cid:{image.name}", f"data:image/png;base64,{base64.b64encode(image.png).decode()}")
    return html


def _tell(request: HttpRequest, sent: Delivery) -> None:
    if sent.state == Delivery.State.DELIVERED:
        messages.success(request, f"Sent to {sent.channel_name}.")
    else:
        url = reverse("admin:alerts_delivery_change", args=[sent.pk])
        messages.error(request, display.with_link(f"{sent.channel_name}: {sent.last_error}", url, "See the delivery"))
