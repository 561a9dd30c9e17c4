"""Many callers and one budget: exactly what fits is dispatched, and what is given up is given back."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults import invariants, load
from tests.faults.conftest import (
    Limit,
    NewInstallation,
    again_if_the_database_was_slow,
    require_a_quick_database,
)
from tests.faults.load import Callers, Told
from tests.journeys import operating
from tests.product import Product
from tests.servers import wait_until
from tests.upstream import Fault, Upstream

PROCESSES, CONCURRENT = 4, 64
TOKENS = 100  # of each answer
ANSWER_PICO = TOKENS * operating.OUTPUT_PICO
PROMPT_MOST_PICO = 200 * operating.INPUT_PICO  # what a hold assumes of these prompts is less


@again_if_the_database_was_slow
def test_14_a_hard_budget_for_one_call_dispatches_exactly_one(
    new_installation: NewInstallation, upstream: Upstream
) -> None:
    upstream.always("up-chat", Fault(words=TOKENS, delay_s=0.1))
    limit = Limit(name="alice", cap_pico=ANSWER_PICO * 3 // 2)

    with new_installation(workers=PROCESSES, limits=[limit]) as product:
        told = load.run(product, lambda callers: _at_once(callers, product, CONCURRENT, max_tokens=TOKENS))
        _wait_for_records(product, CONCURRENT)
        books = invariants.check(product, upstream.bill)

        load.say(f"row 14: {load.statuses(told)}, {len(upstream.bill)} dispatch")
        assert len(upstream.bill) <= 1
        require_a_quick_database(load.statuses(told))
        assert len(upstream.bill) == 1
        assert load.statuses(told) == {"200": 1, "402 BUDGET_EXCEEDED": CONCURRENT - 1}
        assert books.holds == []
        (window,) = books.windows
        refused = [row for row in books.records if row["status"] == "refused"]
        assert [row["windows"] for row in refused] == [[str(window["id"])]] * (CONCURRENT - 1)


@again_if_the_database_was_slow
def test_14_four_processes_of_64_callers_never_exceed_a_cap(
    new_installation: NewInstallation, upstream: Upstream
) -> None:
    """A budget for the client and one for all, both with room for 40: looked at without pause while they work."""
    room = 40
    upstream.always("up-chat", Fault(words=TOKENS, delay_s=0.05))
    cap_pico = room * (2 * ANSWER_PICO + PROMPT_MOST_PICO)
    limits = [Limit(name="alice", cap_pico=cap_pico), Limit(name="all", scope="all", cap_pico=cap_pico, hard=False)]

    with new_installation(workers=PROCESSES, limits=limits) as product:
        seen: list[int] = []
        over = threading.Event()

        def look() -> None:
            while not over.is_set():
                rows = product.sql("SELECT held_pico + settled_pico AS taken FROM usage_budgetwindow")
                seen.extend(row["taken"] for row in rows)
                time.sleep(0.005)

        with ThreadPoolExecutor(1) as beside:
            watching = beside.submit(look)
            began = time.monotonic()
            told = load.run(
                product,
                lambda callers: _at_once(callers, product, PROCESSES * CONCURRENT, max_tokens=2 * TOKENS, stream=True),
            )
            took_s = time.monotonic() - began
            over.set()
            watching.result()
        _wait_for_records(product, PROCESSES * CONCURRENT)
        books = invariants.check(product, upstream.bill)

        (hard,) = (window for window in books.windows if window["hard"])
        slowest = max(each.seconds for each in told)
        load.say(
            f"row 14: {PROCESSES} processes x {CONCURRENT} callers: {load.statuses(told)} in {took_s:.2f} s, the "
            f"slowest after {slowest:.2f} s; at most {max(seen) / cap_pico:.1%} of the cap taken in {len(seen)} looks, "
            f"{hard['settled_pico'] / cap_pico:.1%} settled at the end, overrun {hard['overrun_pico']}"
        )
        assert max(seen) <= cap_pico
        assert hard["overrun_pico"] == 0
        assert len(upstream.bill) == sum(each.is_ok for each in told)
        assert len(upstream.bill) <= cap_pico // ANSWER_PICO
        require_a_quick_database(load.statuses(told))
        assert len(upstream.bill) >= room
        assert set(load.statuses(told)) == {"200", "402 BUDGET_EXCEEDED"}
        assert "deadlock" not in product.log()


def _wait_for_records(product: Product, number: int) -> None:
    """A refusal is told before it is recorded."""
    wait_until(lambda: len(invariants.read(product).records) == number, what=f"{number} records")


async def _at_once(
    callers: Callers, product: Product, number: int, *, max_tokens: int, stream: bool = False
) -> list[Told]:
    """`stream`: every other one."""
    key = product.keys["alice"]
    return await asyncio.gather(
        *(callers.call(key=key, max_tokens=max_tokens, stream=stream and n % 2 == 0) for n in range(number))
    )


def test_15_a_thousand_cancelled_calls_hold_nothing(
    new_installation: NewInstallation, upstream: Upstream, rng: random.Random
) -> None:
    """They leave at any moment: before the hold, while it is written, before and in the answer. One model's are
    drained, the other's aborted.
    """
    upstream.always("up-chat", Fault(delay_s=0.02, chunk_s=0.005))
    upstream.always("up-claude", Fault(delay_s=0.02, chunk_s=0.005))
    abort = "UPDATE providers_provider SET on_disconnect = 'abort' WHERE slug = 'upstream-anthropic'"

    with new_installation(workers=2, limits=[Limit(name="alice", cap_pico=10**15)], sql=[abort]) as product:
        numbers = itertools.count()

        async def caller(callers: Callers) -> list[Told]:
            told = []
            while (number := next(numbers)) < 1_000:
                model = ("up-chat", "up-claude")[number // 2 % 2]
                leave = rng.uniform(0.001, 0.12)
                told.append(
                    await callers.call(
                        key=product.keys["alice"], model=model, stream=number % 2 == 0, leave_after_s=leave
                    )
                )
            return told

        async def story(callers: Callers) -> list[Told]:
            return list(itertools.chain(*await asyncio.gather(*(caller(callers) for _ in range(50)))))

        told = load.run(product, story)
        invariants.settled(product)
        books = invariants.check(product, upstream.bill)

        (window,) = books.windows
        load.say(
            f"row 15: {load.statuses(told)} (0: left); {len(upstream.bill)} dispatches, {books.by_evidence()}; "
            f"held {window['held_pico']}"
        )
        assert window["held_pico"] == 0
        assert sum(each.status == 0 for each in told) > 300
        assert set(load.statuses(told)) <= {"0", "200"}


@pytest.mark.faults
def test_16_a_model_without_a_price(new_installation: NewInstallation, upstream: Upstream) -> None:
    with new_installation(workers=1, limits=[Limit(name="alice", cap_pico=10**15)]) as product:

        async def story(callers: Callers) -> tuple[Told, Told]:
            budgeted = await callers.call(model="up-unpriced", key=product.keys["alice"])
            return budgeted, await callers.call(model="up-unpriced")

        budgeted, free = load.run(product, story)
        wait_until(lambda: len(invariants.read(product).records) == 2)
        books = invariants.check(product, upstream.bill)

        assert (budgeted.status, budgeted.code) == (409, "UNPRICED_MODEL")
        (refusal,), (served,) = books.of(budgeted.name), books.of(free.name)
        assert (refusal["status"], refusal["cost_pico"]) == ("refused", 0)
        assert (free.status, served["cost_pico"], served["evidence"]) == (200, None, "reported")
        assert len(upstream.bill) == 1
        unknown = product.sql("SELECT sum(unknown_cost_rows) AS rows FROM usage_day")
        load.say(f"row 16: {budgeted.status} {budgeted.code}; {free.status} at {served['cost_pico']}, {unknown}")
        assert int(unknown[0]["rows"]) == 1


@pytest.mark.faults
@pytest.mark.parametrize("room", [10, 1])
def test_17_a_stream_that_outgrows_its_hold(new_installation: NewInstallation, upstream: Upstream, room: int) -> None:
    """Its words are longer than was assumed: extended while there is room, else ended without its end."""
    upstream.always("up-chat", Fault(words=TOKENS, chunk_s=0.005))
    cap_pico = room * ANSWER_PICO + PROMPT_MOST_PICO

    with new_installation(workers=1, limits=[Limit(name="alice", cap_pico=cap_pico)]) as product:

        async def story(callers: Callers) -> Told:
            return await callers.call(key=product.keys["alice"], stream=True, max_tokens=TOKENS)

        told = load.run(product, story)
        invariants.settled(product)
        books = invariants.check(product, upstream.bill)

        (row,) = books.records
        load.say(f"row 17: room for {room}: ended {told.ended}, {row['status']} {row['error_code']} {row['evidence']}")
        assert told.status == 200
        assert told.ended == (room > 1)
        expected = ("ok", "", "reported") if room > 1 else ("error", "BUDGET_EXCEEDED", "estimated")
        assert (row["status"], row["error_code"], row["evidence"]) == expected
        assert ('"error"' in told.heard) == (room == 1)
        assert row["cost_pico"] > 0
        assert books.windows[0]["settled_pico"] == row["cost_pico"] <= cap_pico
