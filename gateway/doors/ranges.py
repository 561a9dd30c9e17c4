"""`start_date`, `end_date` and `user_id` of a query, as specifications B and E write them."""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo
from urllib.parse import parse_qs

import msgspec
from django.utils import timezone

from gateway.http import Exchange
from usage.models.calls import MAX_END_USER_CHARS
from usage.queries import midnight
from wire.errors import invalid

_DAYS = 30
_MOST_DAYS = 3_660
_FIRST, _LAST = date(1971, 1, 1), date(9998, 12, 31)  # what keys of the books can say


class Range(msgspec.Struct, frozen=True):
    """`start <= time < end`, whole days of the installation's zone.

    `user_id` is as the books have it; None: everybody.
    """

    start: datetime
    end: datetime
    time_zone: tzinfo
    user_id: str | None


def asked_range(exchange: Exchange) -> Range:
    """The last thirty days unless the query says otherwise. Raises `ApiError` INVALID_REQUEST, naming the field."""
    query: bytes = exchange.scope["query_string"]
    said = {name: values[-1] for name, values in parse_qs(query.decode("latin-1"), keep_blank_values=True).items()}
    zone = timezone.get_default_timezone()
    last = _day(said, "end_date") or timezone.localdate(timezone=zone)
    first = _day(said, "start_date") or last - timedelta(days=_DAYS - 1)
    if not timedelta(0) <= last - first < timedelta(days=_MOST_DAYS):
        raise invalid(
            f"'start_date' must not be after 'end_date', nor {_MOST_DAYS:,} days or more before it.", param="start_date"
        )
    return Range(midnight(first, zone), midnight(last + timedelta(days=1), zone), zone, _user_id(said))


def _user_id(said: dict[str, str]) -> str | None:
    text = said.get("user_id")
    if text is None:
        return None
    if not text or "\0" in text:
        raise invalid(
            "'user_id' must be a text without NUL, and not empty: without it, everybody's is told.", param="user_id"
        )
    return text[:MAX_END_USER_CHARS]


def _day(said: dict[str, str], name: str) -> date | None:
    text = said.get(name)
    if not text:
        return None
    try:
        day = date.fromisoformat(text[:10])
    except ValueError:
        raise invalid(f"'{name}' must be a day, for example 2026-01-31.", param=name) from None
    if not _FIRST <= day <= _LAST:
        raise invalid(f"'{name}' must be a day from {_FIRST} to {_LAST}.", param=name)
    return day
