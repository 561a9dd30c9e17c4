"""The ledger's rows as CSV, a page at a time: memory and the database's patience stay the same at any size.

Pages start after a key, so no cursor and no connection is held while a slow reader reads. Cells of text that a
spreadsheet would take for a formula are led by an apostrophe, and so are text to it; numbers are ours and stay numbers.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from typing import Any
from uuid import UUID

import msgspec
from django.db.models import QuerySet

from core.money import usd_text
from usage.models import UsageRecord

PAGE_ROWS = 2_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the wide forms count too
# The header -> the model's field; named as in the view `report_usage`.
_COLUMNS = {
    "id": "id",
    "request_id": "request_id",
    "started_at": "started_at",
    "ended_at": "ended_at",
    "client": "client",
    "key": "key_prefix",
    "end_user": "end_user",
    "tags": "tags",
    "door": "surface",
    "streamed": "stream",
    "requested_model": "requested_model",
    "provider": "provider",
    "model": "deployment",
    "served_model": "served_model",
    "provider_key": "credential",
    "attempt": "attempt",
    "kind": "kind",
    "adjusts_id": "adjusts_id",
    "reason": "reason",
    "author": "author",
    "is_final": "is_final",
    "status": "status",
    "error_code": "error_code",
    "error_detail": "error_detail",
    "evidence": "evidence",
    "input_tokens": "input_tokens",
    "cached_input_tokens": "cached_input_tokens",
    "cache_write_5m_tokens": "cache_write_5m_tokens",
    "cache_write_1h_tokens": "cache_write_1h_tokens",
    "audio_input_tokens": "audio_input_tokens",
    "image_input_tokens": "image_input_tokens",
    "output_tokens": "output_tokens",
    "reasoning_tokens": "reasoning_tokens",
    "audio_output_tokens": "audio_output_tokens",
    "image_output_tokens": "image_output_tokens",
    "cost_usd": "cost_pico",
    "input_cost_usd": "input_cost_pico",
    "output_cost_usd": "output_cost_pico",
    "request_cost_usd": "request_cost_pico",
    "latency_ms": "latency_ms",
    "first_token_ms": "first_token_ms",
    "overhead_ms": "overhead_ms",
    "cache_savings_usd": "saved_pico",
}
_MONEY = {place for place, name in enumerate(_COLUMNS.values()) if name.endswith("_pico")}


class Page(msgspec.Struct, frozen=True):
    """Some lines, and the key to go on after; None: these were the last."""

    text: str
    last: UUID | None


def header() -> str:
    return _text([list(_COLUMNS)])


def page(rows: QuerySet[UsageRecord], *, after: UUID | None, time_zone: tzinfo) -> Page:
    """The next lines of `rows`, oldest first."""
    found = rows.order_by("id").values_list(*_COLUMNS.values())
    taken = list((found if after is None else found.filter(id__gt=after))[:PAGE_ROWS])
    lines = ([_shown(place, value, time_zone) for place, value in enumerate(row)] for row in taken)
    return Page(text=_text(lines), last=taken[-1][0] if len(taken) == PAGE_ROWS else None)


def table(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A small table as CSV."""
    return _text([names, *([cell(value) for value in row] for row in rows)])


def cell(value: Any) -> Any:
    """What a spreadsheet may see: a text that it would take for a formula is made one that it does not."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _shown(place: int, value: Any, time_zone: tzinfo) -> Any:
    if value is None:
        return ""
    if place in _MONEY:
        return usd_text(value)
    if isinstance(value, datetime):
        return value.astimezone(time_zone).isoformat()
    return cell(msgspec.json.encode(value).decode() if isinstance(value, dict) else value)


def _text(lines: Iterable[Iterable[Any]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(lines)
    return buffer.getvalue()
