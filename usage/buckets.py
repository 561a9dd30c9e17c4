"""Hours, days, weeks and months of a time zone, as reports have them. Pure.

Every zone's day is a whole number of quarter-hours, so +05:45 and days of 23 or 25 hours come out right.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Literal

Bucket = Literal["hour", "day", "week", "month"]


def bucket_start(moment: datetime, bucket: Bucket, time_zone: tzinfo) -> datetime:
    """The first moment of the hour, day, week (from Monday) or month of `time_zone` in which `moment` lies."""
    local = moment.astimezone(time_zone)
    if bucket == "hour":
        return local.replace(minute=0, second=0, microsecond=0)
    day = local.date()
    if bucket == "week":
        day -= timedelta(days=day.weekday())
    elif bucket == "month":
        day = day.replace(day=1)
    return midnight(day, time_zone)


def midnight(day: date, time_zone: tzinfo) -> datetime:
    """When a day begins, also where the clocks skip midnight that night."""
    return datetime(day.year, day.month, day.day, tzinfo=time_zone).astimezone(UTC).astimezone(time_zone)


def next_bucket(starts_at: datetime, bucket: Bucket, time_zone: tzinfo) -> datetime:
    """When the following hour, day, week or month begins.

    Where clocks go back by half an hour (Lord Howe), an hour has 90 minutes: one step ends in it still, the next not.
    """
    begun, step = starts_at.astimezone(UTC), _INTO_NEXT[bucket]
    following = bucket_start(begun + step, bucket, time_zone)
    return following if following.astimezone(UTC) > begun else bucket_start(begun + 2 * step, bucket, time_zone)


def key(starts_at: datetime, bucket: Bucket) -> str:
    """`2025-11-21T14:00:00+05:45`, `2025-11-21`, `2025-W47` or `2025-11`, of a bucket's start in its zone."""
    return _KEYS[bucket](starts_at)


_INTO_NEXT: dict[Bucket, timedelta] = {
    "hour": timedelta(hours=1),
    "day": timedelta(hours=36),
    "week": timedelta(days=7, hours=12),
    "month": timedelta(days=40),
}
_KEYS: dict[Bucket, Callable[[datetime], str]] = {
    "hour": lambda at: at.isoformat(),
    "day": lambda at: f"{at:%Y-%m-%d}",
    "week": lambda at: f"{at:%G-W%V}",
    "month": lambda at: f"{at:%Y-%m}",
}
