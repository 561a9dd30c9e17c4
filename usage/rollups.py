"""Narrow sums of usage records, folded in the very transaction that writes the records: they never lag.

By quarter-hour (every time zone's day is a whole number of them) and by day of the installation's zone. Rows are
written in sorted order, so that two processes never wait for each other in a circle; a small shard number keeps many
hosts from queueing on one hot row.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from operator import add, attrgetter
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from django.conf import settings

from usage.rows import RecordRow
from usage.sql import Insert

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
Sums = tuple[int, ...]


class Group(NamedTuple):
    """What a rollup, or a figure, can tell records apart by. `quarter` is when their quarter-hour began."""

    quarter: datetime
    client: str
    provider: str
    deployment: str
    surface: str
    status: str
    evidence: str
    end_user: str
    key_prefix: str
    kind: str
    is_final: bool


class Rollup(msgspec.Struct, frozen=True):
    """A table of sums: its dimensions (time first, shard last) and where a group of records belongs in it."""

    table: str
    dimensions: tuple[str, ...]
    key: Callable[[Group, ZoneInfo], Key]


def quarter_of(moment: datetime) -> datetime:
    """The beginning of the quarter-hour, in UTC."""
    unix_s = int(moment.timestamp())
    return datetime.fromtimestamp(unix_s - unix_s % _QUARTER_S, UTC)


def _kind_of(group: Group) -> Key:
    return group[1:7]


@functools.lru_cache(maxsize=256)
def _day_of(quarter: datetime, zone: ZoneInfo) -> str:
    """Every zone's day is a whole number of quarters."""
    return quarter.astimezone(zone).date().isoformat()


_BY_KIND = ("client", "provider", "deployment", "surface", "status", "evidence", "shard")
ROLLUPS = (
    Rollup("usage_quarter", ("starts_at", *_BY_KIND), lambda group, _: (group.quarter, *_kind_of(group))),
    Rollup("usage_day", ("day", *_BY_KIND), lambda group, zone: (_day_of(group.quarter, zone), *_kind_of(group))),
    Rollup(
        "usage_userday",
        ("day", "client", "end_user", "shard"),
        lambda group, zone: (_day_of(group.quarter, zone), group.client, group.end_user),
    ),
    Rollup(
        "usage_keyday",
        ("day", "client", "key_prefix", "shard"),
        lambda group, zone: (_day_of(group.quarter, zone), group.client, group.key_prefix),
    ),
)


def folded(records: Iterable[RecordRow], *, shard: int) -> list[Insert]:
    """What adds `records`, which are new, to all rollups."""
    zone = installation_zone()
    totals = {group: figures(group, rows) for group, rows in _groups(records).items()}
    inserts = []
    for rollup, row, upsert in _WRITTEN:
        sums: dict[Key, Sums] = {}
        for group, added in totals.items():
            key = (*rollup.key(group, zone), shard)
            sums[key] = tuple(map(add, sums[key], added)) if key in sums else added
        inserts.append(Insert(rollup.table, [row(*key, *sums[key]) for key in sorted(sums)], upsert))
    return inserts


def _groups(records: Iterable[RecordRow]) -> dict[Group, list[RecordRow]]:
    """By quarter as a number first: few times are then made of many."""
    found: dict[Key, list[RecordRow]] = {}
    for row in records:
        found.setdefault((int(row.started_at.timestamp()) // _QUARTER_S, *_kept_apart(row)), []).append(row)
    return {Group(quarter_of(rows[0].started_at), *key[1:]): rows for key, rows in found.items()}


_kept_apart = attrgetter(*Group._fields[1:])  # noqa: SLF001 - a word of every NamedTuple


def figures(group: Group, rows: Sequence[RecordRow]) -> Sums:
    """What a group's records add, in the order of `FIGURES`. An adjustment adds tokens and money, but no call."""
    calls = len(rows) if group.is_final and group.kind == "call" else 0
    status = group.status if calls else ""
    latencies_ms = [row.latency_ms for row in rows if row.latency_ms is not None] if status == "ok" else []
    costs = [row.cost_pico for row in rows if row.cost_pico is not None]
    unknown = len(rows) - len(costs) if group.kind == "call" and group.evidence != "none" else 0
    return (
        calls,
        calls if status in ("error", "interrupted") else 0,
        calls if status == "refused" else 0,
        calls if status == "cancelled" else 0,
        calls if status == "cached" else 0,
        len(latencies_ms),
        sum([row.input_tokens for row in rows]),
        sum([row.cached_input_tokens for row in rows]),
        sum([row.output_tokens for row in rows]),
        sum([row.reasoning_tokens for row in rows]),
        sum(costs),
        len(costs),
        unknown - sum([row.prices_unknown for row in rows]),
        sum([row.saved_pico or 0 for row in rows]),
        sum([int(latency_ms * 1000) for latency_ms in latencies_ms]),  # cut off, as `usage.recompute` does in SQL
    )


def installation_zone() -> ZoneInfo:
    """Whose days the day rollups are. After a change of TIME_ZONE: `manage.py rebuildrollups`."""
    return ZoneInfo(settings.TIME_ZONE)


def _row_of(rollup: Rollup) -> type[msgspec.Struct]:
    return msgspec.defstruct(rollup.table, (*rollup.dimensions, *FIGURES), frozen=True)


def _upsert_of(rollup: Rollup) -> str:
    added = ", ".join(f"{name} = {rollup.table}.{name} + EXCLUDED.{name}" for name in FIGURES)
    return f"ON CONFLICT ({', '.join(rollup.dimensions)}) DO UPDATE SET {added}"


_WRITTEN = tuple((rollup, _row_of(rollup), _upsert_of(rollup)) for rollup in ROLLUPS)
