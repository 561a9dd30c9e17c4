"""OpenAI's own Python client, pointed at the platform by its base URL alone."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel

from tests.clients import captures
from tests.clients.captures import OSLO, PARIS
from tests.clients.replay import Replay
from tests.journeys import operating
from tests.product import Product
from tests.upstream import Fault, Upstream

WORDS = "word0 word1 word2 word3 word4 word5 word6 word7"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
QUESTION: ChatCompletionMessageParam = {"role": "user", "content": "Is it warmer in Paris or in Oslo?"}


class Person(BaseModel):
    name: str
    age: int


def text_of(stream: Iterable[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def test_the_demo_answers(gateway: Product, openai_client: openai.OpenAI) -> None:
    answer = openai_client.chat.completions.create(model="demo", messages=[{"role": "user", "content": "Hello there"}])

    assert "Hello there" in (answer.choices[0].message.content or "")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    row = operating.row(gateway, answer._request_id or "")
    assert (row["input_tokens"], row["output_tokens"]) == (answer.usage.prompt_tokens, answer.usage.completion_tokens)
    assert row["cost_pico"] == answer.usage.prompt_tokens * 1_000_000 + answer.usage.completion_tokens * 2_000_000


def test_the_demo_streams_what_it_answers(openai_client: openai.OpenAI) -> None:
    plain = openai_client.chat.completions.create(model="demo", messages=[QUESTION], max_tokens=30)
    with openai_client.chat.completions.create(model="demo", messages=[QUESTION], max_tokens=30, stream=True) as stream:
        chunks = list(stream)

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == plain.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"
    assert all(chunk.usage is None for chunk in chunks)  # nobody asked for it


@pytest.mark.parametrize("model", ["up-chat", "up-claude"])
def test_an_answer_is_billed_as_its_provider_bills_it(
    gateway: Product, openai_client: openai.OpenAI, upstream: Upstream, model: str
) -> None:
    raw = openai_client.chat.completions.with_raw_response.create(model=model, messages=[QUESTION])
    answer = raw.parse()

    (bill,) = upstream.dispatches(model)
    assert answer.choices[0].message.content == WORDS
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (bill.input_tokens, bill.output_tokens)
    row = operating.row(gateway, answer._request_id or "")
    assert row["cost_pico"] == operating.cost_pico(bill.input_tokens, bill.output_tokens)
    assert Decimal(raw.headers["x-cost-usd"]) == operating.usd(row["cost_pico"])


@pytest.mark.parametrize("model", ["up-chat", "up-claude"])
def test_a_stream_tells_its_usage_to_who_asks(
    gateway: Product, openai_client: openai.OpenAI, upstream: Upstream, model: str
) -> None:
    with openai_client.chat.completions.create(
        model=model, messages=[QUESTION], stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
        request_id = stream.response.headers["x-request-id"]

    (bill,) = upstream.dispatches(model)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices).strip() == WORDS
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.prompt_tokens == bill.input_tokens
    assert chunks[-1].usage.completion_tokens == bill.output_tokens
    assert operating.row(gateway, request_id)["cost_pico"] == operating.cost_pico(bill.input_tokens, bill.output_tokens)


def test_the_system_prompt_reaches_either_kind_of_provider(openai_client: openai.OpenAI, upstream: Upstream) -> None:
    messages: list[ChatCompletionMessageParam] = [{"role": "system", "content": "Be terse."}, QUESTION]
    for model in ("up-chat", "up-claude"):
        openai_client.chat.completions.create(model=model, messages=messages)

    (native,), (translated,) = upstream.dispatches("up-chat"), upstream.dispatches("up-claude")
    assert native.body["messages"] == messages
    assert json.dumps(translated.body["system"]).count("Be terse.") == 1
    assert [message["role"] for message in translated.body["messages"]] == ["user"]


def test_an_image_reaches_either_kind_of_provider(openai_client: openai.OpenAI, upstream: Upstream) -> None:
    url = f"data:image/png;base64,{PNG}"
    messages: list[ChatCompletionMessageParam] = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}],
        }
    ]
    for model in ("up-chat", "up-claude"):
        assert openai_client.chat.completions.create(model=model, messages=messages).choices[0].message.content

    (native,), (translated,) = upstream.dispatches("up-chat"), upstream.dispatches("up-claude")
    assert native.body["messages"] == messages
    assert translated.body["messages"][0]["content"][1] == {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": PNG},
    }


def test_fields_that_we_do_not_know_reach_a_provider_of_the_same_dialect(
    openai_client: openai.OpenAI, upstream: Upstream
) -> None:
    openai_client.chat.completions.create(model="up-chat", messages=[QUESTION], seed=7, extra_body={"min_p": 0.05})

    (bill,) = upstream.dispatches("up-chat")
    assert (bill.body["seed"], bill.body["min_p"]) == (7, 0.05)


@pytest.mark.parametrize("model", ["gpt-replay", "claude-replay"])
def test_tools_go_round(openai_client: openai.OpenAI, replay: Replay, model: str) -> None:
    """The model asks for two calls at once, hears their results, and answers."""
    calls = [("call_p", PARIS), ("call_o", OSLO)]
    replay.says("gpt-replay", captures.openai_message(None, calls=calls), captures.openai_message("In Paris."))
    replay.says("claude-replay", captures.anthropic_message("", calls=calls), captures.anthropic_message("In Paris."))

    asked = openai_client.chat.completions.create(model=model, messages=[QUESTION], tools=[WEATHER])
    wanted = asked.choices[0].message.tool_calls or []
    answered = openai_client.chat.completions.create(model=model, tools=[WEATHER], messages=[QUESTION, *_told(wanted)])

    assert asked.choices[0].finish_reason == "tool_calls"
    assert [(call.id, json.loads(_arguments(call))) for call in wanted] == calls
    assert answered.choices[0].message.content == "In Paris."
    assert _results_heard(replay.asked[1], model) == [("call_p", "21 degrees"), ("call_o", "4 degrees")]


@pytest.mark.parametrize("model", ["gpt-replay", "claude-replay"])
def test_tool_calls_stream(gateway: Product, openai_client: openai.OpenAI, replay: Replay, model: str) -> None:
    calls = [("call_p", PARIS), ("call_o", OSLO)]
    replay.says("gpt-replay", captures.openai_tool_stream(calls))
    replay.says("claude-replay", captures.anthropic_tool_stream("Let me look.", calls))

    with openai_client.chat.completions.stream(model=model, messages=[QUESTION], tools=[WEATHER]) as stream:
        final = stream.get_final_completion()
        request_id = stream._response.headers["x-request-id"]

    wanted = final.choices[0].message.tool_calls or []
    assert final.choices[0].finish_reason == "tool_calls"
    assert [(call.id, json.loads(_arguments(call))) for call in wanted] == calls
    assert operating.row(gateway, request_id)["cost_pico"] == operating.cost_pico(31, 17)


@pytest.mark.parametrize("model", ["gpt-replay", "claude-replay"])
def test_structured_output_is_parsed(openai_client: openai.OpenAI, replay: Replay, model: str) -> None:
    replay.says("gpt-replay", captures.openai_message('{"name": "Ada", "age": 36}'))
    replay.says("claude-replay", captures.anthropic_message('{"name": "Ada", "age": 36}'))

    answer = openai_client.chat.completions.parse(model=model, messages=[QUESTION], response_format=Person)

    (asked,) = replay.asked
    wanted = asked.get("response_format", {}).get("json_schema") or asked["output_config"]["format"]
    assert answer.choices[0].message.parsed == Person(name="Ada", age=36)
    assert wanted["schema"]["required"] == ["name", "age"]


@pytest.mark.parametrize("name", ["modèle-模型", "evil\r\nX-Injected: 1", "x" * 500, ""])
def test_whatever_a_provider_calls_its_model_the_answer_comes(
    gateway: Product, openai_client: openai.OpenAI, replay: Replay, name: str
) -> None:
    replay.says("gpt-replay", captures.openai_message("In Paris.") | {"model": name})

    raw = openai_client.chat.completions.with_raw_response.create(model="gpt-replay", messages=[QUESTION])

    assert raw.parse().choices[0].message.content == "In Paris."
    assert "x-injected" not in raw.headers
    row = operating.row(gateway, raw.headers["x-request-id"])
    assert (row["status"], row["evidence"]) == ("ok", "reported")


def test_the_async_client_answers_and_streams_many_calls_at_once(gateway: Product, upstream: Upstream) -> None:
    async def plain(client: openai.AsyncOpenAI, model: str) -> str:
        answer = await client.chat.completions.create(model=model, messages=[QUESTION])
        return answer.choices[0].message.content or ""

    async def streamed(client: openai.AsyncOpenAI, model: str) -> str:
        stream = await client.chat.completions.create(model=model, messages=[QUESTION], stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]).strip()

    async def all_at_once() -> list[str]:
        async with openai.AsyncOpenAI(base_url=gateway.url("/v1"), api_key=gateway.key, max_retries=0) as client:
            models = ["up-chat", "up-claude"] * 5
            return await asyncio.gather(*(ask(client, model) for ask in (plain, streamed) for model in models))

    assert asyncio.run(all_at_once()) == [WORDS] * 20
    assert len(upstream.bill) == 20


def test_the_async_client_streams_tool_calls(gateway: Product, replay: Replay) -> None:
    replay.says("claude-replay", captures.anthropic_tool_stream("Let me look.", [("call_p", PARIS)]))

    async def final() -> Any:
        async with (
            openai.AsyncOpenAI(base_url=gateway.url("/v1"), api_key=gateway.key) as client,
            client.chat.completions.stream(model="claude-replay", messages=[QUESTION], tools=[WEATHER]) as stream,
        ):
            return await stream.get_final_completion()

    message = asyncio.run(final()).choices[0].message
    assert message.content == "Let me look."
    assert json.loads(message.tool_calls[0].function.arguments) == PARIS


def test_it_lists_the_models(gateway: Product, openai_client: openai.OpenAI) -> None:
    models = {model.id: model.owned_by for model in openai_client.models.list()}

    assert models["demo"] == "demo"
    assert models["up-claude"] == "upstream-anthropic"
    assert "default" in models
    assert openai_client.models.retrieve("up-chat").id == "up-chat"
    with pytest.raises(openai.NotFoundError):
        openai_client.models.retrieve("up-nothing")


class TestErrors:
    """Each is the client's own typed exception, and is retried only where that may help."""

    def test_a_wrong_key(self, gateway: Product) -> None:
        with (
            openai.OpenAI(base_url=gateway.url("/v1"), api_key="aip_00000000_wrong") as client,
            pytest.raises(openai.AuthenticationError) as refused,
        ):
            client.chat.completions.create(model="demo", messages=[QUESTION])

        assert refused.value.code == "UNAUTHENTICATED"
        assert "unknown" in refused.value.message
        assert refused.value.response.headers["x-should-retry"] == "false"

    def test_an_unknown_model(self, openai_client: openai.OpenAI) -> None:
        with pytest.raises(openai.NotFoundError) as refused:
            openai_client.chat.completions.create(model="gpt-17", messages=[QUESTION])

        assert (refused.value.code, refused.value.param) == ("MODEL_NOT_FOUND", "model")
        assert "gpt-17" in refused.value.message
        assert "up-chat" in refused.value.message  # what there is

    def test_a_malformed_body(self, openai_client: openai.OpenAI) -> None:
        with pytest.raises(openai.BadRequestError) as refused:
            openai_client.chat.completions.create(model="demo", messages=[QUESTION], n=0)

        assert (refused.value.code, refused.value.param) == ("INVALID_REQUEST", "n")

    def test_a_field_that_would_be_lost_in_translation(self, openai_client: openai.OpenAI, upstream: Upstream) -> None:
        with pytest.raises(openai.BadRequestError) as refused:
            openai_client.chat.completions.create(model="up-claude", messages=[QUESTION], seed=7)

        assert (refused.value.code, refused.value.param) == ("UNSUPPORTED_FIELD", "seed")
        assert upstream.bill == []

    @pytest.mark.parametrize(
        ("status", "raised"),
        [(400, openai.BadRequestError), (409, openai.ConflictError), (422, openai.UnprocessableEntityError)],
    )
    def test_what_the_provider_rejects_is_not_tried_again(
        self, gateway: Product, upstream: Upstream, status: int, raised: type[openai.APIStatusError]
    ) -> None:
        upstream.always("up-chat", Fault(status=status, message="top_p and temperature exclude each other"))

        with (
            openai.OpenAI(base_url=gateway.url("/v1"), api_key=gateway.key, max_retries=2) as client,
            pytest.raises(raised, match="exclude each other") as refused,
        ):
            client.chat.completions.create(model="up-chat", messages=[QUESTION])

        assert refused.value.code == "PROVIDER_REJECTED"
        assert len(upstream.bill) == 1

    @pytest.mark.parametrize("status", [401, 429, 500, 503])
    def test_what_the_provider_gets_wrong_is_tried_again(
        self, gateway: Product, upstream: Upstream, status: int
    ) -> None:
        upstream.on("up-chat", Fault(status=status))

        with openai.OpenAI(base_url=gateway.url("/v1"), api_key=gateway.key, max_retries=1) as client:
            answer = client.chat.completions.create(model="up-chat", messages=[QUESTION])

        assert answer.choices[0].message.content == WORDS
        assert len(upstream.bill) == 2

    def test_a_provider_that_fails_is_a_server_error(self, openai_client: openai.OpenAI, upstream: Upstream) -> None:
        upstream.on("up-chat", Fault(status=500, message="out of memory"))

        with pytest.raises(openai.InternalServerError, match="out of memory") as failed:
            openai_client.chat.completions.create(model="up-chat", messages=[QUESTION])

        assert (failed.value.status_code, failed.value.code) == (502, "PROVIDER_ERROR")
        assert failed.value.request_id

    @pytest.mark.parametrize("model", ["up-chat", "up-claude"])
    def test_a_stream_that_is_cut_raises(self, openai_client: openai.OpenAI, upstream: Upstream, model: str) -> None:
        upstream.on(model, Fault(cut_after=4))
        heard: list[ChatCompletionChunk] = []

        with (
            openai_client.chat.completions.create(model=model, messages=[QUESTION], stream=True) as stream,
            pytest.raises(openai.APIError) as cut,
        ):
            heard.extend(stream)

        assert text_of(heard).strip() == "word0 word1 word2"
        assert cut.value.code == "PROVIDER_ERROR"
        assert cut.value.message

    def test_an_error_in_a_stream_raises_with_the_providers_words(
        self, openai_client: openai.OpenAI, upstream: Upstream
    ) -> None:
        for model in ("up-chat", "up-claude"):
            upstream.on(model, Fault(error_after=3, chunk_s=0.05, message="overloaded just now"))

            with (
                openai_client.chat.completions.create(model=model, messages=[QUESTION], stream=True) as stream,
                pytest.raises(openai.APIError, match="overloaded just now"),
            ):
                text_of(stream)


def _arguments(call: Any) -> str:
    arguments: str = call.function.arguments
    return arguments


def _told(wanted: list[Any]) -> list[ChatCompletionMessageParam]:
    """The model's calls as its own message, and a result for each."""
    weather = {"Paris": "21 degrees", "Oslo": "4 degrees"}
    spoken: ChatCompletionMessageParam = {
        "role": "assistant",
        "tool_calls": [
            {"id": call.id, "type": "function", "function": {"name": "weather", "arguments": _arguments(call)}}
            for call in wanted
        ],
    }
    results: list[ChatCompletionMessageParam] = [
        {"role": "tool", "tool_call_id": call.id, "content": weather[json.loads(_arguments(call))["city"]]}
        for call in wanted
    ]
    return [spoken, *results]


def _results_heard(body: dict[str, Any], model: str) -> list[tuple[str, str]]:
    """Which results the provider was told, in its own dialect."""
    if model == "gpt-replay":
        told = [message for message in body["messages"] if message["role"] == "tool"]
        return [(message["tool_call_id"], message["content"]) for message in told]
    blocks = [block for block in body["messages"][-1]["content"] if block["type"] == "tool_result"]
    return [(block["tool_use_id"], _text(block["content"])) for block in blocks]


def _text(content: str | list[dict[str, Any]]) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)
