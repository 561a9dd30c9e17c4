"""The page on which people read who changed what."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import AllValuesCheckboxFilter, ChoicesDropdownFilter, RangeDateFilter
from unfold.decorators import display as column
from unfold.paginator import InfinitePaginator

from accounts.models import AuditEntry
from core import display
from core.display import Tone

_TONES: dict[str, Tone] = {
    AuditEntry.Action.ADDED: "success",
    AuditEntry.Action.CHANGED: "info",
    AuditEntry.Action.DELETED: "danger",
    AuditEntry.Action.REFUSED: "warning",
}
_MOST_IN_LIST = 3  # changes of a row; its own page has them all


@admin.register(AuditEntry)
class AuditEntryAdmin(ModelAdmin):
    """To read, never to write: the database itself refuses."""

    when_empty = "Whatever somebody changes here or through the management API is listed on this page."
    actions = None
    paginator = InfinitePaginator  # no COUNT(*) over a table that only grows
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_filter_submit = True
    list_display = ("when", "who", "what", "thing", "summary")
    list_filter = (
        ("at", RangeDateFilter),
        ("action", ChoicesDropdownFilter),
        ("actor_kind", ChoicesDropdownFilter),
        ("object_type", AllValuesCheckboxFilter),
    )
    search_fields = ("actor", "object_name", "=object_id", "=request_id")
    fields = readonly_fields = ("when", "who", "what", "thing", "object_id", "all_changes", "request_id")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @column(description="When", ordering="id")
    def when(self, row: AuditEntry) -> str:
        return display.minute(row.at)

    @column(description="Who", ordering="actor")
    def who(self, row: AuditEntry) -> str:
        return display.two_lines(row.actor, row.get_actor_kind_display())

    @column(description="Did", ordering="action")
    def what(self, row: AuditEntry) -> str:
        return display.label(row.get_action_display(), _TONES[row.action])

    @column(description="To what", ordering="object_name")
    def thing(self, row: AuditEntry) -> str:
        return display.two_lines(row.object_name, row.object_type)

    @column(description="Changes")
    def summary(self, row: AuditEntry) -> str:
        more = len(row.changes) - _MOST_IN_LIST
        return _lines([_sentence(each) for each in row.changes[:_MOST_IN_LIST]] + [f"and {more} more"] * (more > 0))

    @column(description="Changes")
    def all_changes(self, row: AuditEntry) -> str:
        return _lines([_sentence(each) for each in row.changes])


def _lines(sentences: list[str]) -> SafeString:
    return format_html_join("", "<div>{}</div>", ((each,) for each in sentences))


def _sentence(change: dict[str, Any]) -> str:
    """`priority: 10 → 20`; money in dollars; for a secret only that it was changed."""
    name = change["field"]
    label = name.removesuffix("_pico").removesuffix("_at").replace("_", " ")
    before, after = (_value(name, change[each]) for each in ("before", "after"))
    if before == after:
        return f"{label}: changed"
    return f"{label}: {before} → {after}" if change["before"] is not None else f"{label}: {after}"


def _value(name: str, value: Any) -> str:
    if value is None or value == "":
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return display.dollars(value) if name.endswith("_pico") else str(value)
