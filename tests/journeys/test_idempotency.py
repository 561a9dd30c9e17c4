"""`Idempotency-Key`: the same call sent twice is made once, and told twice."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import NewProduct
from tests.journeys import operating
from tests.journeys.dialects import ANTHROPIC, DOORS, OPENAI, Door, Stream, events
from tests.product import Answer, Product
from tests.servers import wait_until
from tests.upstream import Fault, Upstream

every_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
either_model = pytest.mark.parametrize("model", ["up-chat", "up-claude"])


@pytest.fixture
def key() -> str:
    return f"order-{uuid4().hex}"


def named(door: Door, product: Product, model: str, key: str, text: str = "Hello", **more: Any) -> Answer:
    return door.call(product, model, text, headers={"Idempotency-Key": key}, **more)


def streamed(door: Door, product: Product, model: str, key: str, text: str = "Hello") -> Stream:
    body = door.body(model, text) | {"stream": True}
    headers = {"Idempotency-Key": key}
    with product.opened("POST", door.path, body=body, key=product.key, headers=headers) as answer:
        return Stream(door, answer.status, answer.headers["x-request-id"], list(events(answer)))


@every_door
@either_model
def test_the_same_key_and_body(topology: Product, upstream: Upstream, door: Door, model: str, key: str) -> None:
    first, second = (named(door, topology, model, key) for _ in range(2))

    assert len(upstream.bill) == 1
    assert (first.status, second.status) == (200, 200)
    assert door.text(second.json()) == door.text(first.json())
    assert second.headers["x-cost-usd"] == "0"
    assert operating.row_of(topology, first)["status"] == "ok"
    assert operating.row_of(topology, second)["status"] == "cached"


@every_door
@either_model
def test_a_stream_is_told_again_as_one(topology: Product, upstream: Upstream, door: Door, model: str, key: str) -> None:
    first, second = (streamed(door, topology, model, key) for _ in range(2))

    assert len(upstream.bill) == 1
    assert second.ended
    assert second.text == first.text != ""


@every_door
def test_another_body_is_a_conflict(topology: Product, upstream: Upstream, door: Door, key: str) -> None:
    first = named(door, topology, "up-chat", key)
    second = named(door, topology, "up-chat", key, "Something else")

    assert second.status == 409
    assert second.headers["x-should-retry"] == "false"
    assert str(operating.row_of(topology, first)["request_id"]) in door.message(second.json())
    assert len(upstream.bill) == 1


def test_keys_belong_to_their_client(topology: Product, upstream: Upstream, key: str) -> None:
    body = OPENAI.body("up-chat", "Hello")
    for who in ("alice", "bob"):
        answer = topology.request(
            "POST", OPENAI.path, body=body, key=topology.keys[who], headers={"Idempotency-Key": key}
        )
        assert answer.status == 200
    assert len(upstream.bill) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_twenty_at_once_are_one_dispatch(topology: Product, upstream: Upstream, key: str, *, stream: bool) -> None:
    """Those that meet the call in another process are told that it is under way."""
    upstream.on("up-chat", Fault(delay_s=0.5))
    body = OPENAI.body("up-chat", "twenty") | {"stream": stream}

    def ask(_: int) -> Answer:
        return topology.request("POST", OPENAI.path, body=body, key=topology.key, headers={"Idempotency-Key": key})

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(ask, range(20)))
    told = [answer for answer in answers if answer.status == 200]
    assert len(upstream.bill) == 1
    assert len({answer.content for answer in told}) == 1
    assert {answer.status for answer in answers} <= {200, 409}
    if topology.env["WEB_WORKERS"] in ("", "1"):
        assert len(told) == 20
    assert ask(20).content == told[0].content


@pytest.mark.parametrize("stream", [False, True])
def test_a_failed_call_may_be_tried_again(product: Product, upstream: Upstream, key: str, *, stream: bool) -> None:
    upstream.always("up-chat", Fault(status=400))
    failed = named(OPENAI, product, "up-chat", key, stream=stream)
    upstream.reset()
    again, told = (named(OPENAI, product, "up-chat", key, stream=stream) for _ in range(2))

    assert failed.status == 400
    assert (again.status, told.status) == (200, 200)
    assert told.content == again.content
    assert len(upstream.bill) == 1


def test_a_stream_that_was_cut_may_be_tried_again(product: Product, upstream: Upstream, key: str) -> None:
    upstream.on("up-chat", Fault(cut_after=3))
    cut, whole = (streamed(OPENAI, product, "up-chat", key) for _ in range(2))

    assert not cut.ended
    assert whole.ended


@pytest.mark.parametrize("stream", [False, True])
def test_who_gave_up_waiting_asks_again_for_the_same_call(
    product: Product, upstream: Upstream, key: str, *, stream: bool
) -> None:
    """What the timeouts and retries of SDKs do: the answer that the first try has paid for is not lost."""
    upstream.on("up-chat", Fault(delay_s=2))
    body = OPENAI.body("up-chat", "Hello") | {"stream": stream}
    headers = {"Idempotency-Key": key}
    with product.asking("POST", OPENAI.path, body=body, key=product.key, headers=headers):
        wait_until(lambda: upstream.bill, what="the provider to be asked")
    again = [named(OPENAI, product, "up-chat", key, stream=stream) for _ in range(2)]

    assert [answer.status for answer in again] == [200, 200]
    assert again[0].content == again[1].content
    assert len(upstream.bill) == 1


def test_a_stream_whose_caller_left_is_told_whole(product: Product, upstream: Upstream, key: str) -> None:
    upstream.on("up-chat", Fault(chunk_s=0.03))
    body = OPENAI.body("up-chat", "Hello") | {"stream": True}
    headers = {"Idempotency-Key": key}
    with product.opened("POST", OPENAI.path, body=body, key=product.key, headers=headers) as answer:
        next(events(answer))
    whole = streamed(OPENAI, product, "up-chat", key)

    assert whole.ended
    assert len(whole.text.split()) == 8
    assert len(upstream.bill) == 1


def test_it_is_told_again_also_at_no_temperature(product: Product, upstream: Upstream, key: str) -> None:
    """The cache's answer is another call's: this key's own is remembered."""
    cached = OPENAI.call(product, "up-chat", "both", temperature=0)
    first, second = (named(OPENAI, product, "up-chat", key, "both", temperature=0) for _ in range(2))

    assert cached.headers["x-cache"] == "miss"
    assert len(upstream.bill) == 2
    assert second.content == first.content
    assert OPENAI.call(product, "up-chat", "both", temperature=0).content == first.content


def test_it_is_told_again_after_a_restart(new_product: NewProduct, upstream: Upstream, key: str) -> None:
    with new_product() as running:
        first = named(OPENAI, running, "up-chat", key)
        running.restart()
        second = named(OPENAI, running, "up-chat", key)

        assert second.content == first.content
        assert len(upstream.bill) == 1


def test_a_crash_in_between_is_a_conflict_that_names_the_row(
    new_product: NewProduct, upstream: Upstream, key: str
) -> None:
    with new_product() as running:
        upstream.on("up-chat", Fault(delay_s=30))
        with ThreadPoolExecutor(1) as pool:
            lost = pool.submit(named, OPENAI, running, "up-chat", key)
            wait_until(lambda: upstream.bill, what="the dispatch")
            hold = open_hold(running)
            running.kill_web()
            assert lost.exception() is not None
        running.start()
        again = named(OPENAI, running, "up-chat", key)

        assert again.status == 409
        assert hold in OPENAI.message(again.json())
        assert len(upstream.bill) == 1


def open_hold(product: Product) -> str:
    """The one open hold's id, as it is written everywhere."""
    (row,) = product.sql("SELECT id FROM usage_hold")
    text = str(row["id"]).replace("-", "")
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@pytest.mark.parametrize("bad", ["x" * 256, "schlüssel"])
def test_a_key_that_cannot_be_kept(product: Product, bad: str) -> None:
    answer = product.request(
        "POST", OPENAI.path, body=OPENAI.body("demo", "Hello"), key=product.key, headers={"Idempotency-Key": bad}
    )

    assert answer.status == 400
    assert "Idempotency-Key" in answer.text


def test_answers_lie_encrypted(product: Product, upstream: Upstream, key: str) -> None:
    answer = named(ANTHROPIC, product, "up-claude", key, "canary-question")
    operating.settled(product)
    (kept,) = product.sql("SELECT * FROM usage_idempotencykey WHERE key = %s", key)

    words = ANTHROPIC.text(answer.json())
    assert kept["answer"]
    assert not any(word in repr(kept) for word in (words, words.split()[0], "canary-question"))


def test_the_books_balance(product: Product) -> None:
    operating.settled(product)
    assert json.loads(product.manage("verifyledger", "--json"))["ok"]
