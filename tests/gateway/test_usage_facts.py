"""Whose usage the doors of specifications B and E tell, and from which tables."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any, cast
from urllib.parse import quote

import msgspec
import pytest
from django.utils import timezone

from accounts.models import Client
from core.ids import uuid7
from gateway.catalogue import Caller
from gateway.doors import gemini, ollama, openai, spec_e, usage_facts
from gateway.http import Exchange
from tests.usage.rows import hold, record
from tests.usage.traffic import traffic
from usage import ledger
from usage.models import Day
from vectors import doors as vectors
from wire.errors import ApiError, Code

pytestmark = pytest.mark.django_db(transaction=True)

LONG_AGO = timedelta(days=60)
DOORS = [usage_facts.usage_for_e, usage_facts.costs_for_b]


def _client(name: str, *, made_ago: timedelta = LONG_AGO) -> Caller:
    row = Client.objects.create(name=name, created_at=timezone.now() - made_ago)
    return Caller(row.pk, name, None, "", "call", None)


def _bound(caller: Caller, end_user: str) -> Caller:
    """The client's, with a token for one end user."""
    return msgspec.structs.replace(caller, end_user=end_user)


def _called(started_at: datetime, **facts: Any) -> None:
    ledger.apply([ledger.Note(record(hold(started_at=started_at, **facts)))])


def _told(door: Any, caller: Caller, query: str = "") -> dict[str, Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def ask() -> None:
        scope = {"path": "/", "query_string": query.encode(), "headers": []}
        await door(None, None, Exchange(scope, cast("Any", None), send), caller)

    asyncio.run(ask())
    return cast("dict[str, Any]", msgspec.json.decode(sent[-1]["body"]))


def _requests(caller: Caller, query: str = "") -> int:
    return cast("int", _told(usage_facts.usage_for_e, caller, query)["total_requests"])


def _refusal(caller: Caller, query: str) -> tuple[Code, str | None]:
    with pytest.raises(ApiError) as refused:
        _requests(caller, query)
    return refused.value.code, refused.value.param


def test_a_clients_own_are_read_from_the_sums_by_day() -> None:
    yesterday = timezone.localdate() - timedelta(days=1)
    for client in ("alice", "bob"):
        figures = {"calls": 3, "known_cost_rows": 3, "cost_pico": 10**12}
        Day.objects.create(day=yesterday, client=client, deployment="gpt", shard=0, **figures)
    alice = _client("alice")

    assert _requests(alice) == 3
    assert _told(usage_facts.costs_for_b, alice)["total_usd"] == 1


@pytest.mark.parametrize("door", DOORS)
def test_a_client_sees_nothing_of_one_that_had_its_name_before(door: Any) -> None:
    now = timezone.now()
    _called(now - timedelta(days=2), deployment="old")
    _called(now - timedelta(minutes=50), deployment="old")
    _called(now - timedelta(minutes=10), deployment="new")

    told = _told(door, _client("alice", made_ago=timedelta(minutes=30)))

    assert list(told["cost_by_model" if door is usage_facts.usage_for_e else "by_model"]) == ["new"]


def test_of_a_client_that_is_gone_nothing_is_told() -> None:
    _called(timezone.now())
    alice = _client("alice")
    Client.objects.all().delete()

    assert _requests(alice) == 0


def test_who_was_given_a_token_sees_his_own_alone() -> None:
    alice = _client("alice")
    for end_user in ("ann", "ann", "ben"):
        _called(timezone.now(), end_user=end_user)

    assert _requests(alice) == 3
    assert _requests(alice, "user_id=ben") == 1
    assert _requests(_bound(alice, "ann")) == _requests(_bound(alice, "ann"), "user_id=ann") == 2
    assert _refusal(_bound(alice, "ann"), "user_id=ben") == (Code.FORBIDDEN, "user_id")
    assert _told(usage_facts.costs_for_b, _bound(alice, "ben"))["total_usd"] == 25e-12


def test_a_long_user_is_known_by_what_the_books_have_kept() -> None:
    alice, long = _client("alice"), "x" * 200
    _called(timezone.now(), end_user=long[:128])

    assert _requests(alice, f"user_id={long}") == 1
    assert _requests(_bound(alice, long[:128]), f"user_id={long}") == 1


def test_metrics_are_those_of_the_same() -> None:
    alice = _client("alice")
    for end_user in ("ann", "ann", "ben"):
        _called(timezone.now() - timedelta(minutes=1), end_user=end_user)

    totals = [usage_facts._metrics(each, timezone.now())["requests"]["total"] for each in (alice, _bound(alice, "ann"))]
    assert totals == [3, 2]


@pytest.mark.parametrize("door", DOORS)
def test_a_cost_that_nobody_knows_is_null(door: Any) -> None:
    alice, held = _client("alice"), hold(started_at=timezone.now() - timedelta(minutes=1))
    for facts in ({"cost_pico": None}, {"cost_pico": 0, "status": "refused", "evidence": "none"}):
        ledger.apply([ledger.Note(record(msgspec.structs.replace(held, id=uuid7()), **facts))])

    told = _told(door, alice)

    if door is usage_facts.usage_for_e:
        assert (told["total_cost"], told["cost_by_model"], told["unknown_cost_requests"]) == (None, {"gpt": None}, 1)
        assert [day["cost"] for day in told["daily_usage"]] == [None]
    else:
        assert (told["total_usd"], told["by_model"]) == (None, {"gpt": None})


def test_what_a_failed_attempt_cost_is_its_providers() -> None:
    alice, at = _client("alice"), timezone.now() - timedelta(minutes=1)
    for attempt, (provider, cost) in enumerate({"slow": 25, "odd": None, "free": 0, "quick": 25}.items(), 1):
        held = hold(started_at=at, provider=provider, deployment=f"{provider}-1", attempt=attempt)
        is_last = provider == "quick"
        made = record(held, is_final=is_last, status="ok" if is_last else "error", cost_pico=cost)
        ledger.apply([ledger.Note(made)])

    told = _told(usage_facts.costs_for_b, alice)

    assert told["by_provider"] == {"slow": 25e-12, "odd": None, "quick": 25e-12}
    assert told["by_model"] == {f"{provider}-1": cost for provider, cost in told["by_provider"].items()}


def test_the_share_of_hits_is_of_the_calls_that_were_not_refused() -> None:
    alice, at = _client("alice"), timezone.now() - timedelta(minutes=1)
    for status, number in {"cached": 9, "ok": 1, "refused": 5}.items():
        ledger.apply([ledger.Note(record(hold(started_at=at), status=status)) for _ in range(number)])

    assert usage_facts._metrics(alice, timezone.now())["cache"] == {"hits": 9, "hit_rate": 0.9}


def test_who_may_manage_sees_everybody_s() -> None:
    _called(timezone.now(), client="alice", end_user="ann")
    _called(timezone.now(), client="bob", end_user="ben")
    manager = msgspec.structs.replace(_client("operations", made_ago=timedelta(0)), scope="manage", end_user="carol")

    assert _requests(manager) == 2
    assert _requests(manager, "user_id=ann") == 1


@pytest.mark.parametrize("user_id", ["", "\0", "a\0b"])
def test_who_can_be_no_user_is_refused_by_name(user_id: str) -> None:
    assert _refusal(_client("alice"), f"user_id={quote(user_id)}") == (Code.INVALID_REQUEST, "user_id")


def test_metrics_tell_how_the_calls_of_a_day_ended() -> None:
    """A failed attempt before an answer is no call of its own, and an answer at the second is a failover."""
    alice, at = _client("alice"), timezone.now() - timedelta(hours=1)
    for status, number in {"ok": 4, "error": 3, "cancelled": 2, "refused": 1}.items():
        for _ in range(number):
            ledger.apply([ledger.Note(record(hold(started_at=at), status=status))])
    attempts: list[dict[str, Any]] = [{"is_final": False, "status": "error"}, {"is_final": False}, {}]
    for attempt, facts in enumerate(attempts, 1):
        ledger.apply([ledger.Note(record(hold(started_at=at, attempt=attempt), **facts))])
    ledger.apply([ledger.Note(record(hold(started_at=at, attempt=2), status="error"))])
    _called(timezone.now() - timedelta(hours=25))

    told = usage_facts._metrics(alice, timezone.now())

    assert told["requests"] == {"total": 12, "successful": 5, "failed": 4, "refused": 1, "cancelled": 2}
    assert told["failovers"] == 1


def test_metrics_tell_of_each_provider_and_of_a_failover_to_the_second() -> None:
    alice, at = _client("alice"), timezone.now() - timedelta(hours=1)
    attempts: list[dict[str, Any]] = [{"is_final": False, "status": "error"}, {"cost_pico": 25}]
    for attempt, facts in enumerate(attempts, 1):
        held = hold(started_at=at, attempt=attempt, provider=("slow", "quick")[attempt - 1])
        ledger.apply([ledger.Note(record(held, latency_ms=40, **facts))])

    told = msgspec.json.decode(msgspec.json.encode(usage_facts._metrics(alice, timezone.now())))

    assert told["failovers"] == 1
    assert told["providers"]["quick"] == {"requests": 1, "errors": 0, "cost_usd": 25e-12, "avg_latency_ms": 40}


def test_usage_tells_the_tokens_of_both_directions() -> None:
    held = hold(started_at=timezone.now() - timedelta(minutes=1))
    ledger.apply([ledger.Note(record(held, input_tokens=30, output_tokens=12))])

    assert _told(usage_facts.usage_for_e, _client("alice"))["total_tokens"] == 42


@pytest.mark.parametrize(
    "surface",
    [
        openai.ROUTES["POST", "/v1/embeddings"].surface,
        gemini._EMBED.surface,
        ollama.ROUTES["POST", "/api/embed"].surface,
        spec_e.ROUTES["POST", "/v1/llm/generate-embeddings"].surface,
        vectors.ROUTES["POST", "/v1/vector/points"].surface,
    ],
)
def test_embeddings_are_those_of_every_door_that_makes_them(surface: str) -> None:
    _called(timezone.now(), surface=surface)
    _called(timezone.now(), surface="openai.chat")

    assert _told(usage_facts.embedding_usage_for_e, _client("alice"))["total_requests"] == 1


def test_days_come_in_their_order_also_where_several_doors_have_some() -> None:
    now = timezone.now()
    for surface, ago in {"openai.embeddings": 1, "ollama.embed": 2, "gemini.embeddings": 3}.items():
        _called(now - timedelta(days=ago), surface=surface)

    days = [each["date"] for each in _told(usage_facts.embedding_usage_for_e, _client("alice"))["daily_usage"]]

    assert len(days) == 3
    assert days == sorted(days)


def test_what_would_bring_costs_down_is_said() -> None:
    at = timezone.now() - timedelta(minutes=1)
    for name, cost in {"large": 90, "small": 10, "strange": None}.items():
        ledger.apply([ledger.Note(record(hold(started_at=at, deployment=name), cost_pico=cost))])

    dear, unpriced, uncached = _told(usage_facts.costs_for_b, _client("alice"))["suggestions"]

    assert dear.startswith("large is 90% of the cost")
    assert unpriced.startswith("strange has 1 calls of unknown cost")
    assert uncached.startswith("No call was answered from the cache")


def test_where_nothing_stands_out_nothing_is_said() -> None:
    at = timezone.now() - timedelta(minutes=1)
    for name in ("one", "another"):
        ledger.apply([ledger.Note(record(hold(started_at=at, deployment=name), cost_pico=50))])
    ledger.apply([ledger.Note(record(hold(started_at=at, deployment="one"), cost_pico=0, status="cached"))])

    assert _told(usage_facts.costs_for_b, _client("alice"))["suggestions"] == []


def test_without_dates_the_last_thirty_days_are_told() -> None:
    """Whole days of the installation's zone, of which today is one."""
    alice, today = _client("alice"), timezone.localtime().replace(hour=12)
    for ago in (0, 29, 30):
        _called(today - timedelta(days=ago))

    assert _requests(alice) == 2
    assert _requests(alice, f"start_date={today - timedelta(days=30):%Y-%m-%d}") == 3
    assert _requests(alice, f"end_date={today - timedelta(days=1):%Y-%m-%d}") == 2
    assert _requests(alice, "start_date={0}&end_date={0}".format(f"{today:%Y-%m-%d}")) == 1


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("start_date=1970-12-31&end_date=1971-01-31", "start_date"),
        ("end_date=9999-01-01", "end_date"),
        ("start_date=2020-01-02&end_date=2020-01-01", "start_date"),
        ("start_date=2010-01-01&end_date=2020-01-09", "start_date"),
    ],
    ids=["before all keys", "after all keys", "backwards", "ten years and a week"],
)
def test_days_that_no_answer_can_span_are_refused_by_name(query: str, param: str) -> None:
    assert _refusal(_client("alice"), query) == (Code.INVALID_REQUEST, param)


def test_parts_add_up_while_calls_go_on() -> None:
    """All that one answer tells is of one moment."""
    caller = _client("acme")
    with traffic(started_at=timezone.now(), client="acme", client_id=caller.client_id):
        usage = [_told(usage_facts.usage_for_e, caller) for _ in range(10)]
        costs = [_told(usage_facts.costs_for_b, caller) for _ in range(10)]

    for told in usage:
        assert told["total_requests"] == sum(day["requests"] for day in told["daily_usage"])
    for told in costs:
        parts = [sum(told[part].values()) for part in ("by_provider", "by_model", "by_day")]
        assert parts == pytest.approx([told["total_usd"]] * 3, abs=1e-12)
    assert usage[0]["total_requests"] < usage[-1]["total_requests"]
