"""When an answer was made: told to callers whose dialect has it, also where its provider tells no time."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import pytest

from tests.journeys import operating
from tests.product import Product
from tests.upstream import Upstream

HELLO = [{"role": "user", "content": "What time is it?"}]
CACHED = {"X-Cache": "on"}


def _unix(told: Any) -> float:
    return datetime.fromisoformat(told).timestamp() if isinstance(told, str) else float(told)


@operating.again_if_redis_was_slow
@pytest.mark.parametrize(
    ("path", "asked", "name"),
    [
        ("/v1/chat/completions", {"messages": HELLO}, "created"),
        ("/v1/responses", {"input": "What time is it?"}, "created_at"),
        ("/api/chat", {"messages": HELLO, "stream": False}, "created_at"),
    ],
)
def test_an_answer_has_the_time_of_its_call(
    product: Product, upstream: Upstream, path: str, asked: dict[str, Any], name: str
) -> None:
    body = {"model": "up-claude"} | asked
    begun = int(time.time())

    first, again = (product.request("POST", path, body=body, key=product.key, headers=CACHED) for _ in range(2))

    assert begun <= _unix(first.json()[name]) <= time.time()
    assert (again.headers["x-cache"], again.json()[name]) == ("hit", first.json()[name])


def test_a_stream_has_it_too(product: Product, upstream: Upstream) -> None:
    begun = int(time.time())

    chunks = product.chat(model="up-claude", stream=True).text

    assert begun <= int(chunks.partition('"created":')[2].partition(",")[0]) <= time.time()
