"""The books as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.http import StreamingHttpResponse
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from tests.api.conftest import NewRecord
from usage import export

URL = "/api/usage/exports"
MARCH = {"startDate": "2026-03-01", "endDate": "2026-03-31", "timeZone": "Asia/Kathmandu"}


def exported(api: APIClient, **query: Any) -> list[dict[str, str]]:
    answer = cast("StreamingHttpResponse", api.get(URL, MARCH | query, headers={"Accept": "text/csv"}))
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO("".join(chunks(answer)), newline="")))


def chunks(answer: StreamingHttpResponse) -> list[str]:
    async def gather() -> list[str]:
        return [chunk.decode() async for chunk in cast("AsyncIterator[bytes]", answer.streaming_content)]

    return async_to_sync(gather)()


def test_rows_come_oldest_first_with_exact_money(api: APIClient, new_record: NewRecord, noon: datetime) -> None:
    later = new_record(noon + timedelta(hours=1), cost_pico=None)
    first = new_record(noon, tags={"team": "search"}, cost_pico=-5)
    new_record(noon - timedelta(days=40))

    rows = exported(api)

    assert [row["id"] for row in rows] == [str(first.pk), str(later.pk)]
    assert [row["cost_usd"] for row in rows] == ["-0.000000000005", ""]
    assert rows[0]["tags"] == '{"team":"search"}'
    assert rows[0]["started_at"] == "2026-03-10T17:45:00+05:45"
    assert (rows[0]["client"], rows[0]["input_tokens"], rows[0]["latency_ms"]) == ("alice", "10", "200.0")


def test_each_figure_stands_under_its_name(api: APIClient, new_record: NewRecord, noon: datetime) -> None:
    into = ("cached_input", "cache_write_5m", "cache_write_1h", "audio_input", "image_input")
    out = ("reasoning", "audio_output", "image_output")
    tokens = {f"{kind}_tokens": number for number, kind in enumerate((*into, *out), start=1)}
    dollars = {"input_cost": 21, "output_cost": 22, "request_cost": 23, "saved": 24}
    new_record(noon, **tokens, **{f"{name}_pico": amount * 10**12 for name, amount in dollars.items()})

    [row] = exported(api)

    assert {name: int(row[name]) for name in tokens} == tokens
    names = [f"{name}_usd" for name in ("input_cost", "output_cost", "request_cost", "cache_savings")]
    assert [row[name] for name in names] == ["21", "22", "23", "24"]


def test_filters_hold(api: APIClient, new_record: NewRecord, noon: datetime) -> None:
    new_record(noon, end_user="ann")
    new_record(noon, client="bob", key_prefix="aip_bob")
    assert [row["end_user"] for row in exported(api, endUser="ann")] == ["ann"]
    assert [row["client"] for row in exported(api, key="aip_bob")] == ["bob"]
    assert api.get(URL, MARCH | {"colour": "red"}).json()["fields"].keys() == {"colour"}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff20"])
def test_no_cell_is_a_formula(api: APIClient, new_record: NewRecord, noon: datetime, start: str) -> None:
    evil = f'{start}HYPERLINK("http://evil.example","Click")'
    new_record(noon, end_user=evil, request_id=evil, tags={}, error_detail=evil)
    [row] = exported(api)
    assert (row["end_user"], row["request_id"], row["error_detail"]) == (f"'{evil}", f"'{evil}", f"'{evil}")
    [group] = csv.DictReader(io.StringIO(api.get(URL, MARCH | {"groupBy": "endUser"}).content.decode(), newline=""))
    assert group["endUser"] == f"'{evil}"


def test_it_streams_in_pages(
    api: APIClient, new_record: NewRecord, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PAGE_ROWS", 2)
    for minute in range(5):
        new_record(noon + timedelta(minutes=minute), request_id=str(minute))
    with CaptureQueriesContext(connection) as ran:
        parts = chunks(cast("StreamingHttpResponse", api.get(URL, MARCH)))
    assert len(parts) == 4
    assert [row["request_id"] for row in csv.DictReader(io.StringIO("".join(parts)))] == list("01234")
    assert all("LIMIT 2" in query["sql"] for query in ran if "usage_usagerecord" in query["sql"])


def test_sums_by_group(api: APIClient, new_record: NewRecord, noon: datetime) -> None:
    new_record(noon)
    new_record(noon, client="bob", cost_pico=None)
    answer = api.get(URL, MARCH | {"groupBy": "client"})
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert [(row["client"], row["requests"], row["cost_usd"]) for row in rows] == [
        ("alice", "1", "0.000001234567"),
        ("bob", "1", ""),
    ]
    assert answer["Content-Disposition"] == 'attachment; filename="usage-2026-03-01-2026-03-31.csv"'


def test_it_is_not_for_callers(caller: APIClient, nobody: APIClient) -> None:
    assert caller.get(URL).status_code == 403
    assert nobody.get(URL).status_code == 401
