"""Deliveries: every message, and every try to bring it."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import action
from unfold.decorators import display as column

from accounts.admin_read_only import ReadOnlyAdmin
from alerts import outbox
from alerts.admin.pages import AttemptInline, ago, back, delivery_state, named, only_post
from alerts.models import Delivery
from core import display


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    when_empty = "Nothing has been sent yet. Press Test on a channel to try it."
    list_display = ("message", "channel_name", "status", "created", "delivered")
    list_filter = ("state", "kind")
    search_fields = ("subject", "channel_name")
    actions = ("again_all",)
    actions_detail = ("again",)
    inlines = (AttemptInline,)
    fieldsets = (
        (None, {"fields": ("subject", "kind", "channel_name", "status", "created", "delivered", "next_try")}),
        ("What it is about", {"fields": ("incident", "schedule")}),
    )
    readonly_fields = ("status", "created", "delivered", "next_try")

    @column(description="Message", ordering="subject")
    def message(self, row: Delivery) -> str:
        return display.two_lines(row.subject, row.get_kind_display())

    @column(description="State", ordering="state")
    def status(self, row: Delivery) -> str:
        return delivery_state(row)

    @column(description="Made", ordering="created_at")
    def created(self, row: Delivery) -> str:
        return display.two_lines(ago(row.created_at), display.minute(row.created_at))

    @column(description="Arrived", ordering="delivered_at")
    def delivered(self, row: Delivery) -> str:
        return display.minute(row.delivered_at) if row.delivered_at else "not yet"

    @column(description="Next try")
    def next_try(self, row: Delivery) -> str:
        if row.state not in (Delivery.State.WAITING, Delivery.State.SENDING):
            return "–"
        return display.minute(max(row.due_at, row.retry_at or row.due_at))

    def has_resend_permission(self, request: HttpRequest, _key: str = "") -> bool:
        allowed: bool = request.user.has_perm("alerts.change_delivery")
        return allowed

    @action(description="Send again", permissions=["resend"], icon="replay", attrs={"data-post": ""})
    def again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return only_post(request) or self._again(request, named(Delivery.objects, object_id))

    @admin.action(description="Send again what was given up", permissions=["resend"])
    def again_all(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        self._again(request, queryset)

    def _again(self, request: HttpRequest, rows: QuerySet[Delivery]) -> HttpResponse:
        count = outbox.send_again(rows, now=timezone.now())
        if count:
            messages.success(request, f"{count} message{'' if count == 1 else 's'} will be sent within a minute.")
        else:
            messages.warning(request, "Only messages that were given up can be sent again.")
        return back(request, reverse("admin:alerts_delivery_changelist"))
