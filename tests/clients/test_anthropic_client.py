"""Anthropic's own Python client, pointed at the platform by its base URL alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import anthropic
import pytest
from anthropic.types import MessageParam, ToolParam, ToolUseBlock
from pydantic import BaseModel

from tests.clients import captures
from tests.clients.captures import OSLO, PARIS
from tests.clients.replay import Replay
from tests.journeys import operating
from tests.product import Product
from tests.upstream import Fault, Upstream

WORDS = "word0 word1 word2 word3 word4 word5 word6 word7"
PNG = "iVBORw0KGgo="
WEATHER: ToolParam = {
    "name": "weather",
    "description": "The weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
QUESTION: MessageParam = {"role": "user", "content": "Is it warmer in Paris or in Oslo?"}
MOST = 200


class Person(BaseModel):
    name: str
    age: int


def text_of(content: Sequence[Any]) -> str:
    return "".join(block.text for block in content if block.type == "text")


def calls_of(content: Sequence[Any]) -> list[tuple[str, Any]]:
    return [(block.id, block.input) for block in content if isinstance(block, ToolUseBlock)]


def test_the_demo_answers(gateway: Product, anthropic_client: anthropic.Anthropic) -> None:
    answer = anthropic_client.messages.create(
        model="demo", max_tokens=MOST, messages=[{"role": "user", "content": "Hello there"}]
    )

    assert "Hello there" in text_of(answer.content)
    assert answer.stop_reason == "end_turn"
    row = operating.row(gateway, answer._request_id or "")
    assert (row["input_tokens"], row["output_tokens"]) == (answer.usage.input_tokens, answer.usage.output_tokens)
    assert row["cost_pico"] == answer.usage.input_tokens * 1_000_000 + answer.usage.output_tokens * 2_000_000


def test_the_demo_streams_what_it_answers(anthropic_client: anthropic.Anthropic) -> None:
    plain = anthropic_client.messages.create(model="demo", max_tokens=30, messages=[QUESTION])
    with anthropic_client.messages.stream(model="demo", max_tokens=30, messages=[QUESTION]) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()

    assert text == text_of(final.content) == text_of(plain.content)
    assert final.stop_reason == "max_tokens"
    assert final.usage.output_tokens == plain.usage.output_tokens == 30


@pytest.mark.parametrize("path", ["", "/anthropic"])
@pytest.mark.parametrize("model", ["up-claude", "up-chat"])
def test_an_answer_is_billed_as_its_provider_bills_it(
    gateway: Product, upstream: Upstream, model: str, path: str
) -> None:
    with anthropic.Anthropic(base_url=gateway.url(path), api_key=gateway.key, max_retries=0) as client:
        raw = client.messages.with_raw_response.create(model=model, max_tokens=MOST, messages=[QUESTION])
        answer = raw.parse()

    (bill,) = upstream.dispatches(model)
    assert text_of(answer.content) == WORDS
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (bill.input_tokens, bill.output_tokens)
    row = operating.row(gateway, answer._request_id or "")
    assert row["cost_pico"] == operating.cost_pico(bill.input_tokens, bill.output_tokens)
    assert Decimal(raw.headers["x-cost-usd"]) == operating.usd(row["cost_pico"])


@pytest.mark.parametrize("model", ["up-claude", "up-chat"])
def test_a_stream_is_billed_as_its_provider_bills_it(
    gateway: Product, anthropic_client: anthropic.Anthropic, upstream: Upstream, model: str
) -> None:
    with anthropic_client.messages.stream(model=model, max_tokens=MOST, messages=[QUESTION]) as stream:
        final = stream.get_final_message()
        request_id = stream.request_id

    (bill,) = upstream.dispatches(model)
    assert text_of(final.content).strip() == WORDS
    assert final.usage.output_tokens == bill.output_tokens
    row = operating.row(gateway, request_id or "")
    assert (row["input_tokens"], row["output_tokens"]) == (bill.input_tokens, bill.output_tokens)
    assert row["cost_pico"] == operating.cost_pico(bill.input_tokens, bill.output_tokens)


@pytest.mark.parametrize("stream", [False, True])
def test_newer_gpts_with_tools_are_asked_in_responses(
    gateway: Product, anthropic_client: anthropic.Anthropic, upstream: Upstream, *, stream: bool
) -> None:
    model = f"gpt-5.6-{'streams' if stream else 'answers'}"
    name = model.replace(".", "-")
    operating.add_provider(gateway, name=name, kind="openai", endpoint=upstream.openai_url, model=model)
    asked: Any = {"model": model, "max_tokens": MOST, "messages": [QUESTION], "tools": [WEATHER]}

    if stream:
        with anthropic_client.messages.stream(**asked) as answering:
            answer, request_id = answering.get_final_message(), answering.request_id
    else:
        answer = anthropic_client.messages.create(**asked)
        request_id = answer._request_id

    (bill,) = upstream.dispatches(model)
    assert bill.path.endswith("/responses")
    assert text_of(answer.content).strip() == WORDS
    row = operating.row(gateway, request_id or "")
    assert (row["status"], row["evidence"]) == ("ok", "reported")
    assert row["cost_pico"] == operating.cost_pico(bill.input_tokens, bill.output_tokens)


def test_the_system_prompt_reaches_either_kind_of_provider(
    anthropic_client: anthropic.Anthropic, upstream: Upstream
) -> None:
    for model in ("up-claude", "up-chat"):
        anthropic_client.messages.create(
            model=model,
            max_tokens=MOST,
            system=[{"type": "text", "text": "Be terse.", "cache_control": {"type": "ephemeral"}}],
            messages=[QUESTION],
        )

    (native,), (translated,) = upstream.dispatches("up-claude"), upstream.dispatches("up-chat")
    assert native.body["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert translated.body["messages"][0] == {"role": "system", "content": "Be terse."}


def test_an_image_reaches_either_kind_of_provider(anthropic_client: anthropic.Anthropic, upstream: Upstream) -> None:
    messages: list[MessageParam] = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            ],
        }
    ]
    for model in ("up-claude", "up-chat"):
        assert text_of(anthropic_client.messages.create(model=model, max_tokens=MOST, messages=messages).content)

    (native,), (translated,) = upstream.dispatches("up-claude"), upstream.dispatches("up-chat")
    assert native.body["messages"] == messages
    assert translated.body["messages"][0]["content"][1] == {
        "type": "image_url",
        "image_url": {"url": f"data:image/png;base64,{PNG}"},
    }


@pytest.mark.parametrize("model", ["claude-replay", "gpt-replay"])
def test_tools_go_round(anthropic_client: anthropic.Anthropic, replay: Replay, model: str) -> None:
    """The model asks for two calls at once, hears their results, and answers."""
    calls = [("call_p", PARIS), ("call_o", OSLO)]
    replay.says("claude-replay", captures.anthropic_message("", calls=calls), captures.anthropic_message("In Paris."))
    replay.says("gpt-replay", captures.openai_message(None, calls=calls), captures.openai_message("In Paris."))

    asked = anthropic_client.messages.create(model=model, max_tokens=MOST, messages=[QUESTION], tools=[WEATHER])
    results: list[MessageParam] = [
        {"role": "assistant", "content": asked.content},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_p", "content": "21 degrees"},
                {"type": "tool_result", "tool_use_id": "call_o", "content": "no such city", "is_error": True},
            ],
        },
    ]
    answered = anthropic_client.messages.create(
        model=model, max_tokens=MOST, messages=[QUESTION, *results], tools=[WEATHER]
    )

    assert asked.stop_reason == "tool_use"
    assert calls_of(asked.content) == calls
    assert text_of(answered.content) == "In Paris."
    heard = json.dumps(replay.asked[1])
    assert heard.count('"call_p"') == heard.count('"call_o"') == 2  # the call and its result
    assert "21 degrees" in heard
    assert "no such city" in heard


@pytest.mark.parametrize("model", ["claude-replay", "gpt-replay"])
def test_tool_calls_stream(gateway: Product, anthropic_client: anthropic.Anthropic, replay: Replay, model: str) -> None:
    calls = [("call_p", PARIS), ("call_o", OSLO)]
    replay.says("claude-replay", captures.anthropic_tool_stream("Let me look.", calls))
    replay.says("gpt-replay", captures.openai_tool_stream(calls))

    with anthropic_client.messages.stream(model=model, max_tokens=MOST, messages=[QUESTION], tools=[WEATHER]) as stream:
        final = stream.get_final_message()
        request_id = stream.request_id

    assert final.stop_reason == "tool_use"
    assert calls_of(final.content) == calls
    assert operating.row(gateway, request_id or "")["cost_pico"] == operating.cost_pico(31, 17)


@pytest.mark.parametrize("model", ["claude-replay", "gpt-replay"])
def test_structured_output_is_parsed(anthropic_client: anthropic.Anthropic, replay: Replay, model: str) -> None:
    replay.says("claude-replay", captures.anthropic_message('{"name": "Ada", "age": 36}'))
    replay.says("gpt-replay", captures.openai_message('{"name": "Ada", "age": 36}'))

    answer = anthropic_client.messages.parse(model=model, max_tokens=MOST, messages=[QUESTION], output_format=Person)

    (asked,) = replay.asked
    wanted = asked.get("response_format", {}).get("json_schema") or asked["output_config"]["format"]
    assert answer.parsed_output == Person(name="Ada", age=36)
    assert wanted["schema"]["required"] == ["name", "age"]


def test_the_async_client_answers_and_streams_many_calls_at_once(gateway: Product, upstream: Upstream) -> None:
    async def plain(client: anthropic.AsyncAnthropic, model: str) -> str:
        return text_of((await client.messages.create(model=model, max_tokens=MOST, messages=[QUESTION])).content)

    async def streamed(client: anthropic.AsyncAnthropic, model: str) -> str:
        async with client.messages.stream(model=model, max_tokens=MOST, messages=[QUESTION]) as stream:
            return text_of((await stream.get_final_message()).content).strip()

    async def all_at_once() -> list[str]:
        async with anthropic.AsyncAnthropic(base_url=gateway.base_url, api_key=gateway.key, max_retries=0) as client:
            models = ["up-claude", "up-chat"] * 5
            return await asyncio.gather(*(ask(client, model) for ask in (plain, streamed) for model in models))

    assert asyncio.run(all_at_once()) == [WORDS] * 20
    assert len(upstream.bill) == 20


def test_the_async_client_streams_tool_calls(gateway: Product, replay: Replay) -> None:
    replay.says("gpt-replay", captures.openai_tool_stream([("call_p", PARIS)]))

    async def final() -> Any:
        async with (
            anthropic.AsyncAnthropic(base_url=gateway.base_url, api_key=gateway.key) as client,
            client.messages.stream(model="gpt-replay", max_tokens=MOST, messages=[QUESTION], tools=[WEATHER]) as stream,
        ):
            return await stream.get_final_message()

    assert calls_of(asyncio.run(final()).content) == [("call_p", PARIS)]


def test_it_lists_the_models(anthropic_client: anthropic.Anthropic) -> None:
    models = [model.id for model in anthropic_client.models.list()]

    assert {"default", "demo", "up-chat", "up-claude"} <= set(models)
    assert anthropic_client.models.retrieve("up-claude").display_name == "up-claude"
    with pytest.raises(anthropic.NotFoundError) as refused:
        anthropic_client.models.retrieve("up-nothing")
    assert _error(refused.value)["type"] == "not_found_error"
    assert refused.value.body["type"] == "error"  # type: ignore[index]  # Anthropic's form, not OpenAI's


def test_it_lists_the_models_below_its_own_path_too(gateway: Product) -> None:
    with anthropic.Anthropic(base_url=f"{gateway.base_url}/anthropic", api_key=gateway.key) as client:
        models = [model.id for model in client.models.list()]
        one = client.models.retrieve("up-claude")

    assert {"default", "demo", "up-chat", "up-claude"} <= set(models)
    assert (one.id, one.type) == ("up-claude", "model")


class TestErrors:
    """Each is the client's own typed exception, and is retried only where that may help."""

    def test_a_wrong_key(self, gateway: Product) -> None:
        with (
            anthropic.Anthropic(base_url=gateway.base_url, api_key="aip_00000000_wrong") as client,
            pytest.raises(anthropic.AuthenticationError) as refused,
        ):
            client.messages.create(model="demo", max_tokens=MOST, messages=[QUESTION])

        assert _error(refused.value)["type"] == "authentication_error"
        assert "unknown" in _error(refused.value)["message"]
        assert refused.value.request_id == refused.value.response.headers["x-request-id"]

    def test_an_unknown_model(self, anthropic_client: anthropic.Anthropic) -> None:
        with pytest.raises(anthropic.NotFoundError) as refused:
            anthropic_client.messages.create(model="claude-17", max_tokens=MOST, messages=[QUESTION])

        assert _error(refused.value)["type"] == "not_found_error"
        assert "claude-17" in _error(refused.value)["message"]
        assert "up-claude" in _error(refused.value)["message"]  # what there is

    def test_a_malformed_body(self, anthropic_client: anthropic.Anthropic) -> None:
        with pytest.raises(anthropic.BadRequestError, match="max_tokens") as refused:
            anthropic_client.messages.create(model="demo", max_tokens=-1, messages=[QUESTION])

        assert _error(refused.value)["type"] == "invalid_request_error"

    def test_a_field_that_would_be_lost_in_translation(
        self, anthropic_client: anthropic.Anthropic, upstream: Upstream
    ) -> None:
        with pytest.raises(anthropic.BadRequestError, match="top_k"):
            anthropic_client.messages.create(
                model="up-chat", max_tokens=MOST, messages=[QUESTION], extra_body={"top_k": 5}
            )

        assert upstream.bill == []

    @pytest.mark.parametrize(
        ("status", "raised"),
        [
            (400, anthropic.BadRequestError),
            (409, anthropic.ConflictError),
            (413, anthropic.RequestTooLargeError),
            (422, anthropic.UnprocessableEntityError),
        ],
    )
    def test_what_the_provider_rejects_is_not_tried_again(
        self, gateway: Product, upstream: Upstream, status: int, raised: type[anthropic.APIStatusError]
    ) -> None:
        upstream.always("up-claude", Fault(status=status, message="messages must alternate"))

        with (
            anthropic.Anthropic(base_url=gateway.base_url, api_key=gateway.key, max_retries=2) as client,
            pytest.raises(raised, match="must alternate"),
        ):
            client.messages.create(model="up-claude", max_tokens=MOST, messages=[QUESTION])

        assert len(upstream.bill) == 1

    @pytest.mark.parametrize("status", [401, 429, 529])
    def test_what_the_provider_gets_wrong_is_tried_again(
        self, gateway: Product, upstream: Upstream, status: int
    ) -> None:
        upstream.on("up-claude", Fault(status=status))

        with anthropic.Anthropic(base_url=gateway.base_url, api_key=gateway.key, max_retries=1) as client:
            answer = client.messages.create(model="up-claude", max_tokens=MOST, messages=[QUESTION])

        assert text_of(answer.content) == WORDS
        assert len(upstream.bill) == 2

    def test_a_provider_that_fails_is_a_server_error(
        self, anthropic_client: anthropic.Anthropic, upstream: Upstream
    ) -> None:
        upstream.on("up-claude", Fault(status=500, message="out of memory"))

        with pytest.raises(anthropic.InternalServerError, match="out of memory") as failed:
            anthropic_client.messages.create(model="up-claude", max_tokens=MOST, messages=[QUESTION])

        assert (failed.value.status_code, _error(failed.value)["type"]) == (502, "api_error")

    @pytest.mark.parametrize("model", ["up-claude", "up-chat"])
    def test_a_stream_that_is_cut_raises(
        self, anthropic_client: anthropic.Anthropic, upstream: Upstream, model: str
    ) -> None:
        upstream.on(model, Fault(cut_after=4))
        heard: list[str] = []

        with (
            anthropic_client.messages.stream(model=model, max_tokens=MOST, messages=[QUESTION]) as stream,
            pytest.raises(anthropic.APIStatusError) as cut,
        ):
            heard.extend(stream.text_stream)

        assert "".join(heard).strip() == "word0 word1 word2"
        assert _error(cut.value)["type"] == "api_error"
        assert _error(cut.value)["message"]


def _error(error: anthropic.APIStatusError) -> dict[str, Any]:
    body: Any = error.body
    found: dict[str, Any] = body["error"]
    return found
