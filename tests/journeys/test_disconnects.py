"""The caller leaves: the call is settled once, by what the provider reports where it is finished (drain), by an
estimate where it is stopped (abort: the model `leaving`).
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.journeys import operating
from tests.journeys.dialects import DOORS, OPENAI, Door, events
from tests.product import Product
from tests.servers import wait_until
from tests.upstream import Dispatch, Fault, Upstream

every_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
either_model = pytest.mark.parametrize("model", ["up-chat", "up-claude"])
SLOW = Fault(chunk_s=0.05)
LATE = Fault(delay_s=1.5)


def leave_after(house: Product, door: Door, model: str, heard: int) -> str:
    """The request's id; the caller hangs up after so many events."""
    with door.streaming(house, model) as answer:
        for _ in itertools.islice(events(answer), heard):
            pass
        return str(answer.headers["x-request-id"])


def leave_before_the_first_word(house: Product, upstream: Upstream, door: Door, model: str, *, stream: bool) -> str:
    request_id = f"leaver-{door.name}-{model}-{stream}"
    body = door.body(model, "Hello") | {"stream": stream}
    headers = {"X-Request-ID": request_id}
    with house.asking("POST", door.path, body=body, key=house.key, headers=headers):
        wait_until(lambda: upstream.bill, what="the provider to be asked")
    return request_id


def settled(house: Product, request_id: str) -> dict[str, Any]:
    """The one row, once nothing is held any more."""
    found = operating.row(house, request_id)
    wait_until(lambda: operating.open_holds(house) == 0, what="the hold to be settled")
    assert len(operating.rows(house, request_id)) == 1
    return found


def check_drained(row: dict[str, Any], bill: Dispatch) -> None:
    wait_until(lambda: bill.finished, what="the provider to have said all")
    assert row["evidence"] == "reported"
    assert (row["input_tokens"], row["output_tokens"]) == (bill.input_tokens, bill.output_tokens)
    assert row["cost_pico"] == operating.cost_pico(bill.input_tokens, bill.output_tokens)


@every_door
@either_model
def test_in_mid_stream(house: Product, upstream: Upstream, door: Door, model: str) -> None:
    upstream.on(model, Fault(chunk_s=0.05, words=40))

    row = settled(house, leave_after(house, door, model, 3))

    check_drained(row, upstream.bill[0])
    assert row["status"] == "cancelled"


@every_door
@either_model
@pytest.mark.parametrize("stream", [False, True])
def test_before_the_first_word(house: Product, upstream: Upstream, door: Door, model: str, *, stream: bool) -> None:
    upstream.on(model, LATE)

    row = settled(house, leave_before_the_first_word(house, upstream, door, model, stream=stream))

    check_drained(row, upstream.bill[0])


@every_door
@either_model
def test_at_the_end(house: Product, upstream: Upstream, door: Door, model: str) -> None:
    """All words have come, the end has not been read."""
    row = settled(house, leave_after(house, door, model, 9))

    check_drained(row, upstream.bill[0])


def test_a_provider_that_breaks_after_the_caller_has_left(house: Product, upstream: Upstream) -> None:
    upstream.on("up-chat", Fault(chunk_s=0.05, cut_after=6))

    row = settled(house, leave_after(house, OPENAI, "up-chat", 2))

    assert (row["status"], row["evidence"]) == ("error", "estimated")
    assert row["cost_pico"] > 0


@every_door
def test_abort_in_mid_stream(house: Product, upstream: Upstream, door: Door) -> None:
    upstream.on("leaving", Fault(chunk_s=0.05, words=200))

    row = settled(house, leave_after(house, door, "leaving", 3))

    assert (row["status"], row["evidence"]) == ("cancelled", "estimated")
    assert row["cost_pico"] == operating.cost_pico(row["input_tokens"], row["output_tokens"]) > 0
    wait_until(lambda: upstream.bill[0].cancelled, what="the provider to hear of it")


@every_door
def test_abort_while_the_provider_is_silent(house: Product, upstream: Upstream, door: Door) -> None:
    """Its caller is not waited for until it says something, or for the minute in which it may be silent."""
    upstream.on("leaving", Fault(stall_after=3))

    row = settled(house, leave_after(house, door, "leaving", 2))

    assert (row["status"], row["evidence"]) == ("cancelled", "estimated")
    wait_until(lambda: upstream.bill[0].cancelled, what="the provider to hear of it")


def test_a_whole_answer_is_not_aborted(house: Product, upstream: Upstream) -> None:
    """Its caller leaves once it knows why the answer ended: what it used is still to come, and is waited for."""
    upstream.on("leaving", Fault(tail_s=1))
    headers = {"Idempotency-Key": "whole"}
    body = OPENAI.body("leaving", "Hello") | {"stream": True}
    with house.opened("POST", OPENAI.path, body=body, key=house.key, headers=headers) as answer:
        next(event for event in events(answer) if '"stop"' in event)
        request_id = str(answer.headers["x-request-id"])

    check_drained(settled(house, request_id), upstream.bill[0])
    again = house.request("POST", OPENAI.path, body=body, key=house.key, headers=headers)
    assert "[DONE]" in again.text
    assert len(upstream.bill) == 1


@every_door
@pytest.mark.parametrize("stream", [False, True])
def test_abort_before_the_first_word(house: Product, upstream: Upstream, door: Door, *, stream: bool) -> None:
    upstream.on("leaving", Fault(delay_s=20))

    row = settled(house, leave_before_the_first_word(house, upstream, door, "leaving", stream=stream))

    assert (row["status"], row["evidence"]) == ("cancelled", "upper_bound")
    wait_until(lambda: upstream.bill[0].cancelled, what="the provider to hear of it")


def test_many_who_leave_hold_nothing(house: Product, upstream: Upstream) -> None:
    upstream.always("up-chat", SLOW)

    ids = [leave_after(house, OPENAI, "up-chat", number % 4) for number in range(20)]

    rows = [settled(house, request_id) for request_id in ids]
    assert sum(row["cost_pico"] for row in rows) == sum(
        operating.cost_pico(bill.input_tokens, bill.output_tokens) for bill in upstream.bill
    )
