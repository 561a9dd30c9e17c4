"""Sums over usage records: what counts as a call, what as cost, and where days begin."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from core.ids import uuid7_at
from tests.usage.rows import book
from usage import queries
from usage.models import Hold, UsageRecord

pytestmark = pytest.mark.django_db

KATHMANDU = ZoneInfo("Asia/Kathmandu")  # +05:45
BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2025, 11, 20, 12, tzinfo=UTC)
LONG_AGO, FAR_AHEAD = datetime(2020, 1, 1, tzinfo=UTC), datetime(2035, 1, 1, tzinfo=UTC)


def record(at: datetime = NOON, **facts: Any) -> UsageRecord:
    defaults: dict[str, Any] = {
        "id": uuid7_at(int(at.timestamp() * 1000)),
        "started_at": at,
        "ended_at": at + timedelta(seconds=1),
        "client": "shop",
        "provider": "openai",
        "deployment": "gpt-5",
        "status": UsageRecord.Status.OK,
        "evidence": UsageRecord.Evidence.REPORTED,
        "input_tokens": 10,
        "output_tokens": 5,
        "cost_pico": 1_000_000,
        "latency_ms": 100.0,
    }
    row = UsageRecord(**{**defaults, **facts})
    book(row)
    return row


def everything(**filters: Any) -> queries.Totals:
    return queries.totals(LONG_AGO, FAR_AHEAD, **filters)


def test_nothing_costs_nothing() -> None:
    assert everything() == queries.Totals()
    assert queries.grouped(LONG_AGO, FAR_AHEAD, by="day") == []


def test_a_call_is_its_final_row_and_its_cost_is_every_row() -> None:
    record(status="error", is_final=False, cost_pico=3)
    record(cost_pico=5)
    record(kind="adjustment", is_final=False, cost_pico=-1, input_tokens=0, output_tokens=0)

    found = everything()

    assert (found.requests, found.errors, found.cost_pico, found.total_tokens) == (1, 0, 7, 30)


def test_statuses_are_counted_apart() -> None:
    for status in ("ok", "error", "interrupted", "refused", "cancelled", "cached"):
        record(status=status)

    found = everything()

    assert (found.requests, found.errors, found.refused, found.cancelled, found.cached) == (6, 2, 1, 1, 1)
    assert found.error_share == pytest.approx(1 / 3)


def test_unknown_cost_is_not_zero() -> None:
    record(cost_pico=None)
    assert (everything().cost_pico, everything().unknown_cost_requests) == (None, 1)

    for status in ("refused", "cached"):  # they cost nothing, which makes the rest no better known
        record(status=status, evidence="none", cost_pico=0)
    assert (everything().cost_pico, everything().unknown_cost_requests) == (None, 1)

    record(cost_pico=4)
    assert (everything().cost_pico, everything().unknown_cost_requests) == (4, 1)


def test_a_refusal_used_nothing_so_its_cost_is_not_unknown() -> None:
    record(status="refused", evidence="none", cost_pico=None, provider="", deployment="")
    assert (everything().cost_pico, everything().unknown_cost_requests) == (0, 0)


def test_each_figure_is_its_own() -> None:
    tokens: dict[str, Any] = {"input_tokens": 30, "cached_input_tokens": 20, "output_tokens": 9, "reasoning_tokens": 4}
    record(**tokens, cost_pico=7, latency_ms=50.0)
    record(status="cached", evidence="none", cost_pico=0, saved_pico=6, input_tokens=0, output_tokens=0)

    assert everything() == queries.Totals(requests=2, cached=1, **tokens, cost_pico=7, saved_pico=6, latency_ms=50.0)


def test_the_range_holds_its_start_and_not_its_end() -> None:
    record(NOON)
    assert queries.totals(NOON, NOON + timedelta(hours=1)).requests == 1
    assert queries.totals(NOON - timedelta(hours=1), NOON).requests == 0


def test_filters() -> None:
    record(client="shop", provider="openai", deployment="gpt-5", end_user="ann", tags={"team": "search"})
    record(
        client="blog",
        provider="anthropic",
        deployment="claude",
        surface="messages",
        tags={"a__b": "1", "42": "x", "größe": "1", 'a"b\\c.d': "1"},
    )

    assert everything(client="shop").requests == 1
    assert everything(provider="anthropic", model="claude", surface="messages").requests == 1
    assert everything(end_user="ann", client=None).requests == 1
    assert everything(tag="team=search").requests == 1
    assert everything(tag="team=other").requests == 0
    assert everything(tag="a__b=1").requests == 1
    assert everything(tag="42=x").requests == 1
    assert everything(tag="größe=1").requests == 1
    assert everything(tag='a"b\\c.d=1').requests == 1


def test_groups_come_dearest_first() -> None:
    record(client="shop", cost_pico=1)
    record(client="blog", cost_pico=5)
    record(client="blog", cost_pico=5)
    for client in ("tied", "also", "tied", "busy", "busy", "busy", "also"):
        record(client=client, cost_pico=0)
    record(client="wiki", cost_pico=None)

    rows = queries.grouped(LONG_AGO, FAR_AHEAD, by="client")

    assert [(row.key, row.requests, row.cost_pico) for row in rows] == [
        ("blog", 2, 10),
        ("shop", 1, 1),
        ("busy", 3, 0),
        ("also", 2, 0),
        ("tied", 2, 0),
        ("wiki", 1, None),
    ]


@pytest.mark.parametrize("top", [1, 2, 3, 9])
@pytest.mark.parametrize("by", ["client", "endUser", "clientId", "day"])
@pytest.mark.parametrize("end", [FAR_AHEAD, FAR_AHEAD + timedelta(minutes=1)])
def test_the_dearest_so_many_are_the_first_of_all(by: queries.By, top: int, end: datetime) -> None:
    for number, client in enumerate(("shop", "blog", "wiki", "blog")):
        record(client=client, end_user=client[:2], cost_pico=number or None)

    whole = queries.grouped(LONG_AGO, end, by=by)

    assert queries.grouped(LONG_AGO, end, by=by, top=top) == (whole if by == "day" else whole[:top])


def test_a_call_counts_under_each_of_its_tags() -> None:
    record(tags={"team": "search", "env": "prod"}, latency_ms=100)
    record(tags={"team": "search"}, latency_ms=200)
    record(tags={})

    rows = {row.key: row for row in queries.grouped(LONG_AGO, FAR_AHEAD, by="tag")}

    assert {key: row.requests for key, row in rows.items()} == {"team=search": 2, "env=prod": 1, "": 1}
    assert rows["team=search"].latency_ms == 150


@pytest.mark.parametrize("top", [None, 1])
def test_more_tags_than_memory_should_hold_are_refused(top: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(queries.MOST_GROUPS, "tag", 3)
    for number in range(3):
        record(tags={"trace": str(number)})
    assert len(queries.grouped(LONG_AGO, FAR_AHEAD, by="tag")) == 3
    record(tags={"trace": "one more"})

    with pytest.raises(queries.TooManyGroupsError, match="By tag these calls fall into more than 3 groups"):
        queries.grouped(LONG_AGO, FAR_AHEAD, by="tag", top=top)


@pytest.mark.parametrize("by", queries.GROUPINGS)
def test_the_groups_add_up_to_the_total(by: queries.By) -> None:
    for hour in range(0, 24 * 40, 7):
        record(NOON + timedelta(hours=hour), provider=f"p{hour % 3}", tags={"n": str(hour % 2)})

    rows = queries.grouped(LONG_AGO, FAR_AHEAD, by=by, time_zone=KATHMANDU)

    assert len(rows) >= 1
    assert sum(row.requests for row in rows) == everything().requests
    assert sum(row.cost_pico or 0 for row in rows) == everything().cost_pico


def test_a_day_in_kathmandu_begins_at_a_quarter_past_six_in_the_evening() -> None:
    record(datetime(2025, 11, 20, 18, 14, 59, 999_999, tzinfo=UTC))
    record(datetime(2025, 11, 20, 18, 15, tzinfo=UTC))

    rows = queries.grouped(LONG_AGO, FAR_AHEAD, by="day", time_zone=KATHMANDU)

    assert [(row.key, row.requests) for row in rows] == [("2025-11-20", 1), ("2025-11-21", 1)]
    assert rows[1].starts_at == datetime(2025, 11, 20, 18, 15, tzinfo=UTC)


@pytest.mark.parametrize(("day", "hours"), [(date(2025, 3, 30), 23), (date(2025, 10, 26), 25), (date(2025, 7, 1), 24)])
def test_days_when_the_clocks_change(day: date, hours: int) -> None:
    start = queries.midnight(day, BERLIN)
    end = queries.next_bucket(start, "day", BERLIN)
    for hour in range(-2, hours + 2):
        record(start.astimezone(UTC) + timedelta(hours=hour, minutes=30))

    days = queries.grouped(LONG_AGO, FAR_AHEAD, by="day", time_zone=BERLIN)
    by_hour = queries.grouped(start, end, by="hour", time_zone=BERLIN)

    assert [row.requests for row in days] == [2, hours, 2]
    assert [row.requests for row in by_hour] == [1] * hours
    assert len({row.key for row in by_hour}) == hours
    assert queries.totals(start, end).requests == hours


def test_where_clocks_go_back_by_half_an_hour_an_hour_has_ninety_minutes() -> None:
    """On Lord Howe the half-hour from 1:30 comes twice in that night; in spring the hour from 2:00 is half a one."""
    lord_howe = ZoneInfo("Australia/Lord_Howe")
    for day, minutes in ((date(2026, 4, 5), 90), (date(2026, 10, 4), 30)):
        at, end = (queries.midnight(each, lord_howe) for each in (day, day + timedelta(days=1)))
        lengths = []
        while at < end:
            following = queries.next_bucket(at, "hour", lord_howe)
            lengths.append((following.astimezone(UTC) - at.astimezone(UTC)) // timedelta(minutes=1))
            assert len(lengths) < 30
            at = following
        assert sorted(lengths) == sorted([60] * 23 + [minutes])


def test_the_days_of_a_month_are_the_month() -> None:
    month = datetime(2025, 10, 1, tzinfo=BERLIN)
    for hour in range(-30, 24 * 31 + 30, 5):
        record(month.astimezone(UTC) + timedelta(hours=hour))
    start, end = month, queries.next_bucket(month, "month", BERLIN)

    days = queries.grouped(start, end, by="day", time_zone=BERLIN)
    months = queries.grouped(start, end, by="month", time_zone=BERLIN)

    assert [(row.key, row.requests) for row in months] == [("2025-10", sum(day.requests for day in days))]
    assert queries.totals(start, end).requests == months[0].requests


def test_a_midnight_that_the_clocks_skip() -> None:
    cairo = ZoneInfo("Africa/Cairo")  # on 2025-04-25 the day began at 01:00
    start = queries.midnight(date(2025, 4, 25), cairo)
    assert start.astimezone(UTC) == datetime(2025, 4, 24, 22, tzinfo=UTC)
    assert queries.bucket_start(start, "day", cairo) == start


def test_the_last_instant_of_a_quarter_hour_stays_in_it() -> None:
    record(datetime(2025, 11, 20, 23, 59, 59, 999_999, tzinfo=UTC))
    assert [row.key for row in queries.grouped(LONG_AGO, FAR_AHEAD, by="day")] == ["2025-11-20"]


def test_a_series_is_the_days_apart_for_each_provider() -> None:
    record(NOON, provider="openai", cost_pico=1)
    record(NOON + timedelta(minutes=40), provider="openai", cost_pico=2)
    record(NOON, provider="anthropic", cost_pico=None)
    record(NOON + timedelta(days=1), provider="openai", cost_pico=4)

    points = queries.series(LONG_AGO, FAR_AHEAD, by="provider")

    assert [(p.starts_at.day, p.key, p.requests, p.cost_pico) for p in points] == [
        (20, "anthropic", 1, 0),
        (20, "openai", 2, 3),
        (21, "openai", 1, 4),
    ]


def test_calls_in_flight() -> None:
    assert queries.in_flight() == queries.InFlight(calls=0, amount_pico=0)
    for amount in (7, None):
        Hold.objects.create(
            amount_pico=amount, input_tokens=1, output_tokens=1, lease_id=uuid7_at(1), deadline_at=NOON, started_at=NOON
        )
    assert queries.in_flight() == queries.InFlight(calls=2, amount_pico=7)
