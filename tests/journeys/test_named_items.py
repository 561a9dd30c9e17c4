"""Naming an earlier answer's items in the Responses API, as the clients do that leave its storing on."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests import servers
from tests.conftest import NewProduct
from tests.journeys import operating
from tests.product import Answer, Product
from tests.servers import Redis, wait_until
from tests.upstream import Dispatch, Upstream

PATH = "/v1/responses"
NATIVE = "named-gpt"  # of an OpenAI that speaks Responses itself
NOTHING_STORED = "charlie"  # the scripted provider may give an id again, to another client too
WORDS = "word0 word1 word2 word3 word4 word5 word6 word7"
NO_REDIS = "the cache's Redis does not answer"
_numbers = itertools.count(1)
every_model = pytest.mark.parametrize("model", ["up-chat", "up-claude", NATIVE])
plain_or_streamed = pytest.mark.parametrize("stream", [False, True])


@pytest.fixture
def house(topology: Product, session_upstream: Upstream) -> Product:
    if not topology.sql("SELECT id FROM providers_provider WHERE slug = 'named-openai'"):
        endpoint = session_upstream.openai_url
        operating.add_provider(topology, name="named-openai", kind="openai", endpoint=endpoint, model=NATIVE)
    return topology


def ask(product: Product, model: str, given: Any = "Is it warm?", *, who: str = "alice", **more: Any) -> Answer:
    headers = more.pop("headers", None)
    body = {"model": model, "input": given, **more}
    return product.request("POST", PATH, body=body, key=product.keys[who], headers=headers)


def follow(product: Product, model: str, id_: str, *, who: str = "alice") -> Answer:
    reference = {"type": "item_reference", "id": id_}
    question, further = ({"role": "user", "content": text} for text in ("Is it warm?", "Are you sure?"))
    return ask(product, model, [question, reference, further], who=who, store=False)


def item_id(answer: Answer) -> str:
    """Of the message in an answer, whole or streamed."""
    assert answer.status == 200, answer.text
    if answer.headers["content-type"] == "application/json":
        whole = answer.json()
    else:
        events = [json.loads(line[5:]) for line in answer.text.splitlines() if line.startswith("data:")]
        whole = events[-1]["response"]
    (item,) = whole["output"]
    name: str = item["id"]
    return name


def heard(bill: Dispatch) -> list[tuple[str, str]]:
    """Who said what, in any dialect."""
    messages = bill.body.get("messages") or bill.body["input"]
    return [(message["role"], _text(message["content"]).strip()) for message in messages]


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def assert_not_kept(answer: Answer) -> None:
    error = answer.json()["error"]
    assert (answer.status, error["code"], error["param"]) == (400, "INVALID_REQUEST", "input[1]")
    assert "send the item itself" in error["message"]


@operating.again_if_redis_was_slow
@every_model
@plain_or_streamed
def test_the_provider_hears_the_item_that_is_named(
    house: Product, upstream: Upstream, model: str, *, stream: bool
) -> None:
    name = item_id(ask(house, model, stream=stream))

    for _ in range(4):  # whichever process answers
        assert follow(house, model, name).status == 200

    bills = upstream.dispatches(model)[1:]
    said = [("user", "Is it warm?"), ("assistant", WORDS), ("user", "Are you sure?")]
    assert [heard(bill) for bill in bills] == [said] * 4
    assert not any(name in json.dumps(bill.body) for bill in bills)


@operating.again_if_redis_was_slow
def test_another_provider_can_go_on(house: Product, upstream: Upstream) -> None:
    name = item_id(ask(house, NATIVE))

    assert follow(house, "up-claude", name).status == 200
    (bill,) = upstream.dispatches("up-claude")
    assert heard(bill)[1] == ("assistant", WORDS)


@every_model
@plain_or_streamed
def test_what_is_not_to_be_stored_is_not(house: Product, upstream: Upstream, model: str, *, stream: bool) -> None:
    name = item_id(ask(house, model, who=NOTHING_STORED, stream=stream, store=False))
    upstream.reset()

    assert_not_kept(follow(house, model, name, who=NOTHING_STORED))
    assert upstream.bill == []


@operating.again_if_redis_was_slow
@every_model
def test_another_client_s_item_is_as_unknown_as_any(house: Product, upstream: Upstream, model: str) -> None:
    name = item_id(ask(house, model, who="bob"))

    refused = follow(house, model, name, who=NOTHING_STORED)
    assert_not_kept(refused)
    assert refused.json() == follow(house, model, "msg_unheard_of", who=NOTHING_STORED).json()
    assert follow(house, model, name, who="bob").status == 200


@operating.again_if_redis_was_slow
@plain_or_streamed
def test_an_answer_that_is_told_again_has_the_same_items(house: Product, upstream: Upstream, *, stream: bool) -> None:
    for headers in ({"X-Cache": "on"}, {"Idempotency-Key": f"named {next(_numbers)}"}):
        text = f"again {next(_numbers)}"
        names = {item_id(ask(house, "up-chat", text, stream=stream, headers=headers)) for _ in range(3)}

        assert len(names) == 1
        assert follow(house, "up-chat", names.pop()).status == 200


def test_an_earlier_response_is_refused_as_ever(house: Product) -> None:
    error = ask(house, "up-chat", previous_response_id="resp_1").json()["error"]

    assert (error["code"], error["param"]) == ("UNSUPPORTED_FIELD", "previous_response_id")


@pytest.fixture
def own_redis() -> Iterator[Redis]:
    with servers.redis() as server:
        yield server


def test_without_redis_calls_are_answered_and_names_refused(
    new_production: NewProduct, own_redis: Redis, upstream: Upstream
) -> None:
    with new_production(redis=own_redis, workers=1) as running:
        wait_until(lambda: follow(running, "up-chat", item_id(ask(running, "up-chat"))).status == 200)
        name, before = item_id(ask(running, "up-chat")), running.log().count(NO_REDIS)
        own_redis.freeze()
        assert_not_kept(follow(running, "up-chat", name))
        assert [ask(running, "up-chat").status for _ in range(5)] == [200] * 5
        assert running.log().count(NO_REDIS) == before + 1, "waited for once"
        own_redis.thaw()
