"""Budget periods in a time zone. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Period = Literal["day", "week", "month", "total"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def start_of(period: Period, moment: datetime, time_zone: ZoneInfo) -> datetime:
    """The first moment of the period around `moment`, in UTC; weeks begin on Monday, `total` began in 1970.

    Days may have 23 or 25 hours: the wall clock's midnight decides. Where midnight does not exist (a zone that goes
    forward at 0:00) it is the first moment that does; where it comes twice, the first of the two.
    """
    if period == "total":
        return EPOCH
    local = moment.astimezone(time_zone)
    day = local.date()
    if period == "week":
        day -= timedelta(days=local.weekday())
    elif period == "month":
        day = day.replace(day=1)
    return datetime(day.year, day.month, day.day, tzinfo=time_zone).astimezone(UTC)


def end_of(period: Period, start: datetime, time_zone: ZoneInfo) -> datetime | None:
    """The first moment after the period that begins at `start`; None for `total`."""
    if period == "total":
        return None
    ahead = {"day": timedelta(hours=36), "week": timedelta(days=7, hours=12), "month": timedelta(days=45)}[period]
    inside_next = start_of("day", start + ahead, time_zone)
    return start_of(period, inside_next, time_zone)
