"""What the books say: sums over usage records. Pure reads; `now` is never asked, ranges and zones are parameters.

A range is `start <= time < end`, by the record's key (a UUIDv7, whose time is the call's start). A call is one final
row however many attempts it took; cost and tokens sum every row, retries and adjustments too. `usage.sums` reads them
from the rollups wherever those can tell.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal, TypedDict, TypeVar, Unpack, get_args
from uuid import UUID

import msgspec
from django.db.models import Count, QuerySet, Sum

from usage import buckets, sums
from usage.buckets import Bucket, bucket_start, midnight, next_bucket
from usage.models import Hold, UsageRecord
from usage.sums import Figures, Grain, Line

__all__ = [
    "GROUPINGS",
    "MOST_GROUPS",
    "SERIES",
    "Bucket",
    "By",
    "Field",
    "Filters",
    "Group",
    "InFlight",
    "Point",
    "TooManyGroupsError",
    "Totals",
    "bucket_start",
    "grouped",
    "has_calls",
    "in_flight",
    "midnight",
    "next_bucket",
    "records",
    "series",
    "totals",
]

Field = Literal[
    "provider", "providerId", "model", "deployment", "client", "clientId", "key", "endUser", "surface", "status",
    "evidence",
]  # fmt: skip
By = Literal[Field, "tag", Bucket]
# Of a sum by what callers choose: who tags each call with an id of its own has a million. A group takes some kilobytes.
MOST_GROUPS = {"tag": 10_000, "endUser": 25_000}
_Key = TypeVar("_Key")
SERIES: tuple[str, ...] = get_args(Field)
GROUPINGS: tuple[str, ...] = (*SERIES, "tag", *get_args(Bucket))


class Filters(TypedDict, total=False):
    """Which rows count. None is no filter; `key` is a key's prefix, `tag` is `name=value`."""

    provider: str | None
    provider_id: UUID | None
    model: str | None
    client: str | None
    client_id: UUID | None
    key: str | None
    end_user: str | None
    surface: str | None
    status: str | None
    evidence: str | None
    tag: str | None


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of some calls.

    `errors` failed or were interrupted; `refused`, `cancelled` and `cached` stand apart from them. `cost_pico` is the
    sum of the known costs (`sums.known_cost`): None where none of it is known. `unknown_cost_requests` counts the
    rows it lacks; `saved_pico` is what the answers from the cache once cost. `latency_ms` is the mean of the answered
    calls.
    """

    requests: int = 0
    errors: int = 0
    refused: int = 0
    cancelled: int = 0
    cached: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_pico: int | None = 0
    unknown_cost_requests: int = 0
    saved_pico: int = 0
    latency_ms: float | None = None

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def error_share(self) -> float:
        """Between 0 and 1; 0 where nothing was called."""
        return self.errors / self.requests if self.requests else 0.0


class Group(Totals, frozen=True, kw_only=True):
    """Sums of one group. `key` is '' where a row has none (a call that was never sent reached no model).

    A time group's key is `2025-11-21T14:00:00+05:45`, `2025-11-21`, `2025-W47` or `2025-11`, and `starts_at` its first
    moment. A deployment's is `provider/model`.
    """

    key: str
    starts_at: datetime | None = None


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One group's part of one bucket of time."""

    starts_at: datetime
    key: str
    requests: int
    cost_pico: int


class InFlight(msgspec.Struct, frozen=True, kw_only=True):
    """Calls that have been sent and not yet accounted for; what they may cost at most, as far as that is known."""

    calls: int
    amount_pico: int


class TooManyGroupsError(Exception):
    """A sum by what callers choose has more than its `MOST_GROUPS`."""

    def __init__(self, by: str) -> None:
        most = f"more than {MOST_GROUPS[by]:,} groups"
        super().__init__(f"By {by} these calls fall into {most}: ask for fewer days, or one client.")


def totals(start: datetime, end: datetime, **filters: Unpack[Filters]) -> Totals:
    """The sums of everything that started in the range."""
    found = _folded((None, line) for line in sums.lines(start, end, filters=_by_column(filters)))
    return Totals(**_totals(found[None])) if found else Totals()


def grouped(
    start: datetime,
    end: datetime,
    *,
    by: By,
    time_zone: tzinfo = UTC,
    top: int | None = None,
    **filters: Unpack[Filters],
) -> list[Group]:
    """The sums of each group: time ascending, others dearest first. Only groups that have calls.

    `top`: of others than time, the dearest so many: there may be a hundred thousand end users. A call with several
    tags counts once under each of them, so tag groups may add up to more than the total. Raises
    `TooManyGroupsError`: of tags, and of what several tables tell, all are read, whatever `top` is.
    """
    asked = _by_column(filters)
    if by in ("hour", "day", "week", "month"):
        return _by_time(start, end, by, time_zone, asked)
    if by == "tag":
        lines = sums.lines(start, end, columns=("tags",), filters=asked)
        found = _folded(((tag, line) for line in lines for tag in _tags(line.key[0])), by=by)
    else:
        lines = sums.lines(start, end, columns=_COLUMNS[by], filters=asked, top=top)
        found = _folded(((_text(line.key), line) for line in lines), by=by)
    groups = [Group(key=key, **_totals(figures)) for key, figures in found.items()]
    return sorted(groups, key=lambda group: (-(group.cost_pico or 0), -group.requests, group.key))[:top]


def series(
    start: datetime,
    end: datetime,
    *,
    by: Field,
    bucket: Bucket = "day",
    time_zone: tzinfo = UTC,
    **filters: Unpack[Filters],
) -> list[Point]:
    """Cost and calls over time, apart for each group: what a stacked chart draws."""
    lines = sums.lines(
        start,
        end,
        columns=_COLUMNS[by],
        filters=_by_column(filters),
        grain=_grain(bucket),
        time_zone=time_zone,
    )
    found = _folded(((_bucket(line, bucket, time_zone), _text(line.key)), line) for line in lines)
    return [
        Point(starts_at=at.astimezone(time_zone), key=key, requests=figures["calls"], cost_pico=figures["cost_pico"])
        for (at, key), figures in sorted(found.items())
    ]


def in_flight() -> InFlight:
    """How many calls are open, and what they may cost together."""
    row = Hold.objects.aggregate(calls=Count("pk"), amount=Sum("amount_pico"))
    return InFlight(calls=row["calls"], amount_pico=int(row["amount"] or 0))


def has_calls() -> bool:
    """Whether anything was ever recorded."""
    return UsageRecord.objects.exists()


def records(start: datetime, end: datetime, **filters: Unpack[Filters]) -> QuerySet[UsageRecord]:
    """The rows of calls that started in the range."""
    return sums.records(start, end, _by_column(filters))


# --- inside -------------------------------------------------------------------------------------------------------

_COLUMNS: dict[str, tuple[str, ...]] = {
    "provider": ("provider",),
    "providerId": ("provider_id",),
    "model": ("deployment",),
    "deployment": ("provider", "deployment"),
    "client": ("client",),
    "clientId": ("client_id",),
    "key": ("key_prefix",),
    "endUser": ("end_user",),
    "surface": ("surface",),
    "status": ("status",),
    "evidence": ("evidence",),
}
_FILTER_COLUMNS = {"model": "deployment", "key": "key_prefix"}


def _by_column(filters: Filters) -> dict[str, Any]:
    return {_FILTER_COLUMNS.get(name, name): value for name, value in filters.items() if value is not None}


def _by_time(
    start: datetime, end: datetime, bucket: Bucket, time_zone: tzinfo, filters: Mapping[str, Any]
) -> list[Group]:
    lines = sums.lines(start, end, filters=filters, grain=_grain(bucket), time_zone=time_zone)
    found = _folded((_bucket(line, bucket, time_zone), line) for line in lines)
    starts = ((at.astimezone(time_zone), found[at]) for at in sorted(found))
    return [Group(key=buckets.key(at, bucket), starts_at=at, **_totals(figures)) for at, figures in starts]


def _grain(bucket: Bucket) -> Grain:
    return "quarter" if bucket == "hour" else "day"


def _bucket(line: Line, bucket: Bucket, time_zone: tzinfo) -> datetime:
    """The bucket's start in UTC: in one zone, the two hours called 02:00 when the clocks go back compare equal."""
    assert line.at is not None
    return bucket_start(line.at, bucket, time_zone).astimezone(UTC)


def _text(key: tuple[Any, ...]) -> str:
    return "/".join(str(value) for value in key if value)


def _tags(tags: dict[str, str] | None) -> Iterator[str]:
    if not tags:
        yield ""
    for name, value in (tags or {}).items():
        yield f"{name}={value}"


def _folded(lines: Iterable[tuple[_Key, Line]], *, by: str = "") -> dict[_Key, Figures]:
    """The figures added up by key. Raises `TooManyGroupsError`."""
    most = MOST_GROUPS.get(by, math.inf)
    found: dict[_Key, Figures] = {}
    for key, line in lines:
        found[key] = sums.added(found.get(key), line.figures)
        if len(found) > most:
            raise TooManyGroupsError(by)
    return found


def _totals(figures: Figures) -> dict[str, Any]:
    """`Totals`' fields."""
    unknown, answered = figures["unknown_cost_rows"], figures["answered"]
    return {
        "requests": figures["calls"],
        "errors": figures["errors"],
        "refused": figures["refused"],
        "cancelled": figures["cancelled"],
        "cached": figures["cached"],
        "input_tokens": figures["input_tokens"],
        "cached_input_tokens": figures["cached_input_tokens"],
        "output_tokens": figures["output_tokens"],
        "reasoning_tokens": figures["reasoning_tokens"],
        "cost_pico": sums.known_cost(figures["cost_pico"], unknown),
        "unknown_cost_requests": unknown,
        "saved_pico": figures["saved_pico"],
        "latency_ms": figures["latency_us"] / 1000 / answered if answered else None,
    }
