"""Narrow sums of usage records, folded in the very transaction that writes the records: they never lag.

By quarter-hour (every time zone's day is a whole number of them) and by day of the installation's zone. Rows are
written in sorted order, so that two processes never wait for each other in a circle; a small shard number keeps many
hosts from queueing on one hot row.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from django.conf import settings

from usage.rows import RecordRow
from usage.sql import Cursor

SHARDS = 4
_QUARTER_S = 900

FIGURES = (
    "calls",
    "errors",
    "refused",
    "cancelled",
    "cached",
    "answered",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_pico",
    "known_cost_rows",
    "unknown_cost_rows",
    "saved_pico",
    "latency_us",
)
Key = tuple[Any, ...]
Sums = dict[Key, list[int]]


class Rollup(msgspec.Struct, frozen=True):
    """A table of sums: its dimensions (time first, shard last) and where a record belongs in it."""

    table: str
    dimensions: tuple[str, ...]
    key: Callable[[RecordRow, ZoneInfo], Key]


def quarter_of(moment: datetime) -> datetime:
    """The beginning of the quarter-hour, in UTC."""
    unix_s = int(moment.timestamp())
    return datetime.fromtimestamp(unix_s - unix_s % _QUARTER_S, UTC)


def _kind_of(row: RecordRow) -> Key:
    return row.client, row.provider, row.deployment, row.surface, row.status, row.evidence


def _day(row: RecordRow, zone: ZoneInfo) -> str:
    return _day_of(quarter_of(row.started_at), zone)


@functools.lru_cache(maxsize=256)
def _day_of(quarter: datetime, zone: ZoneInfo) -> str:
    """Every zone's day is a whole number of quarters."""
    return quarter.astimezone(zone).date().isoformat()


_BY_KIND = ("client", "provider", "deployment", "surface", "status", "evidence", "shard")
ROLLUPS = (
    Rollup("usage_quarter", ("starts_at", *_BY_KIND), lambda row, _: (quarter_of(row.started_at), *_kind_of(row))),
    Rollup("usage_day", ("day", *_BY_KIND), lambda row, zone: (_day(row, zone), *_kind_of(row))),
    Rollup(
        "usage_userday",
        ("day", "client", "end_user", "shard"),
        lambda row, zone: (_day(row, zone), row.client, row.end_user),
    ),
    Rollup(
        "usage_keyday",
        ("day", "client", "key_prefix", "shard"),
        lambda row, zone: (_day(row, zone), row.client, row.key_prefix),
    ),
)


def fold(cursor: Cursor, records: Sequence[RecordRow], *, shard: int) -> None:
    """Add `records`, which are new, to all rollups."""
    zone = installation_zone()
    added = [(row, figures(row)) for row in records]
    for rollup in ROLLUPS:
        sums: Sums = {}
        for row, values in added:
            _add(sums, (*rollup.key(row, zone), shard), values)
        upsert = _upsert_sql(rollup)
        cursor.executemany(upsert, [(*key, *sums[key]) for key in sorted(sums)])


def figures(row: RecordRow) -> tuple[int, ...]:
    """What one record adds, in the order of `FIGURES`. An adjustment adds tokens and money, but no call."""
    call = row.is_final and row.kind == "call"
    status = row.status if call else ""
    answered = status == "ok" and row.latency_ms is not None
    return (
        int(call),
        int(status in ("error", "interrupted")),
        int(status == "refused"),
        int(status == "cancelled"),
        int(status == "cached"),
        int(answered),
        row.input_tokens,
        row.cached_input_tokens,
        row.output_tokens,
        row.reasoning_tokens,
        row.cost_pico or 0,
        int(row.cost_pico is not None),
        int(row.cost_pico is None and row.kind == "call" and row.evidence != "none") - int(row.prices_unknown),
        row.saved_pico or 0,
        int((row.latency_ms or 0.0) * 1000) if answered else 0,  # cut off, as `usage.recompute` does in SQL
    )


def _add(sums: Sums, key: Key, added: Iterable[int]) -> None:
    found = sums.get(key)
    if found is None:
        sums[key] = list(added)
    else:
        for index, value in enumerate(added):
            found[index] += value


def installation_zone() -> ZoneInfo:
    """Whose days the day rollups are. After a change of TIME_ZONE: `manage.py rebuildrollups`."""
    return ZoneInfo(settings.TIME_ZONE)


@functools.cache
def _upsert_sql(rollup: Rollup) -> str:
    columns = (*rollup.dimensions, *FIGURES)
    added = ", ".join(f"{name} = {rollup.table}.{name} + EXCLUDED.{name}" for name in FIGURES)
    places = ", ".join(["%s"] * len(columns))
    return (
        f"INSERT INTO {rollup.table} ({', '.join(columns)}) VALUES ({places}) "  # noqa: S608 - our own names
        f"ON CONFLICT ({', '.join(rollup.dimensions)}) DO UPDATE SET {added}"
    )
