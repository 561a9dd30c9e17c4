"""A provider is in trouble before its first word: the next one answers, and two rows tell it."""

from __future__ import annotations

import pytest

from tests.journeys import operating
from tests.journeys.dialects import DOORS, OPENAI, Door
from tests.product import Product
from tests.upstream import Fault, Upstream

WORDS = "word0 word1 word2 word3 word4 word5 word6 word7"
every_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)


@every_door
def test_a_provider_where_nobody_listens(house: Product, upstream: Upstream, door: Door) -> None:
    answer = door.call(house, "dead-first")

    (bill,) = upstream.bill
    first, second = operating.rows(house, answer.headers["x-request-id"])
    assert door.text(answer.json()) == WORDS
    assert (answer.headers["x-provider"], answer.headers["x-attempts"]) == ("alive", "2")
    assert (first["provider"], first["attempt"], bool(first["is_final"])) == ("dead", 1, False)
    assert (first["status"], first["error_code"]) == ("error", "PROVIDER_UNAVAILABLE")
    assert (first["evidence"], first["cost_pico"]) == ("none", 0)
    assert (second["provider"], second["attempt"], bool(second["is_final"])) == ("alive", 2, True)
    assert (second["status"], second["evidence"]) == ("ok", "reported")
    assert second["cost_pico"] == operating.cost_pico(bill.input_tokens, bill.output_tokens)


@every_door
@pytest.mark.parametrize("status", [401, 429, 500, 503, 529])
def test_a_provider_that_fails(house: Product, upstream: Upstream, door: Door, status: int) -> None:
    upstream.on("shaky-first", Fault(status=status, message="no capacity"))

    answer = door.call(house, "shaky-first")

    first, second = operating.rows(house, answer.headers["x-request-id"])
    assert door.text(answer.json()) == WORDS
    assert (first["provider"], first["status"], first["error_code"]) == ("shaky", "error", "PROVIDER_ERROR")
    assert "no capacity" in first["error_detail"]
    assert (bool(first["is_final"]), first["cost_pico"]) == (False, 0)
    assert (second["provider"], second["status"], bool(second["is_final"])) == ("steady", "ok", True)
    assert [line.status for line in upstream.bill] == [status, 200]


@pytest.mark.parametrize("fault", [Fault(status=503), Fault(cut_after=0), Fault(drop=True), Fault(error_after=0)])
@every_door
def test_a_stream_that_fails_before_its_first_word(
    house: Product, upstream: Upstream, door: Door, fault: Fault
) -> None:
    upstream.on("shaky-first", fault)

    stream = door.stream(house, "shaky-first")

    first, second = operating.rows(house, stream.request_id)
    assert stream.text.strip() == WORDS
    assert stream.ended
    assert (first["provider"], first["status"], bool(first["is_final"])) == ("shaky", "error", False)
    assert (second["provider"], second["status"], second["evidence"]) == ("steady", "ok", "reported")


def test_what_the_provider_rejects_is_not_asked_elsewhere(house: Product, upstream: Upstream) -> None:
    upstream.on("shaky-first", Fault(status=400, message="the prompt is too long"))

    answer = OPENAI.call(house, "shaky-first")

    only = operating.row_of(house, answer)
    assert (answer.status, OPENAI.code(answer.json())) == (400, "PROVIDER_REJECTED")
    assert (only["provider"], only["status"], bool(only["is_final"])) == ("shaky", "error", True)
    assert len(upstream.bill) == 1


@every_door
@pytest.mark.parametrize("stream", [False, True])
def test_when_all_are_dead_the_caller_may_try_again(house: Product, door: Door, *, stream: bool) -> None:
    answer = door.call(house, "all-dead", stream=stream)

    first, last = operating.rows(house, answer.headers["x-request-id"])
    assert answer.status == 503
    assert "gone-too cannot be reached" in door.message(answer.json())
    assert "x-should-retry" not in answer.headers
    assert [bool(row["is_final"]) for row in (first, last)] == [False, True]
    assert [(row["status"], row["error_code"]) for row in (first, last)] == [("error", "PROVIDER_UNAVAILABLE")] * 2


def test_a_caller_may_name_the_provider(house: Product, upstream: Upstream) -> None:
    by_header = OPENAI.call(house, "shaky-first", headers={"X-Provider": "steady"})
    by_name = OPENAI.call(house, "steady/shaky-first")
    by_kind = OPENAI.call(house, "shaky-first", headers={"X-Provider": "anthropic"})

    assert [answer.headers["x-provider"] for answer in (by_header, by_name, by_kind)] == ["steady"] * 3
    assert {line.path for line in upstream.bill} == {"/v1/messages"}


def test_the_callers_patience_holds_for_the_whole_call(house: Product, upstream: Upstream) -> None:
    """Not for each provider anew."""
    upstream.always("shaky-first", Fault(delay_s=5))

    with operating.within(1.2):
        answer = OPENAI.call(house, "shaky-first", headers={"X-Timeout-Ms": "700"})

    assert (answer.status, OPENAI.code(answer.json())) == (504, "PROVIDER_TIMEOUT")
    assert bool(operating.rows(house, answer.headers["x-request-id"])[-1]["is_final"])
