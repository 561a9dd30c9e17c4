"""The books against the provider's own bill, to the pico-dollar."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from tests.journeys import operating
from tests.journeys.dialects import DOORS, OPENAI, SPEC_D, Door
from tests.product import Product
from tests.upstream import Dispatch, Fault, Upstream

CALLS = 300
every_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)


def test_the_ledger_equals_the_bill(topology: Product, upstream: Upstream) -> None:
    """300 calls at once: plain and streaming, by three doors, to two kinds of provider, one in ten failing."""
    upstream.on("up-chat", *(Fault(status=500) if number % 10 == 0 else Fault(words=number) for number in range(150)))
    upstream.on("up-claude", *(Fault(cached_tokens=number % 4, words=number) for number in range(150)))

    statuses = asyncio.run(_all_at_once(topology))

    assert Counter(statuses) == {200: 285, 502: 15}
    rows = {row["request_id"]: row for row in _rows(topology, "books-%")}
    assert len(upstream.bill) == len(rows) == CALLS
    for line in upstream.bill:
        row = rows[_asked(line)]
        assert (row["deployment"], bool(row["stream"])) == (line.model, line.stream)
        assert row["evidence"] == ("reported" if line.status == 200 else "none")
        assert (row["input_tokens"], row["output_tokens"]) == (line.input_tokens, line.output_tokens)
        assert row["cost_pico"] == operating.cost_pico(line.input_tokens, line.output_tokens)
    assert operating.open_holds(topology) == 0


async def _all_at_once(product: Product) -> list[int]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(60)) as session:
        return await asyncio.gather(*(_call(session, product, number) for number in range(CALLS)))


async def _call(session: aiohttp.ClientSession, product: Product, number: int) -> int:
    """Its text, and its request's id, tell which it is."""
    door = DOORS[number % 3]
    model = ("up-chat", "up-claude")[number % 2]
    name = f"books-{product.port}-{number}"
    body = door.body(model, f"{name} " + "word " * (number % 17)) | {"stream": number % 4 < 2}
    headers = {"Authorization": f"Bearer {product.key}", "X-Request-ID": name}
    async with session.post(product.url(door.path), json=body, headers=headers) as answer:
        assert answer.headers["X-Request-ID"] == name
        heard = await answer.read()
        assert answer.status != 200 or heard
        return answer.status


def _asked(line: Dispatch) -> str:
    found = re.search(r"books-\d+-\d+", json.dumps(line.body))
    assert found
    return found[0]


def _rows(product: Product, pattern: str) -> list[dict[str, Any]]:
    return product.sql("SELECT * FROM usage_usagerecord WHERE request_id LIKE %s", pattern)


def test_a_call_costs_what_was_in_force_when_it_was_reserved(house: Product, upstream: Upstream) -> None:
    """The price rises, and the provider is even deactivated, while a call is under way."""
    made = operating.add_provider(house, name="dearer", kind="custom", endpoint=upstream.openai_url, model="dear")
    upstream.on("dear", Fault(chunk_s=0.3))

    with OPENAI.streaming(house, "dear") as answer:
        next(iter(answer))
        operating.manage(
            house,
            "PATCH",
            f"/api/ai-providers/{made}",
            {"pricing": {"inputTokenCost": 0.005, "outputTokenCost": 0.02}},
        )
        operating.until_in_force(lambda: _price_of(house, "dear") == 2 * operating.INPUT_PICO)
        heard = answer.read()
        request_id = str(answer.headers["x-request-id"])

    row = operating.row(house, request_id)
    assert b"[DONE]" in heard
    assert row["cost_pico"] == operating.cost_pico(row["input_tokens"], row["output_tokens"])


def _price_of(house: Product, model: str) -> float:
    """Of an input token, as a call costs it just now."""
    row = operating.row_of(house, OPENAI.call(house, model))
    return float(row["input_cost_pico"] / row["input_tokens"])


def test_a_model_without_a_price_is_served_at_a_cost_unknown(house: Product, upstream: Upstream) -> None:
    """Never at 0."""
    answer = OPENAI.call(house, "up-unpriced")

    assert answer.status == 200
    assert "x-cost-usd" not in answer.headers
    assert operating.row_of(house, answer)["cost_pico"] is None
    assert SPEC_D.call(house, "up-unpriced").json()["cost"] is None


@every_door
def test_what_a_row_says(house: Product, upstream: Upstream, door: Door) -> None:
    """Who called, what for, by which door, and who answered with which key."""
    named: dict[str, dict[str, Any]] = {"openai": {"user": "u-1"}, "anthropic": {"metadata": {"user_id": "u-1"}}}
    more = named.get(door.name, {})
    headers = {"X-Tags": "team=search,env=prod", "X-End-User": "u-1"}
    answer = house.request(
        "POST", door.path, body=door.body("up-chat", "Hello") | more, key=house.keys["alice"], headers=headers
    )

    row = operating.row_of(house, answer)
    assert (row["client"], row["end_user"], row["surface"]) == ("alice", "u-1", door.surface)
    assert house.keys["alice"].startswith(row["key_prefix"])
    assert json.loads(row["tags"]) == {"team": "search", "env": "prod"}
    assert (row["provider"], row["deployment"], row["credential"]) == ("upstream", "up-chat", "main")
    assert (row["requested_model"], row["served_model"], row["finish_reason"]) == ("up-chat", "up-chat", "stop")
    assert 0 < row["overhead_ms"] <= row["latency_ms"]
    assert json.loads(row["usage_payload"])["completion_tokens"] == row["output_tokens"]


@every_door
def test_what_an_answer_says_of_itself(house: Product, upstream: Upstream, door: Door) -> None:
    answer = door.call(house, "up-claude")

    row = operating.row_of(house, answer)
    told = {name: answer.headers[name] for name in ("x-provider", "x-model", "x-attempts", "x-cache")}
    assert told == {"x-provider": "upstream-anthropic", "x-model": "up-claude", "x-attempts": "1", "x-cache": "off"}
    assert operating.usd(row["cost_pico"]) == Decimal(answer.headers["x-cost-usd"])
    assert float(answer.headers["x-overhead-ms"]) >= 0
    assert answer.headers["content-type"].startswith("application/json")


@every_door
def test_what_a_stream_says_of_itself_at_its_start(house: Product, upstream: Upstream, door: Door) -> None:
    with door.streaming(house, "up-claude") as answer:
        told = {name: answer.headers[name] for name in ("x-provider", "x-model", "x-attempts", "x-cache")}
        answer.read()

    assert told == {"x-provider": "upstream-anthropic", "x-model": "up-claude", "x-attempts": "1", "x-cache": "off"}
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-request-id"]


@every_door
@pytest.mark.parametrize("given", ["my-request.1:a/b+c=d@e", "x" * 128])
def test_a_request_id_that_is_given_is_kept(house: Product, upstream: Upstream, door: Door, given: str) -> None:
    mine = f"{door.name[0]}{given}"[:128]

    answer = door.call(house, "up-chat", headers={"X-Request-ID": mine})

    assert answer.headers["x-request-id"] == mine
    assert operating.row(house, mine)["status"] == "ok"


@every_door
@pytest.mark.parametrize("given", ["", "two words", "x" * 129, "a\tb", "<script>", "naïve"])
def test_a_request_id_that_is_not_safe_is_replaced(house: Product, upstream: Upstream, door: Door, given: str) -> None:
    answer = door.call(house, "up-chat", headers={"X-Request-ID": given})

    minted = answer.headers["x-request-id"]
    assert minted != given
    assert minted.startswith("req_")
    assert operating.row(house, minted)["status"] == "ok"


@pytest.mark.parametrize("path", ["/v1/models", "/api/ai-providers", "/admin/login/", "/nothing/here", "/livez"])
def test_every_answer_carries_a_request_id(house: Product, path: str) -> None:
    given = house.request("GET", path, key=house.manage_key, headers={"X-Request-ID": "mine-1"})
    minted = house.request("GET", path, key=house.manage_key)

    assert given.headers.get("x-request-id") == "mine-1"
    assert minted.headers.get("x-request-id", "").startswith("req_")
