"""What a report tells: a period's totals, the period before, and what they are made of."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from core.money import usd_text
from providers.models import Deployment, Price
from usage import export, queries, spending, sums
from usage.models import Budget
from usage.periods import Period, start_of
from usage.pricing import DOLLARS
from usage.queries import Bucket, Group, Totals, bucket_start, next_bucket

TOP = 5
TOP_BUDGETS = 10
SHOWN_PROVIDERS = 4  # in the chart; the rest are drawn together
OTHERS = "others"
_INSTANT = timedelta(microseconds=1)


class Span(msgspec.Struct, frozen=True):
    """A whole period: from `starts_at` up to, and without, `ends_at`."""

    starts_at: datetime
    ends_at: datetime


class BudgetLine(msgspec.Struct, frozen=True, kw_only=True):
    """A budget in the period of its own that was running when the report's ended."""

    name: str
    period: str
    spent_pico: int
    cap_pico: int

    @property
    def percent(self) -> int:
        return round(100 * self.spent_pico / self.cap_pico) if self.cap_pico else 100


class Bars(msgspec.Struct, frozen=True):
    """Cost over time: a bar for each of `starts`, made of a part for each provider, the dearest first."""

    starts: list[datetime]
    bucket: Bucket
    parts: dict[str, list[int]]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    client: str
    period: Period
    zone: ZoneInfo
    span: Span
    totals: Totals
    before: Totals
    models: list[Group]
    clients: list[Group]
    providers: list[Group]
    budgets: list[BudgetLine]  # the fullest
    more_budgets: int  # that are not among them
    saved_pico: int
    bars: Bars


def collect(*, title: str, client: str, period: Period, zone: ZoneInfo, span: Span) -> Report:
    """`client` "": all together."""
    only = client or None
    start, end = span.starts_at, span.ends_at
    earlier = start_of(period, start - timedelta(hours=1), zone)
    totals = queries.totals(start, end, client=only)
    budgets = sorted(_budgets(client, end - _INSTANT), key=lambda line: (-line.percent, line.name))
    return Report(
        title=title,
        client=client,
        period=period,
        zone=zone,
        span=span,
        totals=totals,
        before=queries.totals(earlier, start, client=only),
        models=_top(queries.grouped(start, end, by="deployment", client=only)),
        clients=[] if client else _top(queries.grouped(start, end, by="client")),
        providers=_top(queries.grouped(start, end, by="provider", client=only)),
        budgets=budgets[:TOP_BUDGETS],
        more_budgets=len(budgets[TOP_BUDGETS:]),
        saved_pico=totals.saved_pico + _discounts(start, end, only),
        bars=_bars(span, "hour" if period == "day" else "day", zone, only),
    )


_COLUMNS = ("client", "provider", "deployment")


def as_csv(report: Report) -> str:
    """A line for each day, client, provider and model. The columns add up to the report's totals."""
    found: dict[tuple[str, ...], sums.Figures] = {}
    filters = {"client": report.client} if report.client else {}
    lines = sums.lines(
        report.span.starts_at,
        report.span.ends_at,
        columns=_COLUMNS,
        filters=filters,
        grain="day",
        time_zone=report.zone,
    )
    for line in lines:
        assert line.at is not None
        key = (f"{bucket_start(line.at, 'day', report.zone):%Y-%m-%d}", *map(str, line.key))
        found[key] = sums.added(found.get(key), line.figures)
    names = ["day", "client", "provider", "model", "calls", "failed", "refused", "from_cache"]
    names += ["input_tokens", "output_tokens", "cost_usd", "calls_of_unknown_cost"]
    return export.table(names, ([*key, *_cells(figures)] for key, figures in sorted(found.items())))


def _cells(figures: sums.Figures) -> list[Any]:
    counted = [figures[name] for name in ("calls", "errors", "refused", "cached", "input_tokens", "output_tokens")]
    unknown = figures["unknown_cost_rows"]
    cost_pico = sums.known_cost(figures["cost_pico"], unknown)
    return [*counted, "" if cost_pico is None else usd_text(cost_pico), unknown]


def _top(groups: list[Group]) -> list[Group]:
    return [group for group in groups if group.key][:TOP]


def _budgets(client: str, moment: datetime) -> Iterator[BudgetLine]:
    budgets = Budget.objects.filter(is_active=True, created_at__lte=moment)
    if client:
        budgets = budgets.filter(scope=Budget.Scope.CLIENT, subject=client)
    for budget, window in spending.running_windows(budgets, moment):
        room = window.cap_pico + window.raised_pico
        yield BudgetLine(name=budget.name, period=budget.period, spent_pico=window.settled_pico, cap_pico=room)


# --- savings ------------------------------------------------------------------------------------------------------


def _discounts(start: datetime, end: datetime, client: str | None) -> int:
    """How much less providers charge for input that they have cached, at the list prices in force at the end.

    An estimate: models without a price in dollars are left out.
    """
    prices = _prices(end)
    saved = Decimal(0)
    for group in queries.grouped(start, end, by="deployment", client=client):
        price = prices.get(group.key)
        if price is not None and price.cached_input_per_million is not None:
            saved += group.cached_input_tokens * (price.input_per_million - price.cached_input_per_million)
    return int(saved * 1_000_000)  # dollars per million tokens are a million pico-dollars a token


def _prices(moment: datetime) -> dict[str, Price]:
    """By `provider/model`."""
    found = ((row, row.price_at(moment)) for row in Deployment.objects.select_related("provider"))
    return {str(row): price for row, price in found if price is not None and price.currency == DOLLARS}


# --- over time ----------------------------------------------------------------------------------------------------


def _bars(span: Span, bucket: Literal["hour", "day"], zone: ZoneInfo, client: str | None) -> Bars:
    starts = list(_starts(span, bucket, zone))
    place = {at.astimezone(UTC): number for number, at in enumerate(starts)}
    parts: dict[str, list[int]] = {}
    for point in queries.series(
        span.starts_at, span.ends_at, by="provider", bucket=bucket, time_zone=zone, client=client
    ):
        bars = parts.setdefault(point.key, [0] * len(starts))
        bars[place[point.starts_at.astimezone(UTC)]] += point.cost_pico
    ordered = sorted(parts.items(), key=lambda part: -sum(part[1]))
    shown = dict(ordered[:SHOWN_PROVIDERS])
    if rest := [bars for _, bars in ordered[SHOWN_PROVIDERS:]]:
        shown[OTHERS] = [sum(column) for column in zip(*rest, strict=True)]
    return Bars(starts, bucket, {name: bars for name, bars in shown.items() if any(bars)})


def _starts(span: Span, bucket: Bucket, zone: ZoneInfo) -> Iterator[datetime]:
    """Days of 23 and 25 hours come out right."""
    at = bucket_start(span.starts_at, bucket, zone)
    while at.astimezone(UTC) < span.ends_at:
        yield at
        at = next_bucket(at, bucket, zone)
