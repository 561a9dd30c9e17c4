"""The page on which people read who changed what."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from unfold.contrib.filters.admin import AllValuesCheckboxFilter, ChoicesDropdownFilter, RangeDateFilter
from unfold.decorators import display as column

from accounts.admin_read_only import GrowingTableAdmin
from accounts.models import AuditEntry
from core import display
from core.display import Tone

_TONES: dict[str, Tone] = {
    AuditEntry.Action.ADDED: "success",
    AuditEntry.Action.CHANGED: "info",
    AuditEntry.Action.DELETED: "danger",
    AuditEntry.Action.REFUSED: "warning",
}
_AMOUNT = re.compile(r"-?\d+\.\d+|-?\d(\.\d+)?E-\d+")  # 0 with ten decimals is written 0E-10
_TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?\+\d\d:\d\d")
_LONGEST_IN_LIST = 90  # characters of a change there
_MOST_IN_LIST = 3  # changes of a row; its own page has them all


@admin.register(AuditEntry)
class AuditEntryAdmin(GrowingTableAdmin):
    """To read, never to write: the database itself refuses."""

    when_empty = "Whatever somebody changes here or through the management API is listed on this page."
    list_display = ("when", "who", "what", "thing", "summary")
    list_filter = (
        ("at", RangeDateFilter),
        ("action", ChoicesDropdownFilter),
        ("actor_kind", ChoicesDropdownFilter),
        ("object_type", AllValuesCheckboxFilter),
    )
    search_fields = ("actor", "object_name", "=object_id", "=request_id")
    fields = readonly_fields = ("when", "who", "what", "thing", "object_id", "all_changes", "request_id")

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
        first = [Truncator(_sentence(each)).chars(_LONGEST_IN_LIST) for each in row.changes[:_MOST_IN_LIST]]
        return _lines(first + [f"and {more} more"] * (more > 0))

    @column(description="Changes")
    def all_changes(self, row: AuditEntry) -> str:
        return _lines([_sentence(each) for each in row.changes])


def _lines(sentences: list[str]) -> SafeString:
    """One below the other, and one cell on a phone too."""
    return format_html("<div>{}</div>", format_html_join("", "<div>{}</div>", ((each,) for each in sentences)))


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
    if name.endswith("_pico"):
        return display.dollars(value)
    return _readable(value) if isinstance(value, str) else str(value)


def _readable(text: str) -> str:
    """Times by the reader's clock, and amounts without the zeros that fill their columns."""
    if _AMOUNT.fullmatch(text):
        return display.plain(Decimal(text))
    return display.minute(datetime.fromisoformat(text)) if _TIME.fullmatch(text) else text
