"""Ollama's own Python client, pointed at the platform by its host alone; and others' clients at an Ollama."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import anthropic
import ollama
import openai
import pytest
from pydantic import BaseModel

from tests.clients import captures
from tests.clients.captures import OSLO, PARIS
from tests.clients.replay import Replay
from tests.journeys import operating
from tests.product import Product
from tests.upstream import Fault, Upstream

WORDS = "word0 word1 word2 word3 word4 word5 word6 word7"
MODELS = ["up-llama", "up-chat", "up-claude"]
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()
QUESTION = {"role": "user", "content": "Is it warmer in Paris or in Oslo?"}
REQUEST_ID = "req-of-ollama-client"


class Person(BaseModel):
    name: str
    age: int


def weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: Its name.
    """
    return {"Paris": "21 degrees", "Oslo": "4 degrees"}[city]


@pytest.fixture(scope="module", autouse=True)
def llamas(gateway: Product, session_upstream: Upstream) -> None:
    """An Ollama with one model that chats, and one that embeds."""
    endpoint = session_upstream.url
    operating.add_provider(gateway, name="llamas", kind="ollama", endpoint=endpoint, model="up-llama")
    made = {"provider": "llamas", "name": "up-llama-embed", "type": "embedding"}
    operating.manage(gateway, "POST", "/api/ai-providers/deployments", made)
    gateway.until_in_force()


@pytest.fixture
def client(gateway: Product) -> Iterator[ollama.Client]:
    with client_of(gateway) as made:
        yield made


def client_of(gateway: Product, **headers: str) -> ollama.Client:
    return ollama.Client(gateway.base_url, headers={"Authorization": f"Bearer {gateway.key}", **headers})


def test_the_demo_answers(client: ollama.Client) -> None:
    answer = client.chat("demo", [{"role": "user", "content": "Hello there"}])

    assert "Hello there" in (answer.message.content or "")
    assert (answer.done, answer.done_reason) == (True, "stop")


def test_a_model_is_loaded_before_the_first_question(client: ollama.Client, upstream: Upstream) -> None:
    """As Ollama's command line asks; there is nothing to load, and nobody is called."""
    for model in MODELS:
        loaded, unloaded = client.generate(model), client.generate(model, keep_alive=0)
        chat, streamed = client.chat(model), [*client.chat(model, [], stream=True)]

        assert [each.done_reason for each in (loaded, unloaded, chat, *streamed)] == ["load", "unload", "load", "load"]
        assert (loaded.model, loaded.response, chat.message.content, loaded.done) == (model, "", "", True)

    assert not upstream.bill


def test_only_a_model_that_is_there_is_loaded(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="No model 'nowhere'") as caught:
        client.generate("nowhere")

    assert caught.value.status_code == 404


@pytest.mark.parametrize("asked", [{"messages": "Hi"}, {"messages": {}}, {"prompt": "Hi"}])
def test_what_asks_something_in_another_form_loads_nothing(gateway: Product, asked: dict[str, Any]) -> None:
    answer = gateway.request("POST", "/api/chat", body={"model": "up-llama"} | asked, key=gateway.key)

    assert (answer.status, answer.json()["error"]) == (400, "'messages' must be a non-empty array.")


def test_a_number_that_python_cannot_hold_is_refused_where_a_question_was_expected(gateway: Product) -> None:
    answer = gateway.request("POST", "/api/chat", body=b'{"model": "up-llama", "messages": 1e400}', key=gateway.key)

    assert (answer.status, answer.json()["code"]) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize("model", MODELS)
def test_an_answer_is_billed_as_its_provider_bills_it(gateway: Product, upstream: Upstream, model: str) -> None:
    request_id = f"{REQUEST_ID}-{model}"
    with client_of(gateway, **{"X-Request-ID": request_id}) as client:
        answer = client.chat(model, [QUESTION])

    (bill,) = upstream.dispatches(model)
    assert answer.message.content == WORDS
    assert (answer.prompt_eval_count, answer.eval_count) == (bill.input_tokens, bill.output_tokens)
    row = operating.row(gateway, request_id)
    assert (row["surface"], row["status"], row["evidence"]) == ("ollama.chat", "ok", "reported")
    assert row["cost_pico"] == operating.cost_pico(bill.input_tokens, bill.output_tokens)


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_tells_its_usage_in_its_last_line(gateway: Product, upstream: Upstream, model: str) -> None:
    request_id = f"{REQUEST_ID}-stream-{model}"
    with client_of(gateway, **{"X-Request-ID": request_id}) as client:
        chunks = list(client.chat(model, [QUESTION], stream=True, options={"num_predict": 3}))

    (bill,) = upstream.dispatches(model)
    assert "".join(chunk.message.content or "" for chunk in chunks).strip() == "word0 word1 word2"
    assert [chunk.done for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].done_reason == "length"
    assert (chunks[-1].prompt_eval_count, chunks[-1].eval_count) == (bill.input_tokens, bill.output_tokens)
    assert operating.row(gateway, request_id)["cost_pico"] == operating.cost_pico(bill.input_tokens, bill.output_tokens)


def test_it_streams_unless_it_is_told_not_to(gateway: Product, upstream: Upstream) -> None:
    answer = gateway.request("POST", "/api/chat", body={"model": "up-llama", "messages": [QUESTION]}, key=gateway.key)

    assert answer.headers["content-type"] == "application/x-ndjson"
    assert len(answer.text.splitlines()) == len(WORDS.split()) + 1
    assert "stream" not in upstream.dispatches("up-llama")[0].body  # byte for byte, but for the model's name


def test_fields_that_we_do_not_know_reach_an_ollama(client: ollama.Client, upstream: Upstream) -> None:
    client.chat("up-llama", [QUESTION], options={"min_p": 0.05, "num_ctx": 4096}, keep_alive="10m", think=True)

    (bill,) = upstream.dispatches("up-llama")
    assert bill.body["options"] == {"min_p": 0.05, "num_ctx": 4096}
    assert (bill.body["keep_alive"], bill.body["think"]) == ("10m", True)


def test_an_image_reaches_every_kind_of_provider(client: ollama.Client, upstream: Upstream) -> None:
    for model in MODELS:
        client.chat(model, [{"role": "user", "content": "What is it?", "images": [PNG]}])

    (native,), (openai_s,), (claude,) = map(upstream.dispatches, MODELS)
    assert native.body["messages"][0]["images"] == [PNG]
    assert openai_s.body["messages"][0]["content"][1]["image_url"]["url"] == f"data:image/png;base64,{PNG}"
    assert claude.body["messages"][0]["content"][1]["source"]["data"] == PNG


@pytest.mark.parametrize("model", ["gpt-replay", "claude-replay"])
def test_tools_go_round_without_ids(client: ollama.Client, replay: Replay, model: str) -> None:
    """The client knows no ids: the platform makes them, and finds the call that each result answers."""
    calls = [("call_p", PARIS), ("call_o", OSLO)]
    replay.says("gpt-replay", captures.openai_message(None, calls=calls), captures.openai_message("In Paris."))
    replay.says("claude-replay", captures.anthropic_message("", calls=calls), captures.anthropic_message("In Paris."))

    asked = client.chat(model, [QUESTION], tools=[weather])
    wanted = list(asked.message.tool_calls or [])
    told = [
        {"role": "tool", "tool_name": call.function.name, "content": weather(**call.function.arguments)}
        for call in wanted
    ]
    answered = client.chat(model, [QUESTION, asked.message, *told], tools=[weather])

    assert [call.function.arguments for call in wanted] == [PARIS, OSLO]
    assert answered.message.content == "In Paris."
    assert _results_heard(replay.asked[1], model) == ["21 degrees", "4 degrees"]


@pytest.mark.parametrize("model", ["gpt-replay", "claude-replay"])
def test_tool_calls_stream_whole(client: ollama.Client, replay: Replay, model: str) -> None:
    calls = [("call_p", PARIS), ("call_o", OSLO)]
    replay.says("gpt-replay", captures.openai_tool_stream(calls))
    replay.says("claude-replay", captures.anthropic_tool_stream("Let me look.", calls))

    chunks = list(client.chat(model, [QUESTION], tools=[weather], stream=True))

    told = [call.function.arguments for chunk in chunks for call in chunk.message.tool_calls or []]
    assert told == [PARIS, OSLO]


@pytest.mark.parametrize("model", ["gpt-replay", "claude-replay"])
def test_structured_output_comes_by_its_schema(client: ollama.Client, replay: Replay, model: str) -> None:
    replay.says("gpt-replay", captures.openai_message('{"name": "Ada", "age": 36}'))
    replay.says("claude-replay", captures.anthropic_message('{"name": "Ada", "age": 36}'))

    answer = client.chat(model, [QUESTION], format=Person.model_json_schema())

    (asked,) = replay.asked
    wanted = asked.get("response_format", {}).get("json_schema") or asked["output_config"]["format"]
    assert Person.model_validate_json(answer.message.content or "") == Person(name="Ada", age=36)
    assert wanted["schema"]["required"] == ["name", "age"]
    assert wanted["schema"]["additionalProperties"] is False


@pytest.mark.parametrize("model", MODELS)
def test_it_generates(client: ollama.Client, upstream: Upstream, model: str) -> None:
    plain = client.generate(model, "Hello", system="Be terse.")
    chunks = list(client.generate(model, "Hello", stream=True))

    assert plain.response == WORDS
    assert "".join(chunk.response or "" for chunk in chunks).strip() == WORDS
    assert [chunk.done for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert (plain.prompt_eval_count, plain.eval_count) == (upstream.bill[0].input_tokens, len(WORDS.split()))


def test_it_embeds_at_whichever_provider(gateway: Product, client: ollama.Client, upstream: Upstream) -> None:
    answer = client.embed("up-embed", ["one", "two"])

    (bill,) = upstream.dispatches("up-embed")
    assert answer.embeddings == [[0.1, 0.2, 0.3]] * 2
    assert answer.prompt_eval_count == bill.input_tokens


@pytest.mark.parametrize("model", ["up-embed", "up-llama-embed"])
def test_its_older_call_for_one_vector_is_answered_at_whichever_provider(
    gateway: Product, client: ollama.Client, upstream: Upstream, model: str
) -> None:
    answer = client.embeddings(model, "one")

    (bill,) = upstream.dispatches(model)
    assert answer.embedding == [0.1, 0.2, 0.3]
    assert bill.input_tokens > 0
    with pytest.raises(ollama.ResponseError, match="'prompt'"):
        client.embeddings(model, "")


def test_it_lists_and_shows_the_models_and_tells_a_version(gateway: Product, client: ollama.Client) -> None:
    names = [model.model for model in client.list().models]
    version = gateway.request("GET", "/api/version", key=gateway.key).json()

    assert {"demo", "up-llama", "up-claude", "default"} <= set(names)
    assert client.show("up-llama").capabilities == ["completion", "tools"]
    assert client.show("up-embed").capabilities == ["embedding"]
    assert client.show("llamas/up-llama").details is not None
    assert version["version"].count(".") == 2
    with pytest.raises(ollama.ResponseError, match="up-nothing") as refused:
        client.show("up-nothing")
    assert refused.value.status_code == 404


def test_the_async_client_answers_and_streams_many_calls_at_once(gateway: Product, upstream: Upstream) -> None:
    headers = {"Authorization": f"Bearer {gateway.key}"}

    async def plain(client: ollama.AsyncClient, model: str) -> str:
        return (await client.chat(model, [QUESTION])).message.content or ""

    async def streamed(client: ollama.AsyncClient, model: str) -> str:
        chunks = await client.chat(model, [QUESTION], stream=True)
        return "".join([chunk.message.content or "" async for chunk in chunks]).strip()

    async def all_at_once() -> list[str]:
        async with ollama.AsyncClient(gateway.base_url, headers=headers) as client:
            return await asyncio.gather(*(ask(client, model) for ask in (plain, streamed) for model in MODELS * 3))

    assert asyncio.run(all_at_once()) == [WORDS] * 18
    assert len(upstream.bill) == 18


class TestErrors:
    """Ollama's client knows one exception, with the words and the status."""

    def test_a_wrong_key(self, gateway: Product) -> None:
        with (
            ollama.Client(gateway.base_url, headers={"Authorization": "Bearer aip_00000000_wrong"}) as client,
            pytest.raises(ollama.ResponseError, match="unknown") as refused,
        ):
            client.chat("demo", [QUESTION])

        assert refused.value.status_code == 401

    @pytest.mark.parametrize("stream", [True, False])
    def test_an_unknown_model(self, client: ollama.Client, *, stream: bool) -> None:
        with pytest.raises(ollama.ResponseError, match="llama-17") as refused:
            _heard(client, "llama-17", stream=stream)

        assert refused.value.status_code == 404

    def test_a_field_that_would_be_lost_in_translation(self, client: ollama.Client, upstream: Upstream) -> None:
        with pytest.raises(ollama.ResponseError, match=r"options\.min_p") as refused:
            client.chat("up-claude", [QUESTION], options={"min_p": 0.05})

        assert refused.value.status_code == 400
        assert upstream.bill == []

    @pytest.mark.parametrize("model", MODELS)
    def test_what_the_provider_rejects(self, client: ollama.Client, upstream: Upstream, model: str) -> None:
        upstream.on(model, Fault(status=400, message="this model does not support thinking"))

        with pytest.raises(ollama.ResponseError, match="does not support thinking") as refused:
            client.chat(model, [QUESTION])

        assert refused.value.status_code == 400

    @pytest.mark.parametrize("model", MODELS)
    def test_a_stream_that_is_cut_raises(self, client: ollama.Client, upstream: Upstream, model: str) -> None:
        upstream.on(model, Fault(cut_after=4, chunk_s=0.02))

        with pytest.raises(ollama.ResponseError):
            _heard(client, model, stream=True)

    @pytest.mark.parametrize("model", MODELS)
    def test_an_error_in_a_stream_raises_with_the_providers_words(
        self, client: ollama.Client, upstream: Upstream, model: str
    ) -> None:
        upstream.on(model, Fault(error_after=3, chunk_s=0.05, message="overloaded just now"))

        with pytest.raises(ollama.ResponseError, match="overloaded just now"):
            _heard(client, model, stream=True)


class TestAtAnOllama:
    """Other clients' calls, answered by a provider that speaks Ollama's own API."""

    def test_openai_s_client(self, gateway: Product, openai_client: openai.OpenAI, upstream: Upstream) -> None:
        asked: Any = {"model": "up-llama", "messages": [{"role": "user", "content": "Hello"}]}

        raw = openai_client.chat.completions.with_raw_response.create(**asked, max_tokens=3)
        options: Any = {"stream": True, "stream_options": {"include_usage": True}}
        chunks = list(openai_client.chat.completions.create(**asked, **options))

        plain, streamed = upstream.dispatches("up-llama")
        answer = raw.parse()
        assert answer.choices[0].message.content == "word0 word1 word2"
        assert answer.choices[0].finish_reason == "length"
        assert plain.body["options"] == {"num_predict": 3}
        assert plain.path == "/api/chat"
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices).strip() == WORDS
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.prompt_tokens == streamed.input_tokens
        row = operating.row(gateway, raw.headers["x-request-id"])
        assert row["cost_pico"] == operating.cost_pico(plain.input_tokens, plain.output_tokens)

    def test_anthropic_s_client(self, anthropic_client: anthropic.Anthropic, upstream: Upstream) -> None:
        asked: Any = {"model": "up-llama", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]}

        plain = anthropic_client.messages.create(**asked)
        with anthropic_client.messages.stream(**asked) as stream:
            streamed = stream.get_final_message()

        bills = upstream.dispatches("up-llama")
        for answer, bill in zip((plain, streamed), bills, strict=True):
            assert answer.content[0].text.strip() == WORDS
            assert (answer.usage.input_tokens, answer.usage.output_tokens) == (bill.input_tokens, bill.output_tokens)

    def test_usage_that_an_older_version_leaves_out_is_estimated(
        self, gateway: Product, openai_client: openai.OpenAI, upstream: Upstream
    ) -> None:
        upstream.on("up-llama", Fault(no_usage=True))

        raw = openai_client.chat.completions.with_raw_response.create(
            model="up-llama", messages=[{"role": "user", "content": "Hello"}]
        )

        row = operating.row(gateway, raw.headers["x-request-id"])
        assert row["evidence"] == "estimated"
        assert row["input_tokens"] > 0

    @pytest.mark.parametrize("fault", [Fault(cut_after=4), Fault(bad_chunk_after=3), Fault(error_after=3)])
    def test_a_broken_stream_raises(self, openai_client: openai.OpenAI, upstream: Upstream, fault: Fault) -> None:
        upstream.on("up-llama", fault)

        with (
            pytest.raises(openai.APIError),
            openai_client.chat.completions.create(
                model="up-llama", messages=[{"role": "user", "content": "Hello"}], stream=True
            ) as stream,
        ):
            list(stream)


def _heard(client: ollama.Client, model: str, *, stream: bool) -> list[Any]:
    return list(client.chat(model, [QUESTION], stream=True)) if stream else [client.chat(model, [QUESTION])]


def _results_heard(body: dict[str, Any], model: str) -> list[str]:
    """Which results the provider was told, in the order of its calls, whose ids must be those of its own question."""
    if model == "gpt-replay":
        (spoken,) = [message for message in body["messages"] if message["role"] == "assistant"]
        told = {m["tool_call_id"]: m["content"] for m in body["messages"] if m["role"] == "tool"}
        return [told[call["id"]] for call in spoken["tool_calls"]]
    (spoken,) = [message for message in body["messages"] if message["role"] == "assistant"]
    results = [block for block in body["messages"][-1]["content"] if block["type"] == "tool_result"]
    texts = {block["tool_use_id"]: block["content"][0]["text"] for block in results}
    return [texts[block["id"]] for block in spoken["content"] if block["type"] == "tool_use"]
