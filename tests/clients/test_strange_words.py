"""What providers and callers write where nobody looks: it spoils neither an answer nor a row, on any database."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients import captures
from tests.clients.replay import Replay
from tests.journeys import operating
from tests.product import Answer, Product
from tests.upstream import Fault, Upstream

_numbers = itertools.count()
STRANGE = ["modèle-模型", "evil\r\nX-Injected: 1", "nul\0byte", "x" * 5_000, ""]


@pytest.fixture
def strange(topology: Product, replay: Replay) -> Iterator[str]:
    """A model whose provider says what a test gives it; its name."""
    name = f"strange-{next(_numbers)}"
    made = operating.add_provider(topology, name=name, kind="custom", endpoint=f"{replay.url}/v1", model=name)
    yield name
    operating.manage(topology, "DELETE", f"/api/ai-providers/{made}")


def check_answered(product: Product, answer: Answer) -> None:
    assert answer.status == 200, answer.text
    assert "x-injected" not in answer.headers
    row = operating.row_of(product, answer)
    assert (row["status"], row["evidence"]) == ("ok", "reported")
    assert operating.open_holds(product) == 0


@pytest.mark.parametrize("stream", [False, True])
def test_the_name_of_a_model_at_its_provider(topology: Product, replay: Replay, strange: str, *, stream: bool) -> None:
    for word in STRANGE:
        if stream:
            chunks = captures.openai_tool_stream([("call_p", captures.PARIS)])
            replay.says(strange, [chunk | {"model": word} for chunk in chunks])
        else:
            replay.says(strange, captures.openai_message("In Paris.") | {"model": word})

        check_answered(topology, topology.chat(model=strange, stream=stream))


@pytest.mark.parametrize("stream", [False, True])
def test_half_a_character(topology: Product, replay: Replay, strange: str, *, stream: bool) -> None:
    """Hosts cut texts between the halves of an emoji: who speaks their dialect hears it as it came."""
    chunk = {"id": "c", "created": 1, "model": strange, "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    halves = [{"choices": [{"index": 0, "delta": {"content": half}}]} for half in ("\ud83d", "\ude00")]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    whole = captures.openai_message("cut \ud83d")
    for path, heard in (("/v1/chat/completions", "\\ud83d"), ("/v1/messages", "\ufffd")):
        replay.says(strange, [{"object": "chunk", **chunk, **each} for each in (*halves, end)] if stream else whole)
        body = {"model": strange, "max_tokens": 50, "messages": [{"role": "user", "content": path}], "stream": stream}

        answer = topology.request("POST", path, body=body, key=topology.key)

        check_answered(topology, answer)
        assert heard in answer.text


def test_the_words_of_an_error(topology: Product, upstream: Upstream) -> None:
    for word in STRANGE:
        upstream.on("up-chat", Fault(status=400, message=word))

        answer = topology.chat(model="up-chat")

        assert answer.status == 400, answer.text
        assert operating.row_of(topology, answer)["error_code"] == "PROVIDER_REJECTED"
        assert operating.open_holds(topology) == 0


def test_the_name_of_a_model_that_a_caller_asks_for(topology: Product, upstream: Upstream) -> None:
    for word in ("modèle-模型", "evil\r\nX-Injected: 1", "x" * 5_000):
        answer = topology.chat(model=word)

        assert answer.status == 404, answer.text
        assert operating.row_of(topology, answer)["requested_model"] == word.replace("\r\n", "")[:200]


def test_the_name_of_an_end_user(topology: Product, upstream: Upstream) -> None:
    for word in ("Zoë 王", "x" * 5_000, "a\nb"):
        answer = topology.chat(model="up-chat", user=word)

        check_answered(topology, answer)
        assert operating.row_of(topology, answer)["end_user"] == word[:128]


def test_a_usage_that_is_beyond_belief(topology: Product, replay: Replay, strange: str) -> None:
    """The books keep a row, and no negative or absurd amount of money."""
    unbelievable: list[Any] = [
        {"prompt_tokens": -5, "completion_tokens": 3},
        {"prompt_tokens": 10**30, "completion_tokens": 10**30},
        {"prompt_tokens": "many", "completion_tokens": None},
        {"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 10**6}},
        [],
        "none",
    ]
    for usage in unbelievable:
        replay.says(strange, captures.openai_message("In Paris.") | {"usage": usage})

        answer = topology.chat(model=strange)

        assert answer.status == 200, answer.text
        row = operating.row_of(topology, answer)
        assert row["status"] == "ok", json.dumps(usage)
        assert 0 <= row["cost_pico"] < 10**17
        assert min(row["input_tokens"], row["output_tokens"]) >= 0
        assert operating.open_holds(topology) == 0
