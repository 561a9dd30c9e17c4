"""Sums read from the rollups are those of the records, whatever is asked."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.usage.rows import book, hold, record
from tests.usage.test_books import clean
from usage import ledger, queries, sums
from usage.ledger import Note
from usage.models import Day, UsageRecord

pytestmark = pytest.mark.django_db
T = TypeVar("T")
FIRST = datetime(2025, 10, 20, tzinfo=UTC)
ZONES = ["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe"]
NEAR = st.timedeltas(timedelta(0), timedelta(days=16)).map(lambda distance: FIRST + distance)
ROWS: st.SearchStrategy[list[dict[str, Any]]] = st.lists(
    st.builds(
        dict,
        started_at=NEAR | st.sampled_from([FIRST + timedelta(minutes=15 * number) for number in range(0, 1_500, 31)]),
        client=st.sampled_from(["alice", "bob"]),
        key_prefix=st.sampled_from(["k1", "k2"]),
        end_user=st.sampled_from(["", "ann", "ben"]),
        tags=st.sampled_from(["{}", '{"team":"search"}', '{"team":"ads","env":"prod"}']),
        provider=st.sampled_from(["openai", "rack", ""]),
        provider_id=st.sampled_from([UUID(int=3), None]),
        deployment=st.sampled_from(["gpt", "llama"]),
        surface=st.sampled_from(["openai.chat", "grpc"]),
        status=st.sampled_from(["ok", "ok", "error", "interrupted", "refused", "cancelled", "cached"]),
        evidence=st.sampled_from(["reported", "estimated", "upper_bound", "none"]),
        kind=st.sampled_from(["call", "call", "adjustment"]),
        is_final=st.booleans(),
        cost_pico=st.none() | st.integers(-(10**6), 10**16),
        latency_ms=st.none() | st.floats(0, 10**5),
    ),
    min_size=1,
    max_size=25,
)
FILTERS = st.sampled_from(
    [
        {},
        {"client": "alice"},
        {"client": "bob", "provider": "openai"},
        {"model": "gpt", "status": "ok"},
        {"key": "k1"},
        {"key": "k1", "client": "alice"},
        {"end_user": "ann"},
        {"end_user": "ann", "key": "k2"},
        {"surface": "grpc", "evidence": "reported"},
        {"tag": "team=search"},
        {"provider_id": UUID(int=3)},
    ]
)


@given(
    rows=ROWS,
    ends=st.tuples(NEAR, NEAR),
    whole=st.booleans(),
    zones=st.tuples(st.sampled_from(ZONES), st.sampled_from(ZONES)),
    by=st.sampled_from(queries.GROUPINGS),
    filters=FILTERS,
)
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_any_question_is_answered_as_from_the_records(
    rows: list[dict[str, Any]],
    ends: tuple[datetime, datetime],
    *,
    whole: bool,
    zones: tuple[str, str],
    by: queries.By,
    filters: Any,
) -> None:
    ours, theirs = zones
    start, end = sorted(ends)
    if whole:
        start, end = (queries.bucket_start(moment, "day", ZoneInfo(theirs)) for moment in (start, end))
    with override_settings(TIME_ZONE=ours):
        clean()
        ledger.apply([Note(record(hold(started_at=row["started_at"]), **row)) for row in rows])

        def asked() -> Any:
            zone = ZoneInfo(theirs)
            found: list[Any] = [queries.totals(start, end, **filters)]
            found.append(queries.grouped(start, end, by=by, time_zone=zone, **filters))
            field: Any = by
            if field in queries.SERIES:
                found.append(queries.series(start, end, by=field, bucket="week", time_zone=zone, **filters))
            return found

        assert asked() == from_records(asked)


def from_records(ask: Callable[[], T]) -> T:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sums, "_levels", lambda *_: [sums._RECORDS])
        return ask()


@pytest.mark.parametrize(
    ("asked", "tables"),
    [
        ({"by": "provider"}, {"usage_day"}),
        ({"by": "deployment", "client": "alice"}, {"usage_day"}),
        ({"by": "month"}, {"usage_day"}),
        ({"by": "hour"}, {"usage_quarter"}),
        ({"by": "day", "time_zone": ZoneInfo("Asia/Kathmandu")}, {"usage_quarter"}),
        ({"by": "endUser"}, {"usage_userday"}),
        ({"by": "client", "end_user": "ann"}, {"usage_userday"}),
        ({"by": "key"}, {"usage_keyday"}),
        ({"by": "tag"}, {"usage_usagerecord"}),
        ({"by": "provider", "tag": "a=b"}, {"usage_usagerecord"}),
    ],
)
def test_whole_days_are_read_from_the_narrowest_table(
    asked: dict[str, Any], tables: set[str], django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(1) as ran:
        queries.grouped(FIRST, FIRST + timedelta(days=3), **asked)
    words = ran[0]["sql"].split()
    assert {word.strip('"') for word in words if word.startswith('"usage_') and "." not in word} == tables


def test_a_ragged_range_reads_records_only_at_its_ends(django_assert_num_queries: Any) -> None:
    ragged = timedelta(hours=5, minutes=7, seconds=1)
    with django_assert_num_queries(5) as ran:
        queries.totals(FIRST - ragged, FIRST + timedelta(days=2) + ragged)
    read = [next(name for name in ("usagerecord", "quarter", "usage_day") if name in query["sql"]) for query in ran]
    assert read == ["usagerecord", "quarter", "usage_day", "quarter", "usagerecord"]


def test_groups_are_not_gathered_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "_GROUPS_AT_ONCE", 50)
    Day.objects.bulk_create(Day(day=FIRST.date(), client=f"c{number}", shard=0) for number in range(2_000))

    def lines() -> Iterator[sums.Line]:
        return sums.lines(FIRST, FIRST + timedelta(days=1), columns=["client"], filters={})

    all_at_once, found = peak_bytes(lambda: len(list(lines())))
    one_by_one, counted = peak_bytes(lambda: sum(1 for _ in lines()))
    assert found == counted == 2_000
    assert one_by_one * 4 < all_at_once


def peak_bytes(work: Callable[[], T]) -> tuple[int, T]:
    tracemalloc.start()
    try:
        result = work()
        return tracemalloc.get_traced_memory()[1], result
    finally:
        tracemalloc.stop()


def test_an_empty_range_asks_nothing(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert queries.totals(FIRST, FIRST) == queries.Totals()


def test_weeks_begin_on_monday() -> None:
    for day in (2, 3, 9, 10):  # Sunday, Monday, Sunday, Monday
        at = datetime(2025, 11, day, 12, tzinfo=UTC)
        facts = hold(started_at=at)
        book(UsageRecord(id=facts.id, started_at=at, ended_at=at, status="ok", evidence="reported"))

    rows = queries.grouped(FIRST, FIRST + timedelta(days=30), by="week")

    assert [(row.key, row.requests) for row in rows] == [("2025-W44", 1), ("2025-W45", 2), ("2025-W46", 1)]
    assert rows[1].starts_at == datetime(2025, 11, 3, tzinfo=UTC)
