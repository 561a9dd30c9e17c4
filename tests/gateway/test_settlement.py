"""From a call's plan to its hold, and from its outcome to its record: what they say of price and usage."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import msgspec
import pytest

from core.ids import time_of
from gateway import catalogue, failures, plans, settlement
from gateway.calls import Call
from gateway.catalogue import Caller
from gateway.settlement import Attempt, Outcome
from providers.errors import (
    BadAnswerError,
    ErrorEventError,
    ProviderFailureError,
    TimedOutError,
    UnreachableError,
    from_status,
)
from providers.models import Deployment, ExchangeRate, Price, Provider
from providers.resilience.board import Board
from usage.budgets import BudgetExceededError
from usage.models import Budget
from usage.rows import RecordRow
from wire import openai_chat
from wire.errors import ApiError, Code
from wire.neutral import Usage

pytestmark = pytest.mark.django_db(transaction=True)  # the catalogue closes its connection
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
BODY = b'{"model": "gpt", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100}'


@pytest.fixture
def price() -> Price:
    provider = Provider.objects.create(name="Own", slug="own", kind="demo")
    model = Deployment.objects.create(provider=provider, name="gpt")
    return Price.objects.create(
        deployment=model, valid_from=NOW, input_per_million=Decimal(2), output_per_million=Decimal(6), currency="EUR"
    )


def _rate(usd: str) -> None:
    ExchangeRate.objects.create(currency="EUR", day=NOW.date(), usd_per_unit=Decimal(usd))


def _call(timeout_s: float | None = None, **asked: Any) -> Call:
    body = msgspec.json.encode(msgspec.json.decode(BODY) | asked)
    return Call(
        request_id="req_1",
        surface="openai.chat",
        caller=Caller(None, "alice", None, "", "call", None),
        dialect=openai_chat,
        envelope=openai_chat.open_chat(body),
        provider=None,
        end_user="",
        tags="{}",
        timeout_s=timeout_s,
        started=time.perf_counter(),
        started_at=NOW,
    )


def _attempt(call: Call | None = None, *, now: datetime = NOW) -> Attempt:
    call = call or _call()
    snapshot, asked_at = catalogue.load(), call.started_at
    ways = plans.ways(call, snapshot, Board(Random(0)), now=asked_at)
    (plan, *_) = plans.plans(call, snapshot, ways, now=asked_at)
    return settlement.attempt(call, plan, None, now=now, number=1, lease_id=UUID(int=1), left_s=call.timeout_s)


def _record(usage: Usage) -> RecordRow:
    return settlement.record(_attempt(), Outcome(status="ok", usage=usage))


def test_hold_and_record_say_by_which_price_and_exchange_rate(price: Price) -> None:
    _rate("1.25")
    attempt = _attempt()
    row = settlement.record(attempt, Outcome(status="ok", usage=Usage(input_tokens=10, output_tokens=5)))
    assert (attempt.hold.price_id, attempt.hold.usd_per_unit) == (price.pk, Decimal("1.25"))
    assert (row.price_id, row.usd_per_unit) == (price.pk, Decimal("1.25"))
    assert row.cost_pico == (10 * 2 + 5 * 6) * 1_250_000
    assert attempt.hold.amount_pico is not None
    assert attempt.hold.amount_pico >= row.cost_pico


def test_what_changes_in_mid_call_is_for_later_calls(price: Price) -> None:
    _rate("1.25")
    attempt = _attempt()
    ExchangeRate.objects.update(usd_per_unit=Decimal(9))
    row = settlement.record(attempt, Outcome(status="ok", usage=Usage(input_tokens=10)))
    assert (row.usd_per_unit, row.cost_pico) == (Decimal("1.25"), 25_000_000)


def test_without_an_exchange_rate_the_cost_is_unknown_not_nothing(price: Price) -> None:
    row = _record(Usage(input_tokens=10, output_tokens=5))
    assert (row.price_id, row.usd_per_unit, row.cost_pico) == (None, None, None)


def test_and_a_caller_with_a_hard_budget_is_refused(price: Price) -> None:
    Budget.objects.create(name="all", scope="all", cap_pico=10**12, period="month")
    Budget.objects.create(name="own", scope="client", subject="alice", cap_pico=1, period="day", hard=False)
    with pytest.raises(ApiError) as refused:
        _attempt()
    assert refused.value.code is Code.UNPRICED_MODEL


def test_usage_that_does_not_add_up_is_cut_and_said(price: Price) -> None:
    _rate("1")
    row = _record(Usage(input_tokens=10, output_tokens=5, reasoning_tokens=50, raw=b'{"as": "reported"}'))
    assert (row.output_tokens, row.reasoning_tokens) == (5, 5)
    assert row.error_detail == "The reported usage does not add up: reasoning_tokens 50 counted as 5."
    assert (row.error_code, row.usage_payload) == ("", '{"as": "reported"}')
    assert row.cost_pico == (10 * 2 + 5 * 6) * 10**6


FAILURES = [
    (UnreachableError("no route"), "none"),
    (from_status(400, "bad"), "none"),
    (from_status(500, "broken"), "none"),
    (from_status(503, "busy"), "none"),
    (ErrorEventError("busy"), "none"),
    (from_status(408, "slow"), "upper_bound"),
    (from_status(504, "slow"), "upper_bound"),
    (from_status(524, "slow"), "upper_bound"),
    (TimedOutError("silent"), "upper_bound"),
    (BadAnswerError("what?"), "upper_bound"),
    (None, "upper_bound"),  # its caller has left
]


@pytest.mark.parametrize(("failure", "evidence"), FAILURES)
def test_what_may_have_been_billed_is_settled_at_its_hold(
    price: Price, failure: ProviderFailureError | None, evidence: str
) -> None:
    _rate("1")
    attempt = _attempt()
    hold = attempt.hold
    status = "error" if failure else "cancelled"
    row = settlement.record(attempt, Outcome(status=status, usage=None, failure=failure))
    assert row.evidence == evidence
    expected = (hold.amount_pico, hold.input_tokens, hold.output_tokens) if evidence == "upper_bound" else (0, 0, 0)
    assert (row.cost_pico, row.input_tokens, row.output_tokens) == expected
    assert row.output_cost_pico == (None if evidence == "upper_bound" else 0)


def test_what_was_heard_of_a_stream_is_what_it_is_guessed_from(price: Price) -> None:
    """Also where it broke off before its first word for the caller."""
    _rate("1")
    attempt = _attempt()
    attempt.heard.output_bytes = 40
    row = settlement.record(attempt, Outcome(status="cancelled", usage=None))
    assert (row.evidence, row.output_tokens) == ("estimated", 10)


@pytest.mark.parametrize(("most", "output_tokens"), [(100, 100), (None, 10_000)])
def test_no_more_is_guessed_than_the_provider_was_told_to_write(
    price: Price, most: int | None, output_tokens: int
) -> None:
    _rate("1")
    attempt = _attempt(_call(max_tokens=most))
    attempt.heard.output_bytes = 40_000
    row = settlement.record(attempt, Outcome(status="cancelled", usage=None))
    assert (row.evidence, row.output_tokens) == ("estimated", output_tokens)


def test_an_answer_that_tells_no_usage_and_has_no_words_is_charged_its_likely_input(price: Price) -> None:
    _rate("1")
    row = settlement.record(_attempt(), Outcome(status="ok", usage=None))
    assert (row.evidence, row.output_tokens) == ("estimated", 0)
    assert 0 < row.input_tokens < len(BODY)


TOLD = Usage(input_tokens=1_000, cached_input_tokens=990, output_tokens=1, raw=b'{"as": "told"}')


@pytest.mark.parametrize(("output_bytes", "output_tokens"), [(0, 1), (400, 100)])
def test_the_input_that_a_stream_had_told_before_it_was_cut_is_no_guess(
    price: Price, output_bytes: int, output_tokens: int
) -> None:
    _rate("1")
    attempt = _attempt()
    attempt.heard.usage, attempt.heard.output_bytes = TOLD, output_bytes

    row = settlement.record(attempt, Outcome(status="cancelled", usage=None))

    assert (row.evidence, row.input_tokens, row.cached_input_tokens) == ("estimated", 1_000, 990)
    assert (row.output_tokens, row.usage_payload) == (output_tokens, '{"as": "told"}')


def test_an_input_of_nothing_is_not_believed_of_a_stream_that_was_cut(price: Price) -> None:
    """Some hosts of Anthropic's dialect begin with zeros, and count at the end."""
    _rate("1")
    attempt = _attempt()
    attempt.heard.usage = Usage(output_tokens=1)
    assert settlement.record(attempt, Outcome(status="cancelled", usage=None)).evidence == "upper_bound"
    attempt.heard.output_bytes = 40
    row = settlement.record(attempt, Outcome(status="cancelled", usage=None))
    assert (row.evidence, row.output_tokens) == ("estimated", 10)
    assert row.input_tokens > 0


def test_what_was_told_before_an_error_event_may_have_been_billed(price: Price) -> None:
    _rate("1")
    attempt = _attempt()
    attempt.heard.usage = TOLD
    row = settlement.record(attempt, Outcome(status="error", usage=None, failure=ErrorEventError("busy")))
    assert (row.evidence, row.input_tokens, row.output_tokens) == ("estimated", 1_000, 1)


def test_a_bound_without_a_price_is_unknown(price: Price) -> None:
    row = settlement.record(_attempt(), Outcome(status="cancelled", usage=None))
    assert (row.evidence, row.cost_pico) == ("upper_bound", None)


@pytest.mark.parametrize("rate", [None, "1"])
@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(status="cancelled", usage=None, is_sent=False),
        Outcome(status="error", usage=None, failure=from_status(500, "broken")),
    ],
    ids=["never sent", "refused"],
)
def test_what_nobody_bills_costs_nothing_also_without_a_price(price: Price, outcome: Outcome, rate: str | None) -> None:
    if rate:
        _rate(rate)
    row = settlement.record(_attempt(), outcome)
    assert (row.evidence, row.input_tokens, row.output_tokens, row.cost_pico) == ("none", 0, 0, 0)
    assert (row.input_cost_pico, row.output_cost_pico, row.request_cost_pico) == (0, 0, 0)


def test_a_retry_after_midnight_belongs_to_the_day_of_its_call(price: Price) -> None:
    """Its key, its row and its budget windows all say when the call began; only its deadline counts from now."""
    _rate("1")
    Budget.objects.create(name="all", scope="all", cap_pico=10**15, period="day")
    later = NOW + timedelta(hours=12, seconds=1)
    first, retry = _attempt(), _attempt(now=later)
    assert retry.hold.id != first.hold.id
    assert time_of(retry.hold.id) == retry.hold.started_at == NOW
    assert retry.hold.windows == first.hold.windows != "[]"
    assert retry.hold.deadline_at - first.hold.deadline_at == later - NOW


def test_only_a_hard_budget_must_be_asked_before_a_stream_may_grow(price: Price) -> None:
    _rate("1")
    budget = Budget.objects.create(name="all", scope="all", cap_pico=10**15, period="day")
    Budget.objects.create(name="own", scope="client", subject="alice", cap_pico=1, period="day", hard=False)
    assert _attempt().is_limited
    Budget.objects.filter(pk=budget.pk).update(is_active=False)
    assert not _attempt().is_limited


def test_a_budget_that_is_switched_off_goes_on_counting(price: Price) -> None:
    _rate("1")
    Budget.objects.create(name="all", scope="all", cap_pico=0, period="day", is_active=False)
    assert _attempt().hold.windows != "[]"


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_deadline_is_said_in_the_databases_time(price: Price, ahead: timedelta) -> None:
    """The sweeper judges by that clock: a host whose own is an hour behind must not have its live calls swept."""
    assert _attempt(now=NOW + ahead).hold.deadline_at - _attempt().hold.deadline_at == ahead


@pytest.mark.parametrize(
    ("stream", "timeout_s", "lasts_s"),
    [(False, None, 60), (True, None, settlement.LONGEST_STREAM_S), (False, 5, 5), (True, 5, 5)],
)
def test_a_stream_may_take_longer_than_an_answer_unless_its_caller_has_said_how_long(
    price: Price, *, stream: bool, timeout_s: float | None, lasts_s: float
) -> None:
    """Past its deadline it would be settled as lost, in the middle of its words."""
    Provider.objects.update(timeout_ms=60_000)
    hold = _attempt(_call(timeout_s, stream=stream)).hold
    assert hold.deadline_at - NOW == timedelta(seconds=lasts_s)


@pytest.mark.parametrize(
    ("asked", "most", "tokens"),
    [
        ({"n": 3}, None, 300),
        ({}, 1_000, 100),
        ({"max_tokens": None}, 1_000, 1_000),
        ({"max_tokens": None}, None, plans.ASSUMED_OUTPUT_TOKENS),
    ],
    ids=["three choices", "the caller's bound", "the model's bound", "none"],
)
def test_a_hold_is_for_the_most_that_the_answer_may_have(
    price: Price, asked: dict[str, Any], most: int | None, tokens: int
) -> None:
    Deployment.objects.update(max_output_tokens=most)
    assert _attempt(_call(**asked)).hold.output_tokens == tokens


@pytest.mark.parametrize(("most", "tokens"), [(None, 4_000), (50_000, 4_000), (500, 500)])
def test_where_a_hard_budget_counts_the_provider_is_told_the_bound_that_is_held(
    price: Price, most: int | None, tokens: int
) -> None:
    _rate("1")
    Deployment.objects.update(max_output_tokens=most)
    Budget.objects.create(name="own", scope="client", subject="alice", cap_pico=1, period="day", hard=False)
    Budget.objects.create(name="there", scope="provider", subject="own", cap_pico=10**15, period="day")
    attempt = _attempt(_call(max_tokens=None, n=2))
    assert msgspec.json.decode(attempt.body)["max_tokens"] == tokens
    assert attempt.hold.output_tokens == 2 * tokens
    assert len(msgspec.json.decode(attempt.hold.windows)) == 2


def test_one_hold_leaves_room_for_others_in_a_column(price: Price) -> None:
    _rate("1000000")
    assert _attempt(_call(max_tokens=10**6)).hold.amount_pico == settlement.MOST_PICO


def test_a_models_name_that_no_column_takes_loses_no_row(price: Price) -> None:
    row = settlement.record(_attempt(), Outcome(status="ok", usage=Usage(), served_model="g\x00p\nt" + "4" * 300))
    assert row.served_model == "gpt" + "4" * 197


def test_a_provider_cannot_fill_the_books_with_words(price: Price) -> None:
    row = _record(Usage(input_tokens=10, output_tokens=5, raw=b'{"words": "%s"}' % (b"x" * 100_000)))

    assert (row.input_tokens, row.usage_payload) == (10, "")


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (from_status(400, "max_tokens is too large"), "refused"),
        (from_status(422, "not like this"), "refused"),
        (from_status(401, "our key"), "error"),
        (from_status(429, "our key's limit"), "error"),
        (from_status(500, "sorry"), "error"),
        (TimedOutError("silent"), "error"),
        (UnreachableError("gone"), "error"),
    ],
)
def test_a_provider_that_rejects_its_callers_mistake_has_not_failed(
    price: Price, failure: ProviderFailureError, status: str
) -> None:
    row = settlement.record(_attempt(), Outcome(status="error", usage=None, failure=failure))

    assert (row.status, row.error_code, row.is_final) == (status, failure.code, True)
    assert (row.provider, row.attempt) == ("own", 1)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (Code.PROVIDER_UNAVAILABLE, "error"),
        (Code.QUEUE_FULL, "error"),
        (Code.LEDGER_UNAVAILABLE, "error"),
        (Code.PROVIDER_TIMEOUT, "error"),
        (Code.RATE_LIMITED, "refused"),
        (Code.BUDGET_EXCEEDED, "refused"),
        (Code.MODEL_NOT_FOUND, "refused"),
    ],
)
def test_a_call_that_was_never_sent_has_failed_unless_its_caller_or_a_policy_is_why(
    price: Price, code: Code, status: str
) -> None:
    row = settlement.refusal(_call(), ApiError(code, "Why."))

    assert (row.status, row.error_code, row.evidence, row.cost_pico) == (status, code.name, "none", 0)
    assert (row.input_cost_pico, row.output_cost_pico, row.request_cost_pico) == (0, 0, 0)


def test_a_call_that_a_budget_refused_names_the_window_without_room(price: Price) -> None:
    window_id = UUID(int=7)
    error = BudgetExceededError("alice", window_id=window_id, cap_pico=10, left_pico=1, wanted_pico=2)

    row = settlement.refusal(_call(), failures.over_budget(error))

    assert (row.status, row.error_code, row.cost_pico) == ("refused", "BUDGET_EXCEEDED", 0)
    assert row.windows == f'["{window_id}"]'
