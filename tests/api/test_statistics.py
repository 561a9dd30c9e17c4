"""Statistics and the ledger's rows, read over the management API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from core.money import pico_from_usd
from tests.api.conftest import NewRecord
from tests.usage.traffic import traffic
from usage import queries
from usage.models import UsageRecord

URL = "/api/ai-providers/statistics"
MARCH = {"startDate": "2026-03-01", "endDate": "2026-03-31", "timeZone": "UTC"}


@pytest.fixture
def books(new_record: NewRecord, noon: datetime) -> list[UsageRecord]:
    """Alice's and Bob's calls on two days, one of unknown cost, one failed first and then answered elsewhere."""
    alice = {"client": "alice", "client_id": UUID(int=1), "end_user": "u1", "tags": {"team": "search", "env": "prod"}}
    bob = {"client": "bob", "client_id": UUID(int=9), "provider": "ollama", "provider_id": UUID(int=3)}
    tomorrow = noon + timedelta(days=1)
    return [
        new_record(noon, **alice),
        new_record(noon, **alice, status="error", is_final=False, cost_pico=7),
        new_record(tomorrow, **(alice | {"cost_pico": 10**12, "tags": {}})),
        new_record(noon, **bob, deployment="llama3", cost_pico=None),
        new_record(tomorrow, **bob, deployment="llama3", cost_pico=0, status="error"),
        new_record(
            tomorrow, **alice, kind="adjustment", is_final=False, cost_pico=-5, input_tokens=0, output_tokens=-1
        ),
        new_record(noon - timedelta(days=40), **bob),
    ]


@pytest.mark.parametrize("topic", ["usage", "cost", "performance", "requests"])
def test_totals_are_the_sums_of_the_rows(api: APIClient, books: list[UsageRecord], topic: str) -> None:
    answer = api.get(f"{URL}/{topic}", MARCH).json()

    counted = books[:-1]
    assert (answer["from"], answer["to"], answer["timeZone"]) == ("2026-03-01", "2026-03-31", "UTC")
    totals = answer["totals"]
    assert pico_from_usd(totals["costUsd"]) == sum(row.cost_pico or 0 for row in counted)
    assert totals["costUsd"] == "1.000001234569"
    assert totals["inputTokens"] == sum(row.input_tokens for row in counted)
    assert totals["outputTokens"] == sum(row.output_tokens for row in counted)
    assert (totals["requests"], totals["failedRequests"], totals["successfulRequests"]) == (4, 1, 3)
    assert (totals["unknownCostRequests"], totals["errorRate"]) == (1, 25.0)


@pytest.mark.django_db(transaction=True)
def test_also_while_calls_go_on(api: APIClient) -> None:
    today = timezone.now()
    with traffic(started_at=today):
        told = [api.get(f"{URL}/usage", {"groupBy": "model"}).json() for _ in range(15)]

    assert [answer["totals"]["requests"] for answer in told] == [
        sum(row["requests"] for row in answer["rows"]) for answer in told
    ]
    assert told[0]["totals"]["requests"] < told[-1]["totals"]["requests"]


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("provider", ["openai", "ollama"]),
        ("providerId", [str(UUID(int=2)), str(UUID(int=3))]),
        ("model", ["openai/gpt-4", "llama3"]),
        ("deployment", ["openai/openai/gpt-4", "ollama/llama3"]),
        ("client", ["alice", "bob"]),
        ("key", [""]),
        ("surface", ["openai"]),
        ("status", ["ok", "error"]),
        ("evidence", ["reported"]),
        ("week", ["2026-W11"]),
        ("endUser", ["u1", ""]),
        ("tag", ["", "env=prod", "team=search"]),
        ("hour", ["2026-03-10T12:00:00+00:00", "2026-03-11T12:00:00+00:00"]),
        ("day", ["2026-03-10", "2026-03-11"]),
        ("month", ["2026-03"]),
    ],
)
def test_groups_by_every_dimension(api: APIClient, books: list[UsageRecord], by: str, groups: list[str]) -> None:
    answer = api.get(f"{URL}/usage", MARCH | {"groupBy": by}).json()

    assert answer["groupBy"] == by
    assert sorted(row[by] for row in answer["rows"]) == sorted(groups)
    if by != "tag":
        costs = [pico_from_usd(row["costUsd"]) for row in answer["rows"] if row["costUsd"] is not None]
        assert sum(costs) == pico_from_usd(answer["totals"]["costUsd"])
        assert sum(row["requests"] for row in answer["rows"]) == answer["totals"]["requests"]


def test_each_figure_is_that_of_its_name(api: APIClient, new_record: NewRecord, noon: datetime) -> None:
    parts = {"cached_input_tokens": 3, "reasoning_tokens": 2, "latency_ms": 400.0}
    new_record(noon, **parts)
    for status, times in (("error", 1), ("refused", 2), ("cancelled", 3)):
        for _ in range(times):
            new_record(noon, status=status, client="bob", cost_pico=0, input_tokens=0, output_tokens=0, latency_ms=None)
    for _ in range(4):
        new_record(noon, status="cached", client="bob", cost_pico=0, evidence="none", saved_pico=10**12)

    told = api.get(f"{URL}/usage", MARCH).json()["totals"]

    words = ("", "successful", "failed", "refused", "cancelled", "cached")
    counts = [told[f"{word}Requests" if word else "requests"] for word in words]
    assert counts == [11, 5, 1, 2, 3, 4]
    assert (told["cachedInputTokens"], told["reasoningTokens"], told["cacheSavingsUsd"]) == (3, 2, "4")
    assert told["totalTokens"] == told["inputTokens"] + told["outputTokens"]
    alice = api.get(f"{URL}/usage", MARCH | {"client": "alice"}).json()["totals"]
    assert alice["averageLatencyMs"] == 400.0


def test_one_clients_figures_are_its_own(api: APIClient, books: list[UsageRecord]) -> None:
    alice = api.get(f"{URL}/cost", MARCH | {"client": "alice", "groupBy": "client"}).json()
    ollama = api.get(f"{URL}/cost", MARCH | {"providerId": str(UUID(int=3))}).json()
    tagged = api.get(f"{URL}/cost", MARCH | {"tag": "team=search"}).json()

    assert [row["client"] for row in alice["rows"]] == ["alice"]
    assert alice["totals"]["requests"] == 2
    assert ollama["totals"]["requests"] == 2
    assert tagged["totals"]["requests"] == 1


@pytest.mark.parametrize("name", ["größe", "cost centre", "a.b", "team__gt", "a\\b", 'a"b', "it's", "100%", "0", "$"])
def test_whatever_a_tag_is_called_it_is_found(api: APIClient, new_record: NewRecord, noon: datetime, name: str) -> None:
    new_record(noon, tags={name: "x=y, z"})
    new_record(noon, tags={"team": "x=y, z"})

    found = api.get(f"{URL}/cost", MARCH | {"tag": f"{name}=x=y, z"}).json()

    assert found["totals"]["requests"] == 1


def test_an_unknown_cost_is_null_and_counted(api: APIClient, new_record: NewRecord, noon: datetime) -> None:
    new_record(noon, cost_pico=None)

    totals = api.get(f"{URL}/cost", MARCH).json()["totals"]

    assert (totals["costUsd"], totals["unknownCostRequests"]) == (None, 1)


def test_the_last_day_is_included_in_the_zone_asked_for(api: APIClient, new_record: NewRecord, noon: datetime) -> None:
    new_record(noon.replace(hour=23, minute=59))
    day = {"startDate": "2026-03-10", "endDate": "2026-03-10"}

    utc = api.get(f"{URL}/usage", day | {"timeZone": "UTC"}).json()
    kathmandu = api.get(f"{URL}/usage", day | {"timeZone": "Asia/Kathmandu"}).json()
    next_day = {"startDate": "2026-03-11", "endDate": "2026-03-11", "timeZone": "Asia/Kathmandu", "groupBy": "day"}
    following = api.get(f"{URL}/usage", next_day).json()

    assert (utc["totals"]["requests"], kathmandu["totals"]["requests"]) == (1, 0)
    assert [row["day"] for row in following["rows"]] == ["2026-03-11"]


def test_a_day_that_the_clocks_shorten_ends_with_it(api: APIClient, new_record: NewRecord) -> None:
    """In Berlin the 29th of March 2026 has 23 hours."""
    new_record(datetime(2026, 3, 29, 22, 30, tzinfo=UTC))
    berlin = {"timeZone": "Europe/Berlin"}

    days = [
        api.get(f"{URL}/usage", berlin | {"startDate": day, "endDate": day}).json()["totals"]["requests"]
        for day in ("2026-03-29", "2026-03-30")
    ]

    assert days == [0, 1]


@pytest.mark.parametrize(("zone", "today"), [("Pacific/Kiritimati", "2026-03-11"), ("Pacific/Pago_Pago", "2026-03-10")])
def test_today_is_that_of_the_zone_asked_for(
    api: APIClient, noon: datetime, monkeypatch: pytest.MonkeyPatch, zone: str, today: str
) -> None:
    monkeypatch.setattr(timezone, "now", lambda: noon)

    assert api.get(f"{URL}/usage", {"timeZone": zone}).json()["to"] == today


def test_a_day_to_come_may_be_the_first(api: APIClient) -> None:
    answer = api.get(f"{URL}/usage", {"startDate": "2099-01-01"}).json()

    assert (answer["from"], answer["to"]) == ("2099-01-01", "2099-01-01")


def test_ten_years_are_told_at_once_and_no_more(api: APIClient) -> None:
    days = {"startDate": "2016-01-01", "endDate": "2026-01-07"}

    assert api.get(f"{URL}/usage", days).status_code == 200
    refused = api.get(f"{URL}/usage", days | {"endDate": "2026-01-08"})
    assert refused.json()["fields"] == {"startDate": ["At most 3660 days at once."]}


def test_without_dates_it_is_the_last_thirty_days(api: APIClient) -> None:
    answer = api.get(f"{URL}/usage").json()

    days = datetime.fromisoformat(answer["to"]) - datetime.fromisoformat(answer["from"])
    assert (days, answer["totals"]["costUsd"], answer["rows"]) == (timedelta(days=29), "0", [])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"startDate": "yesterday"}, "startDate"),
        ({"startDate": "2026-02-30"}, "startDate"),
        ({"startDate": "2026-04-01"}, "endDate"),
        ({"startDate": "0001-01-01"}, "startDate"),
        ({"endDate": "9999-12-31"}, "endDate"),
        ({"startDate": "1999-01-01"}, "startDate"),
        ({"groupBy": "colour"}, "groupBy"),
        ({"startDate": "2025-01-01", "groupBy": "hour"}, "groupBy"),
        ({"timeZone": "Mars/Olympus"}, "timeZone"),
        ({"timeZone": "../etc/passwd"}, "timeZone"),
        ({"timeZone": "Europe"}, "timeZone"),
        ({"providerId": "openai"}, "providerId"),
        ({"tag": "team"}, "tag"),
        ({"tag": "=search"}, "tag"),
        ({"stratDate": "2026-01-01"}, "stratDate"),
    ],
)
def test_a_bad_parameter_is_named(api: APIClient, change: dict[str, Any], field: str) -> None:
    answer = api.get(f"{URL}/usage", MARCH | change)

    assert answer.status_code == 400, answer.content
    assert list(answer.json()["fields"]) == [field]


def test_a_bad_grouping_says_what_is_allowed(api: APIClient) -> None:
    error = api.get(f"{URL}/usage", {"groupBy": "colour"}).json()["error"]

    for allowed in ("provider", "model", "client", "endUser", "tag", "day", "hour", "month"):
        assert allowed in error


@pytest.mark.parametrize("url", [f"{URL}/usage", "/api/usage/exports"])
@pytest.mark.parametrize("by", ["tag", "endUser"])
def test_too_many_groups_are_refused_by_the_fields_name(
    api: APIClient, new_record: NewRecord, noon: datetime, monkeypatch: pytest.MonkeyPatch, *, url: str, by: str
) -> None:
    monkeypatch.setitem(queries.MOST_GROUPS, by, 2)
    for number in range(3):
        new_record(noon, tags={"trace": str(number)}, end_user=f"u{number}")

    answer = api.get(url, MARCH | {"groupBy": by})

    assert answer.status_code == 400
    expected = f"By {by} these calls fall into more than 2 groups: ask for fewer days, or one client."
    assert answer.json()["fields"]["groupBy"] == [expected]


def test_the_dearest_of_too_many_end_users_can_be_asked_for(
    api: APIClient, new_record: NewRecord, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(queries.MOST_GROUPS, "endUser", 2)
    for number in range(3):
        new_record(noon, end_user=f"u{number}", cost_pico=number)

    rows = api.get(f"{URL}/cost", MARCH | {"groupBy": "endUser", "limit": 2}).json()["rows"]

    assert [row["endUser"] for row in rows] == ["u2", "u1"]


@pytest.mark.parametrize("url", [f"{URL}/usage", "/api/usage/exports"])
def test_hours_are_told_of_a_hundred_days(api: APIClient, url: str) -> None:
    days = {"startDate": "2026-01-01", "endDate": "2026-04-11", "groupBy": "hour"}

    assert api.get(url, days).json()["fields"] == {"groupBy": ["By hour, ask for at most 100 days."]}
    assert api.get(url, days | {"endDate": "2026-04-10"}).status_code == 200


def test_records_are_the_ledgers_rows(api: APIClient, books: list[UsageRecord]) -> None:
    rows = api.get("/api/usage/records", MARCH).json()["results"]

    assert {row["id"] for row in rows} == {str(row.pk) for row in books[:-1]}
    assert [row["id"] for row in rows] == sorted((row["id"] for row in rows), reverse=True)
    by_id = {row["id"]: row for row in rows}
    assert by_id[str(books[0].pk)]["costUsd"] == "0.000001234567"
    assert by_id[str(books[3].pk)]["costUsd"] is None
    assert by_id[str(books[5].pk)]["costUsd"] == "-0.000000000005"
    assert by_id[str(books[0].pk)]["tags"] == {"team": "search", "env": "prod"}


def test_each_part_of_a_records_cost_is_that_of_its_name(api: APIClient, new_record: NewRecord, noon: datetime) -> None:
    parts = {"input_cost_pico": 1, "output_cost_pico": 2, "request_cost_pico": 3, "saved_pico": 4}
    row = new_record(noon, **{name: number * 10**12 for name, number in parts.items()}, key_id=UUID(int=7))
    new_record(noon)

    [told] = api.get("/api/usage/records", MARCH | {"keyId": str(UUID(int=7))}).json()["results"]

    names = ("inputCostUsd", "outputCostUsd", "requestCostUsd", "savedUsd")
    assert (told["id"], [told[name] for name in names]) == (str(row.pk), ["1", "2", "3", "4"])
    assert not [name for name in told if "pico" in name.lower()]


def test_records_by_filter_and_page(api: APIClient, books: list[UsageRecord]) -> None:
    def ids(**query: Any) -> list[str]:
        page = api.get("/api/usage/records", MARCH | query).json()
        found = [row["id"] for row in page["results"]]
        while page["next"]:
            page = api.get(page["next"]).json()
            found += [row["id"] for row in page["results"]]
        return found

    assert set(ids(client="bob", pageSize=1)) == {str(books[3].pk), str(books[4].pk)}
    assert len(ids(pageSize=2)) == len(set(ids(pageSize=4))) == 6
    assert ids(status="error", isFinal="false") == [str(books[1].pk)]
    assert ids(kind="adjustment") == [str(books[5].pk)]
    assert ids(requestId="none") == []


def test_records_cannot_be_written(api: APIClient, books: list[UsageRecord]) -> None:
    one = f"/api/usage/records/{books[0].pk}"

    answers = [api.post("/api/usage/records", {}), api.put(one, {}), api.patch(one, {}), api.delete(one)]

    assert [answer.status_code for answer in answers] == [405] * 4
    assert api.get(one).json()["id"] == str(books[0].pk)
