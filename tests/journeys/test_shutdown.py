"""SIGTERM with calls under way: they are answered to their end, or cut off in time, and every row is settled."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from aiplatform.stopping import GRACE_S, KILLED_AFTER_S
from tests.conftest import NewProduct
from tests.journeys import operating
from tests.journeys.dialects import ANTHROPIC, OPENAI, Stream
from tests.product import Product
from tests.servers import wait_until
from tests.upstream import Fault, Upstream

STREAMS = 50
SHORT_S = 10  # well within the grace
ENDLESS = Fault(chunk_s=0.5, words=1_000)


def test_open_streams_are_heard_to_their_end(new_product: NewProduct, upstream: Upstream) -> None:
    upstream.always("up-chat", Fault(chunk_s=0.2))
    upstream.always("up-claude", Fault(chunk_s=0.2))

    def hear(number: int) -> Stream:
        door, model = (OPENAI, "up-chat") if number % 2 else (ANTHROPIC, "up-claude")
        return door.stream(product, model)

    with new_product() as product, ThreadPoolExecutor(STREAMS + 1) as callers:
        heard = [callers.submit(hear, number) for number in range(STREAMS)]
        plain = callers.submit(OPENAI.call, product, "up-chat")
        wait_until(lambda: len(upstream.bill) == STREAMS + 1)

        with operating.within(SHORT_S):
            product.stop()

        assert all(stream.result().ended for stream in heard)
        assert plain.result().status == 200
        check_settled(product, upstream)


def test_what_callers_have_left_is_settled_before_the_end(new_product: NewProduct, upstream: Upstream) -> None:
    """Their streams are drained in the background."""
    upstream.always("up-chat", Fault(chunk_s=0.2))

    with new_product() as product:
        for _ in range(5):
            with OPENAI.streaming(product, "up-chat") as answer:
                answer.readline()
        with operating.within(SHORT_S):
            product.stop()

        check_settled(product, upstream)


def test_what_outlasts_the_grace_is_told_so_and_settled_at_what_was_heard(
    new_product: NewProduct, upstream: Upstream
) -> None:
    with new_product() as product:
        _outlast(product, upstream)


@pytest.mark.faults  # as long as the grace is
def test_so_it_is_with_several_workers_on_postgresql(new_production: NewProduct, upstream: Upstream) -> None:
    with new_production() as product:
        _outlast(product, upstream)


def _outlast(product: Product, upstream: Upstream) -> None:
    """Streams that are heard, one whose caller has left, and a call without a word yet, all far from their ends."""
    upstream.always("up-chat", ENDLESS)
    upstream.always("up-claude", ENDLESS)
    with ThreadPoolExecutor(3) as callers:
        heard = [
            callers.submit(OPENAI.stream, product, "up-chat"),
            callers.submit(ANTHROPIC.stream, product, "up-claude"),
        ]
        with OPENAI.streaming(product, "up-chat") as answer:
            answer.readline()
        wait_until(lambda: len(upstream.bill) == 3)
        upstream.always("up-chat", Fault(delay_s=100))
        plain = callers.submit(OPENAI.call, product, "up-chat")
        wait_until(lambda: len(upstream.bill) == 4)

        with operating.within(KILLED_AFTER_S):  # then its killers come: a slow database has its time
            product.stop()

        streams = [stream.result() for stream in heard]
        rows = product.sql("SELECT * FROM usage_usagerecord")
        log = product.log()
        assert not any(stream.ended for stream in streams)
        assert all(stream.error and "stopping" in str(stream.error) for stream in streams), streams[0].last
        assert plain.result().status == 503
        assert plain.result().headers["retry-after"] == "1"
        assert operating.open_holds(product) == 0
        assert sorted(row["evidence"] for row in rows) == ["estimated"] * 3 + ["upper_bound"]
        assert {row["status"] for row in rows} == {"cancelled"}
        assert all(0 < row["output_tokens"] < 200 for row in rows if row["evidence"] == "estimated")
        assert "Traceback" not in log, log[-3000:]
        assert GRACE_S + 3 < KILLED_AFTER_S


def check_settled(product: Product, upstream: Upstream) -> None:
    rows = product.sql("SELECT * FROM usage_usagerecord")
    assert len(rows) == len(upstream.bill)
    assert operating.open_holds(product) == 0
    assert {row["evidence"] for row in rows} == {"reported"}
    assert sum(row["cost_pico"] for row in rows) == sum(
        operating.cost_pico(line.input_tokens, line.output_tokens) for line in upstream.bill
    )
