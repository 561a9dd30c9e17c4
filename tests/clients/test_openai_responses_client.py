"""OpenAI's own Python client in its newer API, pointed at the platform by its base URL alone."""

from __future__ import annotations

import asyncio
import base64
import json
from decimal import Decimal
from typing import Any

import openai
import pytest
from openai.types.responses import FunctionToolParam, Response
from pydantic import BaseModel

from tests.clients import captures
from tests.clients.captures import OSLO, PARIS
from tests.clients.replay import Replay
from tests.journeys import operating
from tests.product import Product
from tests.upstream import Fault, Upstream

WORDS = "word0 word1 word2 word3 word4 word5 word6 word7"
NATIVE = "up-gpt"
MODELS = [NATIVE, "up-chat", "up-claude"]
QUESTION = "Is it warmer in Paris or in Oslo?"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()
WEATHER: FunctionToolParam = {
    "type": "function",
    "name": "weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}
OF_ONE_TEXT = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    *["response.output_text.delta"] * len(WORDS.split()),
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture(scope="module", autouse=True)
def gpts(gateway: Product, session_upstream: Upstream) -> None:
    """An OpenAI that speaks the Responses API itself."""
    endpoint = session_upstream.openai_url
    operating.add_provider(gateway, name="openai-itself", kind="openai", endpoint=endpoint, model=NATIVE)


def test_the_demo_answers(openai_client: openai.OpenAI) -> None:
    answer = openai_client.responses.create(model="demo", input="Hello there")

    assert "Hello there" in answer.output_text
    assert (answer.status, answer.error) == ("completed", None)


@pytest.mark.parametrize("model", MODELS)
def test_an_answer_is_billed_as_its_provider_bills_it(
    gateway: Product, openai_client: openai.OpenAI, upstream: Upstream, model: str
) -> None:
    raw = openai_client.responses.with_raw_response.create(model=model, input=QUESTION, instructions="Be terse.")
    answer = raw.parse()

    (bill,) = upstream.dispatches(model)
    assert answer.output_text == WORDS
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (bill.input_tokens, bill.output_tokens)
    assert answer.usage.total_tokens == bill.input_tokens + bill.output_tokens
    row = operating.row(gateway, answer._request_id or "")
    assert (row["surface"], row["status"], row["evidence"]) == ("openai.responses", "ok", "reported")
    assert row["cost_pico"] == operating.cost_pico(bill.input_tokens, bill.output_tokens)
    assert Decimal(raw.headers["x-cost-usd"]) == operating.usd(row["cost_pico"])


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_has_openai_s_order_of_events(
    gateway: Product, openai_client: openai.OpenAI, upstream: Upstream, model: str
) -> None:
    with openai_client.responses.create(model=model, input=QUESTION, stream=True) as stream:
        events = list(stream)
        request_id = stream.response.headers["x-request-id"]

    (bill,) = upstream.dispatches(model)
    assert [event.type for event in events] == OF_ONE_TEXT
    last: Any = events[-1]
    assert last.response.output_text.strip() == WORDS
    assert (last.response.usage.input_tokens, last.response.usage.output_tokens) == (
        bill.input_tokens,
        bill.output_tokens,
    )
    assert last.response.store is False
    assert operating.row(gateway, request_id)["cost_pico"] == operating.cost_pico(bill.input_tokens, bill.output_tokens)


@pytest.mark.parametrize("model", MODELS)
def test_the_client_puts_a_stream_together(openai_client: openai.OpenAI, upstream: Upstream, model: str) -> None:
    upstream.on(model, Fault(cached_tokens=2))

    with openai_client.responses.stream(model=model, input=QUESTION) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()

    assert text.strip() == final.output_text.strip() == WORDS
    assert final.usage is not None
    assert final.usage.input_tokens_details.cached_tokens == 2


@pytest.mark.parametrize("model", MODELS)
def test_an_answer_that_reaches_its_bound_is_incomplete(openai_client: openai.OpenAI, model: str) -> None:
    answer = openai_client.responses.create(model=model, input=QUESTION, max_output_tokens=3)

    assert answer.output_text == "word0 word1 word2"
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"


def test_the_body_reaches_an_openai_as_it_came_and_nothing_is_stored_there(
    openai_client: openai.OpenAI, upstream: Upstream
) -> None:
    answer = openai_client.responses.create(
        model=NATIVE, input=QUESTION, store=True, truncation="auto", extra_body={"something_new": 7}
    )

    (bill,) = upstream.dispatches(NATIVE)
    assert bill.path == "/v1/responses"
    assert bill.body == {
        "model": NATIVE,
        "input": QUESTION,
        "store": False,
        "truncation": "auto",
        "something_new": 7,
    }
    assert answer.model_extra is not None
    assert answer.model_extra["store"] is False


def test_other_callers_of_an_openai_still_chat(openai_client: openai.OpenAI, upstream: Upstream) -> None:
    openai_client.chat.completions.create(model=NATIVE, messages=[{"role": "user", "content": QUESTION}])

    (bill,) = upstream.dispatches(NATIVE)
    assert bill.path == "/v1/chat/completions"


@pytest.mark.parametrize("model", MODELS)
def test_codex_is_answered_by_every_kind_of_provider(
    openai_client: openai.OpenAI, upstream: Upstream, model: str
) -> None:
    """What it sends with every call, in its own words (codex-rs, `ResponsesApiRequest`)."""
    stream = openai_client.responses.create(
        model=model,
        instructions="You are Codex.",
        input=[{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}],
        tools=[WEATHER],
        tool_choice="auto",
        parallel_tool_calls=True,
        reasoning={"effort": "medium", "summary": "auto"},
        include=["reasoning.encrypted_content"],
        prompt_cache_key="conversation-1",
        store=False,
        stream=True,
        extra_body={"client_metadata": {"x-codex-installation-id": "installation-1"}},
    )

    assert "".join(event.delta for event in stream if event.type == "response.output_text.delta").strip() == WORDS
    assert ("client_metadata" in upstream.bill[0].body) == (model == NATIVE)


def test_an_image_reaches_every_kind_of_provider(openai_client: openai.OpenAI, upstream: Upstream) -> None:
    url = f"data:image/png;base64,{PNG}"
    content: Any = [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": url, "detail": "auto"},
    ]
    for model in MODELS:
        openai_client.responses.create(model=model, input=[{"role": "user", "content": content}])

    (native,), (chat,), (claude,) = map(upstream.dispatches, MODELS)
    assert native.body["input"][0]["content"] == content
    assert chat.body["messages"][0]["content"][1] == {"type": "image_url", "image_url": {"url": url}}
    assert claude.body["messages"][0]["content"][1]["source"]["data"] == PNG


@pytest.mark.parametrize("model", ["gpt-replay", "claude-replay"])
def test_tools_go_round(openai_client: openai.OpenAI, replay: Replay, model: str) -> None:
    """The model's items are sent back as they came, with their results."""
    calls = [("call_p", PARIS), ("call_o", OSLO)]
    replay.says("gpt-replay", captures.openai_message(None, calls=calls), captures.openai_message("In Paris."))
    replay.says(
        "claude-replay", captures.anthropic_message("Hm.", calls=calls), captures.anthropic_message("In Paris.")
    )

    asked = openai_client.responses.create(model=model, input=QUESTION, tools=[WEATHER], store=False)
    wanted = _calls(asked)
    conversation: Any = [{"role": "user", "content": QUESTION}, *asked.output, *_results(wanted)]
    answered = openai_client.responses.create(model=model, tools=[WEATHER], input=conversation, store=False)

    assert asked.status == "completed"
    assert [(call.call_id, json.loads(call.arguments)) for call in wanted] == calls
    assert answered.output_text == "In Paris."
    assert _results_heard(replay.asked[1], model) == [("call_p", "21 degrees"), ("call_o", "4 degrees")]


@pytest.mark.parametrize("model", ["gpt-replay", "claude-replay"])
@pytest.mark.parametrize("stream", [False, True])
def test_tools_go_round_by_name(openai_client: openai.OpenAI, replay: Replay, model: str, *, stream: bool) -> None:
    """The model's items are named in place of being sent, as OpenAI's default of storing them allows."""
    calls = [("call_p", PARIS), ("call_o", OSLO)]
    chat, claude = captures.openai_message(None, calls=calls), captures.anthropic_message("Hm.", calls=calls)
    streams = captures.openai_tool_stream(calls), captures.anthropic_tool_stream("Hm.", calls)
    replay.says("gpt-replay", streams[0] if stream else chat, captures.openai_message("In Paris."))
    replay.says("claude-replay", streams[1] if stream else claude, captures.anthropic_message("In Paris."))

    asked = _asked(openai_client, model, stream=stream)
    named: Any = [{"type": "item_reference", "id": item.id} for item in asked.output]
    conversation = [{"role": "user", "content": QUESTION}, *named, *_results(_calls(asked))]
    answered = openai_client.responses.create(model=model, tools=[WEATHER], input=conversation)

    assert answered.output_text == "In Paris."
    assert _results_heard(replay.asked[1], model) == [("call_p", "21 degrees"), ("call_o", "4 degrees")]


def test_thinking_that_is_named_comes_back_to_who_signed_it(openai_client: openai.OpenAI, replay: Replay) -> None:
    thought = {"type": "thinking", "thinking": "Paris is in the south.", "signature": "sig"}
    answer = captures.anthropic_message("Paris.")
    replay.says(
        "claude-replay", answer | {"content": [thought, *answer["content"]]}, captures.anthropic_message("Yes.")
    )

    told = openai_client.responses.create(model="claude-replay", input=QUESTION, reasoning={"effort": "low"})
    named: Any = [{"type": "item_reference", "id": item.id} for item in told.output]
    further: Any = [{"role": "user", "content": QUESTION}, *named, {"role": "user", "content": "Sure?"}]
    openai_client.responses.create(model="claude-replay", input=further, reasoning={"effort": "low"})

    assert [item.type for item in told.output] == ["reasoning", "message"]
    assert replay.asked[1]["messages"][1]["content"][0] == thought


@pytest.mark.parametrize("model", ["gpt-replay", "claude-replay"])
def test_tool_calls_stream(gateway: Product, openai_client: openai.OpenAI, replay: Replay, model: str) -> None:
    calls = [("call_p", PARIS), ("call_o", OSLO)]
    replay.says("gpt-replay", captures.openai_tool_stream(calls))
    replay.says("claude-replay", captures.anthropic_tool_stream("Let me look.", calls))

    with openai_client.responses.stream(model=model, input=QUESTION, tools=[WEATHER]) as stream:
        events = list(stream)
        final = stream.get_final_response()
        request_id = stream._response.headers["x-request-id"]

    done = [event for event in events if event.type == "response.function_call_arguments.done"]
    assert [json.loads(event.arguments) for event in done] == [PARIS, OSLO]
    assert [(call.call_id, json.loads(call.arguments)) for call in _calls(final)] == calls
    assert operating.row(gateway, request_id)["cost_pico"] == operating.cost_pico(31, 17)


@pytest.mark.parametrize("model", ["gpt-replay", "claude-replay"])
def test_structured_output_is_parsed(openai_client: openai.OpenAI, replay: Replay, model: str) -> None:
    replay.says("gpt-replay", captures.openai_message('{"name": "Ada", "age": 36}'))
    replay.says("claude-replay", captures.anthropic_message('{"name": "Ada", "age": 36}'))

    answer = openai_client.responses.parse(model=model, input=QUESTION, text_format=Person)

    (asked,) = replay.asked
    wanted = asked.get("response_format", {}).get("json_schema") or asked["output_config"]["format"]
    assert answer.output_parsed == Person(name="Ada", age=36)
    assert wanted["schema"]["required"] == ["name", "age"]


def test_the_async_client_answers_and_streams_many_calls_at_once(gateway: Product, upstream: Upstream) -> None:
    async def plain(client: openai.AsyncOpenAI, model: str) -> str:
        return (await client.responses.create(model=model, input=QUESTION)).output_text

    async def streamed(client: openai.AsyncOpenAI, model: str) -> str:
        async with client.responses.stream(model=model, input=QUESTION) as stream:
            return (await stream.get_final_response()).output_text.strip()

    async def all_at_once() -> list[str]:
        async with openai.AsyncOpenAI(base_url=gateway.url("/v1"), api_key=gateway.key, max_retries=0) as client:
            return await asyncio.gather(*(ask(client, model) for ask in (plain, streamed) for model in MODELS * 3))

    assert asyncio.run(all_at_once()) == [WORDS] * 18
    assert len(upstream.bill) == 18


class TestErrors:
    @pytest.mark.parametrize(
        ("fields", "param"),
        [
            ({"previous_response_id": "resp_1"}, "previous_response_id"),
            ({"conversation": "conv_1"}, "conversation"),
            ({"background": True}, "background"),
            ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ],
    )
    @pytest.mark.parametrize("model", [NATIVE, "up-chat"])
    def test_what_needs_a_memory_or_cannot_be_bounded(
        self, openai_client: openai.OpenAI, upstream: Upstream, model: str, fields: dict[str, Any], param: str
    ) -> None:
        with pytest.raises(openai.BadRequestError) as refused:
            openai_client.responses.create(**({"model": model, "input": QUESTION} | fields))

        assert (refused.value.code, refused.value.param) == ("UNSUPPORTED_FIELD", param)
        assert upstream.bill == []

    def test_an_unknown_model(self, openai_client: openai.OpenAI) -> None:
        with pytest.raises(openai.NotFoundError) as refused:
            openai_client.responses.create(model="gpt-17", input=QUESTION)

        assert (refused.value.code, refused.value.param) == ("MODEL_NOT_FOUND", "model")

    def test_a_stored_response(self, openai_client: openai.OpenAI) -> None:
        with pytest.raises(openai.NotFoundError):
            openai_client.responses.retrieve("resp_1")

    @pytest.mark.parametrize("model", MODELS)
    def test_what_the_provider_rejects(self, openai_client: openai.OpenAI, upstream: Upstream, model: str) -> None:
        upstream.on(model, Fault(status=400, message="top_p and temperature exclude each other"))

        with pytest.raises(openai.BadRequestError, match="exclude each other") as refused:
            openai_client.responses.create(model=model, input=QUESTION)

        assert refused.value.code == "PROVIDER_REJECTED"

    @pytest.mark.parametrize("model", MODELS)
    def test_a_stream_that_is_cut_raises(self, openai_client: openai.OpenAI, upstream: Upstream, model: str) -> None:
        upstream.on(model, Fault(cut_after=4, chunk_s=0.02))
        heard: list[Any] = []

        with (
            openai_client.responses.create(model=model, input=QUESTION, stream=True) as stream,
            pytest.raises(openai.APIError) as cut,
        ):
            heard.extend(stream)

        assert cut.value.code == "PROVIDER_ERROR"
        assert "response.completed" not in {event.type for event in heard}

    @pytest.mark.parametrize("model", MODELS)
    def test_an_error_in_a_stream_raises_with_the_providers_words(
        self, openai_client: openai.OpenAI, upstream: Upstream, model: str
    ) -> None:
        upstream.on(model, Fault(error_after=3, chunk_s=0.05, message="overloaded just now"))

        with (
            openai_client.responses.create(model=model, input=QUESTION, stream=True) as stream,
            pytest.raises(openai.APIError, match="overloaded just now"),
        ):
            list(stream)


def _asked(client: openai.OpenAI, model: str, *, stream: bool) -> Response:
    if not stream:
        return client.responses.create(model=model, input=QUESTION, tools=[WEATHER])
    with client.responses.stream(model=model, input=QUESTION, tools=[WEATHER]) as told:
        return told.get_final_response()


def _calls(answer: Response) -> list[Any]:
    return [item for item in answer.output if item.type == "function_call"]


def _results(wanted: list[Any]) -> list[dict[str, Any]]:
    weather = {"Paris": "21 degrees", "Oslo": "4 degrees"}
    return [
        {
            "type": "function_call_output",
            "call_id": call.call_id,
            "output": weather[json.loads(call.arguments)["city"]],
        }
        for call in wanted
    ]


def _results_heard(body: dict[str, Any], model: str) -> list[tuple[str, str]]:
    """Which results the provider was told, in its own dialect."""
    if model == "gpt-replay":
        told = [message for message in body["messages"] if message["role"] == "tool"]
        return [(message["tool_call_id"], message["content"]) for message in told]
    blocks = [block for block in body["messages"][-1]["content"] if block["type"] == "tool_result"]
    return [(block["tool_use_id"], block["content"][0]["text"]) for block in blocks]
