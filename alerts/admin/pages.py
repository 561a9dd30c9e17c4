"""What these pages share."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Manager, Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from unfold.admin import TabularInline

from alerts.models import Attempt, Delivery
from core import display
from core.display import Tone

RowT = TypeVar("RowT", bound=Model)

SEVERITY_TONES: dict[str, Tone] = {"critical": "danger", "warning": "warning", "info": "info"}
DELIVERY_TONES: dict[str, Tone] = {"delivered": "success", "failed": "danger", "sending": "info", "waiting": "warning"}


class ReadOnlyInline(TabularInline):
    extra = max_num = 0
    per_page = 20
    can_delete = False
    hide_title = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class DeliveryInline(ReadOnlyInline):
    """Who was told, and whether it arrived."""

    model = Delivery
    fields = readonly_fields = ("told", "channel_name", "status", "when")
    ordering = ("-id",)
    show_change_link = True
    verbose_name_plural = "Who was told"

    def told(self, row: Delivery) -> str:
        return row.get_kind_display()

    def status(self, row: Delivery) -> str:
        return delivery_state(row)

    def when(self, row: Delivery) -> str:
        return display.minute(row.delivered_at or row.created_at)


class AttemptInline(ReadOnlyInline):
    """Every try."""

    model = Attempt
    fields = readonly_fields = ("when", "result", "took")
    verbose_name_plural = "Tries"

    def when(self, row: Attempt) -> str:
        return display.minute(row.at)

    def result(self, row: Attempt) -> str:
        return display.label(row.detail, "success" if row.ok else "danger")

    def took(self, row: Attempt) -> str:
        return display.milliseconds(row.took_ms)


def delivery_state(row: Delivery) -> str:
    shown = display.label(row.get_state_display(), DELIVERY_TONES[row.state], title=row.last_error)
    return display.two_lines(shown, row.last_error) if row.last_error else shown


def severity(value: str, text: str) -> str:
    return display.label(text, SEVERITY_TONES[value])


def ago(moment: datetime | None) -> str:
    return display.ago(moment, now=timezone.now())


def named(rows: Manager[RowT], object_id: str) -> QuerySet[RowT]:
    """The row that a page's address names; none where somebody wrote there what is no id."""
    try:
        return rows.filter(pk=UUID(object_id))
    except ValueError:
        return rows.none()


def only_post(request: HttpRequest) -> HttpResponse | None:
    """The refusal of a request that is not a POST: following a link changes nothing."""
    return None if request.method == "POST" else HttpResponseNotAllowed(["POST"])


def back(request: HttpRequest, otherwise: str) -> HttpResponse:
    """To the page where the button was."""
    came_from = request.headers.get("Referer", "")
    safe = url_has_allowed_host_and_scheme(came_from, {request.get_host()})
    return HttpResponseRedirect(came_from if safe else otherwise)
