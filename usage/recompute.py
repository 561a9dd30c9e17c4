"""The figures as the records alone tell them, in SQL: what the rollups and the budget windows are proved against.

Each statement sums in the database, so that ten million rows need no memory here; and each is one statement, so that
it sees records and sums at the same moment. A settle moves both in one transaction: what they differ by does not
depend on the traffic.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise
from uuid import UUID
from zoneinfo import ZoneInfo

from core.ids import lower_bound, time_of
from usage import rollups
from usage.models import UsageRecord
from usage.rollups import FIGURES, Rollup
from usage.transactions import on_postgresql, text_of

_TABLE = "usage_usagerecord"
_CALL = "is_final AND kind = 'call'"
_MARGIN = timedelta(days=2)
_WIDEST = (datetime(1971, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


def difference_sql(rollup: Rollup, *, since: datetime | None, by_shard: bool) -> str:
    """Rows of (dimensions, FIGURES): what `rollup` lacks, key by key; negative where it has too much.

    `by_shard`: as changes of its rows, after which all is in shard 0. `since`: what began earlier is left out.
    """
    zone = rollups.installation_zone()
    dimensions = rollup.dimensions if by_shard else rollup.dimensions[:-1]
    listed = ", ".join(dimensions)
    added = ", ".join(f"CAST(sum({name}) AS BIGINT) AS {name}" for name in FIGURES)
    taken = ", ".join(f"-{name}" for name in FIGURES)
    wrong = " OR ".join(f"sum({name}) <> 0" for name in FIGURES)
    return (
        f"SELECT {listed}, {added} FROM ({_sums_sql(rollup, since=since, zone=zone, by_shard=by_shard)} "  # noqa: S608 - our own names
        f"UNION ALL SELECT {listed}, {taken} FROM {rollup.table} {_stored_since(rollup, since, zone)}) AS both_sides "
        f"GROUP BY {listed} HAVING {wrong}"
    )


def window_costs_sql(first: UUID | None = None, end: UUID | None = None) -> str:
    """Rows of (budget window, cost): the sums of the records that count in each window, of a range of keys."""
    each = "jsonb_array_elements_text(r.windows) AS e(value)" if on_postgresql() else "json_each(r.windows) AS e"
    return (
        f"SELECT {_window_key()} AS window_id, sum(r.cost_pico) AS cost_pico FROM {_TABLE} r, {each} "  # noqa: S608 - our own names
        f"{key_range('r.id', first, end)} AND r.windows <> '[]' AND r.cost_pico IS NOT NULL GROUP BY 1"
    )


def window_holds_sql() -> str:
    """Rows of (budget window, held): the sums of the holds that count in each window."""
    each = "jsonb_array_elements_text(h.windows) AS e(value)" if on_postgresql() else "json_each(h.windows) AS e"
    return f"SELECT {_window_key()} AS window_id, sum(h.amount_pico) AS held_pico FROM usage_hold h, {each} GROUP BY 1"  # noqa: S608 - our own names


def key_range(column: str, first: UUID | None, end: UUID | None = None) -> str:
    """A WHERE clause for `first <= key < end`, as far as they are given."""
    bounds = [(">=", first), ("<", end)]
    asked = [f"{column} {than} '{key if on_postgresql() else key.hex}'" for than, key in bounds if key is not None]
    return "WHERE " + (" AND ".join(asked) or "1 = 1")


# --- inside -------------------------------------------------------------------------------------------------------


def _sums_sql(rollup: Rollup, *, since: datetime | None, zone: ZoneInfo, by_shard: bool) -> str:
    time, *others = rollup.dimensions[:-1]
    moment = _quarter_sql() if time == "starts_at" else _day_sql(zone)
    shard = [f"CAST(0 AS {'smallint' if on_postgresql() else 'INTEGER'}) AS shard"] if by_shard else []
    columns = [f"{moment} AS {time}", *others, *shard, *(f"{sql} AS {name}" for name, sql in _figures_sql().items())]
    grouped = ", ".join(str(place + 1) for place in range(1 + len(others)))
    first = _first_counted(rollup, since, zone)
    rows = key_range("id", None if first is None else lower_bound(first))
    return f"SELECT {', '.join(columns)} FROM {_TABLE} {rows} GROUP BY {grouped}"  # noqa: S608 - our own names


def _figures_sql() -> dict[str, str]:
    """`rollups.figures`, of a group of records."""
    answered = f"{_CALL} AND status = 'ok' AND latency_ms IS NOT NULL"
    micros = "trunc(latency_ms * 1000)" if on_postgresql() else "latency_ms * 1000"
    counted = {
        "calls": _CALL,
        "errors": f"{_CALL} AND status IN ('error', 'interrupted')",
        "refused": f"{_CALL} AND status = 'refused'",
        "cancelled": f"{_CALL} AND status = 'cancelled'",
        "cached": f"{_CALL} AND status = 'cached'",
        "answered": answered,
        "known_cost_rows": "cost_pico IS NOT NULL",
        "unknown_cost_rows": "cost_pico IS NULL AND kind = 'call' AND evidence <> 'none'",
    }
    sums = {name: f"count(*) FILTER (WHERE {condition})" for name, condition in counted.items()}
    sums["unknown_cost_rows"] += " - count(*) FILTER (WHERE prices_unknown)"
    sums["latency_us"] = f"coalesce(sum(CAST({micros} AS BIGINT)) FILTER (WHERE {answered}), 0)"
    return {name: sums.get(name) or f"coalesce(sum({name}), 0)" for name in FIGURES}


def _quarter_sql() -> str:
    if on_postgresql():
        return "date_bin('15 minutes', started_at, TIMESTAMPTZ '1970-01-01 00:00:00+00')"
    return f"datetime({_UNIX_S} / 900 * 900, 'unixepoch')"


# The fraction is cut off first: SQLite's date functions would round 59.9996 s up into the next second.
_UNIX_S = "CAST(strftime('%s', substr(started_at, 1, 19)) AS INTEGER)"


def _day_sql(zone: ZoneInfo) -> str:
    """The day in `zone`, by Python's database of zones: SQLite has none, and PostgreSQL's may be of another year."""
    offset = _offset_sql(zone)
    if on_postgresql():
        return f"CAST((started_at AT TIME ZONE 'UTC') + ({offset}) * INTERVAL '1 second' AS date)"
    return f"date({_UNIX_S} + ({offset}), 'unixepoch')"


def _offset_sql(zone: ZoneInfo) -> str:
    """Seconds between the wall clock and UTC when a call started."""
    changes = _offset_changes(zone, *_extent())
    last = changes[-1][1]
    cases = " ".join(
        f"WHEN started_at < '{_moment(until)}' THEN {offset}" for (_, offset), (until, _) in pairwise(changes)
    )
    return f"CASE {cases} ELSE {last} END" if cases else str(last)


def _extent() -> tuple[datetime, datetime]:
    """Between which moments, in whole seconds, there are records."""
    keys = [UsageRecord.objects.order_by(order).values_list("pk", flat=True).first() for order in ("id", "-id")]
    first, last = (time_of(key).replace(microsecond=0) if key is not None else _WIDEST[0] for key in keys)
    return max(first - _MARGIN, _WIDEST[0]), min(last + _MARGIN, _WIDEST[1])


def _offset_changes(zone: tzinfo, first: datetime, last: datetime) -> list[tuple[datetime, int]]:
    """(from when, seconds east of UTC), between `first` and `last`. Zones change at most once a day."""
    changes = [(first, _offset(zone, first))]
    day = first
    while day < last:
        following = day + timedelta(days=1)
        if _offset(zone, following) != changes[-1][1]:
            changes.append((_change(zone, day, following), _offset(zone, following)))
        day = following
    return changes


def _change(zone: tzinfo, before: datetime, after: datetime) -> datetime:
    """The first second at which the offset is that of `after`, by halving."""
    while after - before > timedelta(seconds=1):
        middle = (before + (after - before) / 2).replace(microsecond=0)
        before, after = (before, middle) if _offset(zone, middle) == _offset(zone, after) else (middle, after)
    return after


def _offset(zone: tzinfo, moment: datetime) -> int:
    offset = moment.astimezone(zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def _stored_since(rollup: Rollup, since: datetime | None, zone: ZoneInfo) -> str:
    """Sums of what was purged stay, and are proved no more."""
    if since is None:
        return ""
    if rollup.dimensions[0] == "day":
        return f"WHERE day >= '{_whole_day(since, zone)}'"
    return f"WHERE starts_at >= '{_moment(since)}'"


def _first_counted(rollup: Rollup, since: datetime | None, zone: ZoneInfo) -> datetime | None:
    if since is None or rollup.dimensions[0] != "day":
        return since
    day = _whole_day(since, zone)
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _whole_day(since: datetime, zone: ZoneInfo) -> date:
    """The first day of which nothing is missing."""
    local = since.astimezone(zone)
    begins = datetime(local.year, local.month, local.day, tzinfo=zone)
    return local.date() if begins.astimezone(UTC) == since else local.date() + timedelta(days=1)


def _window_key() -> str:
    return "CAST(e.value AS uuid)" if on_postgresql() else "replace(e.value, '-', '')"


def _moment(moment: datetime) -> str:
    return f"{text_of(moment)}+00" if on_postgresql() else text_of(moment)
