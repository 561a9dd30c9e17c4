"""Sums over a range of time, each part of it read from the coarsest table that can tell: days, quarter-hours, records.

The middle of a range is whole days, its ends are quarter-hours, and what is left of those is read from the records.
Columns that a rollup does not keep apart (tags, ids) are read from the records altogether. Every way gives the same
figures, to the pico-dollar and the microsecond.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo

import msgspec
from django.db.models import (
    BigIntegerField,
    Count,
    F,
    Func,
    IntegerField,
    Model,
    Q,
    QuerySet,
    Sum,
    TextField,
    Value,
)
from django.db.models.expressions import Combinable
from django.db.models.lookups import Exact

from core.ids import lower_bound
from usage.buckets import bucket_start, midnight, next_bucket
from usage.models import Day, KeyDay, Quarter, UsageRecord, UserDay
from usage.rollups import FIGURES, installation_zone, quarter_of
from usage.transactions import on_postgresql

Grain = Literal["none", "quarter", "day"]
Figures = dict[str, int]
_QUARTER = timedelta(minutes=15)
_GROUPS_AT_ONCE = 2_000  # in memory: of clients, models and quarter-hours there may be a million


class Line(msgspec.Struct, frozen=True):
    """The sums of one group: `key` are the values of the columns asked for, `at` the beginning of its time."""

    at: datetime | None
    key: tuple[Any, ...]
    figures: Figures


def lines(
    start: datetime,
    end: datetime,
    *,
    columns: Sequence[str] = (),
    filters: Mapping[str, Any],
    grain: Grain = "none",
    time_zone: tzinfo = UTC,
    top: int | None = None,
) -> Iterator[Line]:
    """The sums by `columns`, and by time as finely as `grain` says (days are those of `time_zone`).

    A group may come several times, from several parts of the range: `added` adds them up. `top`: no more than so many
    groups are wanted, the dearest; others may come all the same.
    """
    needed = {*columns, *filters}
    parts = list(_parts(_levels(needed, grain, time_zone), start, end))
    for level, first, last in parts:
        most = top if len(parts) == 1 else None
        yield from _read(level, _filtered(level.rows(first, last), filters), columns, grain, most)


def added(left: Figures | None, right: Figures) -> Figures:
    return {name: left[name] + right[name] for name in FIGURES} if left else right


def known_cost(cost_pico: int, unknown_rows: int) -> int | None:
    """A sum of known costs as people are told it: None where it lacks some, and nothing that is in it cost anything.

    Refusals and the cache's answers cost nothing, and make what is beside them no better known.
    """
    return None if unknown_rows and not cost_pico else cost_pico


def records(start: datetime, end: datetime, filters: Mapping[str, Any]) -> QuerySet[UsageRecord]:
    """The rows of calls that started in the range; `filters` are values by column, and `tag` a `name=value`."""
    return _filtered(_records_between(start, end), filters)


def tagged(rows: QuerySet[UsageRecord], tag: str) -> QuerySet[UsageRecord]:
    """Those with this tag, a `name=value`. Django's own transform takes a name of digits for a place in a list."""
    name, _, wanted = tag.partition("=")
    if on_postgresql():
        found = Func(F("tags"), Value(name), function="jsonb_extract_path_text", output_field=TextField())
    else:  # no path: SQLite 3.40 finds no name in which a quotation mark is escaped
        values, of_name = "(SELECT value FROM json_each(%(expressions)s)", ") WHERE key = "
        found = Func(F("tags"), Value(name), template=values, arg_joiner=of_name, output_field=TextField())
    return rows.filter(Exact(found, wanted))


class QuarterNumber(Func):
    """Which quarter-hour since 1970 a moment lies in, counted by the database in UTC."""

    output_field: ClassVar = IntegerField()
    arity = 1

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        # The fraction is cut off first: SQLite's date functions would round 59.9996 s up into the next quarter.
        template = "(CAST(strftime('%%%%s', substr(%(expressions)s, 1, 19)) AS INTEGER) / 900)"
        return self.as_sql(compiler, connection, template=template, **extra)

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(
            compiler, connection, template="FLOOR(EXTRACT(EPOCH FROM %(expressions)s) / 900)::bigint", **extra
        )


# --- where to read ------------------------------------------------------------------------------------------------


class _Level(msgspec.Struct, frozen=True):
    """A table, the moments at which its rows begin, and its column of time (None: the records)."""

    rows: Callable[[datetime, datetime], QuerySet[Any]]
    floor: Callable[[datetime], datetime]
    ceiling: Callable[[datetime], datetime]
    time: str | None


def _levels(needed: set[str], grain: Grain, time_zone: tzinfo) -> list[_Level]:
    """The tables that keep `needed` apart, the coarsest first; the records, which keep everything, last."""
    zone = installation_zone()
    days = grain == "none" or (grain == "day" and str(time_zone) == str(zone))
    found = [_days(model, zone) for model, kept in _KEPT_BY_DAY.items() if days and needed <= kept][:1]
    if needed <= _BY_KIND:
        found.append(_QUARTERS)
    return [*found, _RECORDS]


_BY_KIND = {"client", "provider", "deployment", "surface", "status", "evidence"}
_KEPT_BY_DAY: dict[type[Model], set[str]] = {
    Day: _BY_KIND,
    KeyDay: {"client", "key_prefix"},
    UserDay: {"client", "end_user"},
}


def _parts(levels: Sequence[_Level], start: datetime, end: datetime) -> Iterator[tuple[_Level, datetime, datetime]]:
    """The range cut up: its whole days, before and after them whole quarter-hours, and the rest."""
    if start >= end:
        return
    level, *finer = levels
    if not finer:
        yield level, start, end
        return
    first, last = level.ceiling(start), level.floor(end)
    if first >= last:
        yield from _parts(finer, start, end)
        return
    yield from _parts(finer, start, first)
    yield level, first, last
    yield from _parts(finer, last, end)


def _days(model: Any, zone: ZoneInfo) -> _Level:
    def floor(moment: datetime) -> datetime:
        return bucket_start(moment, "day", zone)

    def ceiling(moment: datetime) -> datetime:
        begun = floor(moment)
        return begun if begun == moment else next_bucket(begun, "day", zone)

    def rows(first: datetime, last: datetime) -> QuerySet[Any]:
        found: QuerySet[Any] = model.objects.filter(
            day__gte=first.astimezone(zone).date(), day__lt=last.astimezone(zone).date()
        )
        return found

    return _Level(rows=rows, floor=floor, ceiling=ceiling, time="day")


_QUARTERS = _Level(
    rows=lambda first, last: Quarter.objects.filter(starts_at__gte=first, starts_at__lt=last),
    floor=quarter_of,
    ceiling=lambda moment: quarter_of(moment + _QUARTER - timedelta(microseconds=1)),
    time="starts_at",
)


def _records_between(start: datetime, end: datetime) -> QuerySet[UsageRecord]:
    return UsageRecord.objects.filter(id__gte=lower_bound(start), id__lt=lower_bound(end))


_RECORDS = _Level(rows=_records_between, floor=lambda moment: moment, ceiling=lambda moment: moment, time=None)


# --- reading ------------------------------------------------------------------------------------------------------


def _read(level: _Level, rows: QuerySet[Any], columns: Sequence[str], grain: Grain, top: int | None) -> Iterator[Line]:
    rows = rows.order_by()
    sums = _OF_RECORDS if level.time is None else _OF_ROLLUPS
    time = [] if grain == "none" else [level.time or "quarter"]
    if time == ["quarter"]:
        rows = rows.annotate(quarter=QuarterNumber("started_at"))
    if top is not None and len(columns) == 1 and not time:
        rows = _of_the_dearest(rows, columns[0], sums, top)
    for row in _grouped(rows, time, columns, sums):
        at = _moment(row[time[0]]) if time else None
        yield Line(at, tuple(row[column] for column in columns), _figures(row))


def _grouped(
    rows: QuerySet[Any], time: Sequence[str], columns: Sequence[str], sums: Mapping[str, Combinable]
) -> Iterable[dict[str, Any]]:
    """Sums of everything, or by time alone, are few, and without a cursor PostgreSQL reads for them in parallel."""
    if not time and not columns:
        return [rows.aggregate(**sums)]
    found: QuerySet[Any, dict[str, Any]] = rows.values(*time, *columns).annotate(**sums)
    return found.iterator(chunk_size=_GROUPS_AT_ONCE) if columns else found


def _of_the_dearest(rows: QuerySet[Any], column: str, sums: Mapping[str, Combinable], top: int) -> QuerySet[Any]:
    """Only the rows of the dearest `top` groups: who those are takes two sums of each group, not all."""
    needed = {name: sums[name] for name in ("sum_cost_pico", "sum_calls")}
    order = (F("sum_cost_pico").desc(nulls_last=True), "-sum_calls", column)
    keys = [row[column] for row in rows.values(column).annotate(**needed).order_by(*order)[:top]]
    return rows if None in keys else rows.filter(**{f"{column}__in": keys})


def _moment(value: Any) -> datetime:
    """The beginning of a quarter-hour, by its number or itself, or of a day of the installation's zone."""
    if isinstance(value, int):
        return datetime.fromtimestamp(value * _QUARTER.total_seconds(), UTC)
    return value if isinstance(value, datetime) else midnight(value, installation_zone()).astimezone(UTC)


def _figures(row: Mapping[str, Any]) -> Figures:
    return {name: int(row[f"sum_{name}"] or 0) for name in FIGURES}


def _filtered(rows: QuerySet[Any], filters: Mapping[str, Any]) -> QuerySet[Any]:
    for column, value in filters.items():
        rows = tagged(rows, value) if column == "tag" else rows.filter(**{column: value})
    return rows


class _Microseconds(Func):
    """Milliseconds as whole microseconds, the rest cut off, as the rollups have them."""

    output_field: ClassVar = BigIntegerField()
    arity = 1

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template="CAST(%(expressions)s * 1000 AS INTEGER)", **extra)

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template="TRUNC(%(expressions)s * 1000)::bigint", **extra)


_CALL = Q(is_final=True, kind=UsageRecord.Kind.CALL)
_UNKNOWN = Q(cost_pico=None, kind=UsageRecord.Kind.CALL) & ~Q(evidence=UsageRecord.Evidence.NONE)
_Status = UsageRecord.Status
_ANSWERED = _CALL & Q(status=_Status.OK, latency_ms__isnull=False)
_COUNTED: dict[str, Combinable] = {
    "calls": Count("pk", filter=_CALL),
    "errors": Count("pk", filter=_CALL & Q(status__in=[_Status.ERROR, _Status.INTERRUPTED])),
    "refused": Count("pk", filter=_CALL & Q(status=_Status.REFUSED)),
    "cancelled": Count("pk", filter=_CALL & Q(status=_Status.CANCELLED)),
    "cached": Count("pk", filter=_CALL & Q(status=_Status.CACHED)),
    "answered": Count("pk", filter=_ANSWERED),
    "known_cost_rows": Count("cost_pico"),
    "unknown_cost_rows": Count("pk", filter=_UNKNOWN) - Count("pk", filter=Q(prices_unknown=True)),
    "latency_us": Sum(_Microseconds("latency_ms"), filter=_ANSWERED),
}
# The names differ from the columns': Django would take one for the other.
_OF_RECORDS: dict[str, Combinable] = {f"sum_{name}": _COUNTED.get(name) or Sum(name) for name in FIGURES}
_OF_ROLLUPS: dict[str, Combinable] = {f"sum_{name}": Sum(name) for name in FIGURES}
