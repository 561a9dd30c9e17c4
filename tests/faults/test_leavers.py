"""Row 26: callers leave before the first word, in the middle and at the end; one model is drained, the other aborted.

What each settles at is told by `tests/journeys/test_disconnects.py`; here all of them at once, against the bill.
"""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.conftest import NewProduct
from tests.faults import invariants, load
from tests.faults.conftest import NewInstallation
from tests.faults.load import Callers, Told
from tests.product import Product
from tests.upstream import Fault, Upstream

ABORT = "UPDATE providers_provider SET on_disconnect = 'abort' WHERE slug = 'upstream-anthropic'"
CALLS = 120


def test_26_on_sqlite(new_product: NewProduct, upstream: Upstream, rng: random.Random) -> None:
    with new_product() as product:
        product.sql(ABORT)
        product.restart()
        _leave(product, upstream, rng)


@pytest.mark.faults
def test_26_on_postgresql(new_installation: NewInstallation, upstream: Upstream, rng: random.Random) -> None:
    with new_installation(workers=2, sql=[ABORT]) as product:
        _leave(product, upstream, rng)


def _leave(product: Product, upstream: Upstream, rng: random.Random) -> None:
    upstream.always("up-chat", Fault(delay_s=0.2, chunk_s=0.05))
    upstream.always("up-claude", Fault(delay_s=0.2, chunk_s=0.05))

    async def story(callers: Callers) -> list[Told]:
        # 0.1 s: before the first word; 0.4 s: in the middle; 0.72 s: about the end; 5 s: not at all.
        return await asyncio.gather(
            *(
                callers.call(
                    model=("up-chat", "up-claude")[n % 2],
                    stream=n % 3 > 0,
                    leave_after_s=rng.choice((0.1, 0.4, 0.72, 5)),
                )
                for n in range(CALLS)
            )
        )

    told = load.run(product, story)
    invariants.settled(product)
    books = invariants.check(product, upstream.bill)
    drained = [row for row in books.records if row["deployment"] == "up-chat"]
    load.say(f"row 26: {load.statuses(told)} (0: left); {len(upstream.bill)} dispatches, {books.by_evidence()}")
    sent = [row for row in books.records if row["evidence"] != "none"]  # whose caller left before that, was not sent
    assert {row["evidence"] for row in drained if row in sent} == {"reported"}
    assert {row["status"] for row in books.records} <= {"ok", "cancelled"}
    assert all(row["cost_pico"] for row in sent)
