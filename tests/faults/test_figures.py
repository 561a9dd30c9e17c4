"""Prices that change under a call, usage that nobody tells, and a million costs below a cent."""

from __future__ import annotations

import random
import time

import pytest
from django.db.models import Sum

from tests.faults import invariants, load
from tests.faults.conftest import Limit, NewInstallation
from tests.faults.load import Callers, Told
from tests.journeys import operating
from tests.journeys.dialects import OPENAI
from tests.upstream import Dispatch, Fault, Upstream
from tests.usage.rows import NOW, hold, record
from usage import ledger
from usage.budgets import BudgetSpec, window_of
from usage.ledger import Reserve, Settle
from usage.models import Budget, BudgetWindow, Day, KeyDay, Quarter, UsageRecord, UserDay

pytestmark = pytest.mark.faults
MILLION, BATCH = 1_000_000, 2_000


def test_18_a_price_that_changes_in_mid_stream(new_installation: NewInstallation, upstream: Upstream) -> None:
    """The row in force at the hold prices it, and its id is on the record; the next call costs the new price."""
    with new_installation(workers=1) as product:
        made = operating.add_provider(product, name="dearer", kind="custom", endpoint=upstream.openai_url, model="dear")
        upstream.on("dear", Fault(chunk_s=0.25))
        name = load.new_name()
        body = OPENAI.body("dear", name) | {"stream": True}
        headers = {"X-Request-ID": name}
        with product.opened("POST", OPENAI.path, body=body, key=product.key, headers=headers) as answer:
            next(iter(answer))
            dearer = {"pricing": {"inputTokenCost": 0.005, "outputTokenCost": 0.02}}
            operating.manage(product, "PATCH", f"/api/ai-providers/{made}", dearer)
            product.until_in_force()
            heard = answer.read()
        later = load.run(product, lambda callers: callers.call(model="dear")).name

        def cost_of(line: Dispatch) -> int:
            times = 1 if invariants.name_of(line) == name else 2
            return times * operating.cost_pico(line.input_tokens, line.output_tokens)

        asked = [line for line in upstream.bill if invariants.NAME.search(str(line.body))]
        books = invariants.check(product, asked, cost_of=cost_of)
        (old,), (new,) = books.of(name), books.of(later)
        assert b"[DONE]" in heard
        assert old["price_id"] != new["price_id"]
        load.say(f"row 18: {old['cost_pico']} at the old price, {new['cost_pico']} at the new one")


@pytest.mark.timeout(900)
def test_19_a_million_costs_below_a_cent_add_up_exactly(transactional_db: None, rng: random.Random) -> None:
    """Through the ledger in batches, as the writer does, into a budget and every rollup."""
    budget = Budget.objects.create(name="million", scope="all", cap_pico=9 * 10**18, period="total")
    window = window_of(
        BudgetSpec(
            id=budget.pk,
            name="million",
            scope="all",
            subject="",
            cap_pico=budget.cap_pico,
            period="total",
            time_zone="UTC",
            hard=True,
        ),
        NOW,
    )
    listed = f'["{window.id}"]'
    expected, began = 0, time.monotonic()
    for _ in range(MILLION // BATCH):
        costs = [rng.randrange(1, 10**10) for _ in range(BATCH)]
        holds = [hold(windows=listed, amount_pico=cost) for cost in costs]
        assert ledger.apply([Reserve(held, (window,)) for held in holds]) == {}
        ledger.apply([Settle(record(held, cost_pico=cost)) for held, cost in zip(holds, costs, strict=True)])
        expected += sum(costs)

    took_s = time.monotonic() - began
    row = BudgetWindow.objects.get()
    sums = {
        model.__name__: int(model._default_manager.aggregate(cost=Sum("cost_pico"))["cost"])
        for model in (Quarter, Day, UserDay, KeyDay, UsageRecord)
    }
    load.say(f"row 19: {MILLION:,} costs in {took_s:.0f} s: {expected} pico-dollars, {sums}")
    assert set(sums.values()) == {expected}
    assert (row.settled_pico, row.held_pico, row.overrun_pico) == (expected, 0, 0)
    assert UsageRecord.objects.count() == MILLION


@pytest.mark.parametrize(
    ("model", "stream"),
    [
        ("up-chat", False),
        ("up-chat", True),
        ("up-claude", False),
        # `wire.anthropic_messages.meter` takes the usage of `message_start` (one token out) for the whole.
        ("up-claude", True),
    ],
)
def test_25_usage_that_is_missing_is_estimated(
    new_installation: NewInstallation, upstream: Upstream, model: str, *, stream: bool
) -> None:
    upstream.always(model, Fault(no_usage=True))
    with new_installation(workers=1, limits=[Limit(name="alice", cap_pico=10**15)]) as product:

        async def story(callers: Callers) -> Told:
            return await callers.call(key=product.keys["alice"], model=model, stream=stream)

        told = load.run(product, story)
        books = invariants.check(product, upstream.bill)
        (row,) = books.records
        assert (told.status, row["status"], row["evidence"]) == (200, "ok", "estimated")
        assert row["cost_pico"] == operating.cost_pico(row["input_tokens"], row["output_tokens"])
        assert row["input_tokens"] > 0
        assert row["output_tokens"] > 0
        assert books.windows[0]["settled_pico"] == row["cost_pico"]
        load.say(f"row 25: {model}, stream {stream}: {row['input_tokens']} + {row['output_tokens']} tokens estimated")
