"""The web process is killed in mid-call: its holds are settled after the next start, and service goes on."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor

from tests.conftest import NewProduct
from tests.journeys import operating
from tests.journeys.dialects import ANTHROPIC, OPENAI, Door, events
from tests.product import Product
from tests.servers import wait_until
from tests.upstream import Fault, Upstream

LEASE_S, SWEEP_S, SLACK_S = 15, 10, 15


def test_killed_calls_are_settled_and_service_continues(new_product: NewProduct, upstream: Upstream) -> None:
    """In the middle of plain calls, and of streams before the first word and after a few."""
    with new_product() as product, ThreadPoolExecutor(4) as callers:
        upstream.on("up-chat", Fault(delay_s=60), Fault(delay_s=60))
        lost = [callers.submit(call_in_vain, product, OPENAI, "up-chat", "plain", stream=False)]
        wait_until(lambda: len(upstream.bill) == 1)
        lost.append(callers.submit(call_in_vain, product, OPENAI, "up-chat", "waiting", stream=True))
        wait_until(lambda: len(upstream.bill) == 2)
        upstream.on("up-chat", Fault(stall_after=3))
        upstream.on("up-claude", Fault(stall_after=5))
        with (
            OPENAI.streaming(product, "up-chat") as one,
            ANTHROPIC.streaming(product, "up-claude") as two,
        ):
            heard = [list(itertools.islice(events(stream), 3)) for stream in (one, two)]
            holds = product.sql("SELECT * FROM usage_hold")

            killed_at = time.monotonic()
            product.kill_web()

        assert len(heard) == 2
        assert len(holds) == 4
        assert [call.result(10) for call in lost] == [None, None]
        assert product.sql("SELECT * FROM usage_usagerecord") == []

        product.start()
        assert product.chat(model="up-chat").status == 200  # nobody waits for the books of the dead
        wait_until(lambda: operating.open_holds(product) == 0, timeout_s=LEASE_S + SWEEP_S + SLACK_S, what="the sweep")
        assert time.monotonic() - killed_at < LEASE_S + SWEEP_S + SLACK_S

        rows = product.sql("SELECT * FROM usage_usagerecord WHERE status = 'interrupted'")
        assert sorted(row["id"] for row in rows) == sorted(hold["id"] for hold in holds)
        for row in rows:
            (hold,) = (hold for hold in holds if hold["id"] == row["id"])
            assert (row["evidence"], row["error_code"]) == ("upper_bound", "INTERRUPTED")
            assert row["cost_pico"] == hold["amount_pico"] > 0
            assert row["request_id"] == hold["request_id"]
        billed = sum(operating.cost_pico(line.input_tokens, line.output_tokens) for line in upstream.bill[:4])
        assert sum(row["cost_pico"] for row in rows) >= billed


def call_in_vain(product: Product, door: Door, model: str, text: str, *, stream: bool) -> int | None:
    """None: the connection broke."""
    try:
        return door.call(product, model, text, stream=stream).status
    except OSError:
        return None
