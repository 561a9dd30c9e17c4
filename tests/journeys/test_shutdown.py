"""SIGTERM with calls under way: they are answered to their end, and every row is settled."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.conftest import NewProduct
from tests.journeys import operating
from tests.journeys.dialects import ANTHROPIC, OPENAI, Stream
from tests.product import Product
from tests.servers import wait_until
from tests.upstream import Fault, Upstream

STREAMS = 50
GRACE_S = 10


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

        with operating.within(GRACE_S):
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
        with operating.within(GRACE_S):
            product.stop()

        check_settled(product, upstream)


def check_settled(product: Product, upstream: Upstream) -> None:
    rows = product.sql("SELECT * FROM usage_usagerecord")
    assert len(rows) == len(upstream.bill)
    assert operating.open_holds(product) == 0
    assert {row["evidence"] for row in rows} == {"reported"}
    assert sum(row["cost_pico"] for row in rows) == sum(
        operating.cost_pico(line.input_tokens, line.output_tokens) for line in upstream.bill
    )
