"""The sums behind the reports, row by row."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.api.conftest import NewRecord

URL = "/api/usage/rollups"
MARCH = {"startDate": "2026-03-01", "endDate": "2026-03-31", "timeZone": "UTC"}


@pytest.fixture
def books(new_record: NewRecord, noon: datetime) -> None:
    for moment in (noon, noon + timedelta(minutes=20), noon + timedelta(days=1)):
        new_record(moment, client="alice", end_user="u1", cost_pico=10**12)
    new_record(noon, client="bob", deployment="llama3", status="error", cost_pico=None)
    new_record(noon - timedelta(days=40), client="bob")


def _rows(api: APIClient, **query: Any) -> list[dict[str, Any]]:
    page = api.get(URL, MARCH | query).json()
    found: list[dict[str, Any]] = page["results"]
    while page["next"]:
        page = api.get(page["next"]).json()
        found += page["results"]
    return found


@pytest.mark.parametrize(("by", "rows"), [("quarter", 4), ("day", 3), ("endUser", 3), ("key", 3)])
def test_each_table_has_all_calls_of_the_period(api: APIClient, books: None, by: str, rows: int) -> None:
    found = _rows(api, by=by, pageSize=2)
    assert len({row["id"] for row in found}) == len(found) == rows
    assert sum(row["requests"] for row in found) == 4
    assert sum(Decimal(row["costUsd"]) for row in found) == 3
    assert sum(row["unknownCostRows"] for row in found) == 1


def test_a_row_has_what_its_table_keeps_apart(api: APIClient, books: None, noon: datetime) -> None:
    (day, *_) = _rows(api, client="alice")
    assert (day["provider"], day["status"], day["day"]) == (
        "openai",
        "ok",
        (noon + timedelta(days=1)).date().isoformat(),
    )
    assert "startsAt" not in day
    assert "endUser" not in day
    assert {row["endUser"] for row in _rows(api, by="endUser", client="alice")} == {"u1"}
    assert {row["startsAt"][:16] for row in _rows(api, by="quarter", client="bob")} == {noon.isoformat()[:16]}


def test_each_count_is_that_of_its_name(api: APIClient, new_record: NewRecord, noon: datetime) -> None:
    for times, status in enumerate(("ok", "error", "refused", "cancelled", "cached"), start=1):
        for _ in range(times):
            new_record(noon, status=status, cost_pico=None if status == "error" else 0)

    [day] = _rows(api, by="key")

    words = ("failed", "refused", "cancelled", "cached")
    assert [day["requests"], *(day[f"{word}Requests"] for word in words)] == [15, 2, 3, 4, 5]
    assert (day["knownCostRows"], day["unknownCostRows"]) == (13, 2)


@pytest.mark.parametrize(("by", "rows"), [("day", 1), ("quarter", 2)])
def test_the_last_day_is_included_and_the_next_is_not(
    api: APIClient, new_record: NewRecord, noon: datetime, by: str, rows: int
) -> None:
    midnight = noon.replace(hour=0)
    for moment in (midnight, midnight + timedelta(hours=23, minutes=59), midnight + timedelta(days=1)):
        new_record(moment)

    assert len(_rows(api, by=by, startDate="2026-03-10", endDate="2026-03-10")) == rows


def test_they_are_filtered(api: APIClient, books: None) -> None:
    assert {row["client"] for row in _rows(api, status="error")} == {"bob"}
    assert _rows(api, deployment="llama3")[0]["failedRequests"] == 1
    assert len(_rows(api, by="endUser", endUser="u1")) == 2
    assert _rows(api, by="key", key="nobody") == []
    refused = api.get(URL, {"by": "key", "provider": "openai"})
    assert (refused.status_code, "do not keep the provider apart" in refused.content.decode()) == (400, True)


def test_they_cannot_be_written(api: APIClient) -> None:
    assert [api.post(URL, {}).status_code, api.delete(URL).status_code] == [405, 405]


def test_they_are_for_managers_alone(caller: APIClient, nobody: APIClient, db: None) -> None:
    assert (caller.get(URL).status_code, nobody.get(URL).status_code) == (403, 401)
